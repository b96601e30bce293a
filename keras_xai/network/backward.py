"""Backward pass from scores to inputs with per-layer rules."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, final

import keras
from keras import ops

from keras_xai.backend import record
from keras_xai.graph.steps import Step
from keras_xai.graph.target import Target
from keras_xai.kinds.kind import Problem, UnsupportedLayerError
from keras_xai.network.entries import Entries
from keras_xai.network.scores import Scores, undefined_where_not_finite
from keras_xai.rules.rule import Call, Passage


@dataclasses.dataclass(frozen=True, eq=False)
class Messages:
    """The messages at the entries of a model.

    Attributes:
        score: The explained scores, a tensor `(n,)`.
        indices: The explained classes.
        entries: A tensor for each entry of the model, of the entry's shape.
    """

    score: Any
    indices: list
    entries: list


@final
class Backward:
    """Passes messages from the explained scores back to the entries of a model, with a rule for each step.

    Args:
        scores: The scores of the model.
        method: Name of the method for errors.

    Attributes:
        entries: The entries, at which the backward pass ends.
        steps: The steps of the backward pass, in order; steps before the entries, such as an `Embedding`, are excluded.

    Raises:
        ValueError: If an integer input is used by anything but one `Embedding`.
    """

    def __init__(self, scores: Scores, method: str):
        self._scores = scores
        self.entries = Entries(scores, method)
        self.steps = between(scores.graph.steps, self.entries.identifiers)

    def pass_back(
        self,
        inputs: Sequence,
        indices: Sequence,
        target: Target,
        start: Callable[[Any, Any], Any],
        passages: Mapping[Step, Passage],
    ) -> Messages:
        """One forward and one backward pass; call it within a compiled program.

        Args:
            inputs: The samples.
            indices: The classes.
            target: The target to explain.
            start: Maps an output of the model and the derivative of the explained score with respect to it to the initial message.
            passages: The rules of the steps; by default their transpose, as for gradients.
        """
        self._scores.check_differentiable(self.entries.identifiers, target)
        network = self._scores.network
        passed = {step: passages.get(step) or Passage(step) for step in self.steps}
        calls: list[Call] = []

        def call(step, values):
            if step not in passed:
                return step(*(values[identifier] for identifier in step.inputs))
            calls.append(passed[step].call(values))
            return calls[-1].outputs

        values = network.run(inputs, call=call)
        with network.scope():
            chosen: list = []

            def score(outputs):
                value, chosen[:] = target.choose(outputs, indices)
                return [value]

            outputs = self._scores.outputs(values)
            recording = record(score, outputs)
            slopes = recording.pull([ops.ones_like(recording.outputs[0])])
            messages: dict[int, Any] = {}
            for identifier, output, slope in zip(network.graph.outputs, outputs, slopes, strict=True):
                deliver(messages, identifier, None if slope is None else start(output, slope))
            backward(calls, messages)
        back = [
            messages[identifier] if identifier in messages else ops.zeros_like(values[identifier])
            for identifier in self.entries.identifiers
        ]
        return Messages(recording.outputs[0], chosen, undefined_where_not_finite(recording.outputs[0], back))


def backward(calls: Sequence[Call], messages: dict[int, Any]) -> None:
    """Passes messages backward through calls, each by its rule, and sums messages at the same tensor.

    Args:
        calls: The calls in their execution order.
        messages: Messages by tensor identifier, initially those of the outputs; others are added to it.
    """
    for each in reversed(calls):
        arrived = [messages.get(identifier) for identifier in each.step.outputs]
        if all(message is None for message in arrived):
            continue
        full = [ops.zeros_like(y) if message is None else message for message, y in zip(arrived, each.outputs, strict=True)]
        for identifier, message in zip(each.passage.sources, each.passage.rule.pull(each, full), strict=True):
            deliver(messages, identifier, message)


def deliver(messages: dict[int, Any], identifier: int, message: Any) -> None:
    """Adds a message, unless it is `None`, to those of a tensor."""
    if message is not None:
        messages[identifier] = messages[identifier] + message if identifier in messages else message


def between(steps: Iterable[Step], entries: Iterable[int]) -> tuple[Step, ...]:
    """The steps through which real-valued tensors depend on the given tensors, in order.

    Args:
        steps: The steps to search, in the order of a graph.
        entries: Identifiers of the tensors.
    """
    reached, found = set(entries), []
    for step in steps:
        real = [
            identifier
            for identifier, spec in zip(step.outputs, step.output_specs, strict=True)
            if keras.backend.is_float_dtype(spec.dtype)
        ]
        if real and not reached.isdisjoint(step.inputs):
            reached.update(real)
            found.append(step)
    return tuple(found)


def refuse(method: str, steps: Iterable[tuple[Step, str | None]], advice: str) -> None:
    """Raises an error that names the steps that a method does not support, if there are any.

    Args:
        method: Name of the method.
        steps: Steps with their reasons: a clause without a full stop, or `None` for a supported step.
        advice: Advice on alternatives.

    Raises:
        UnsupportedLayerError: If there is a reason.
    """
    problems = [Problem(step.path, type(step.operation), reason) for step, reason in steps if reason]
    if problems:
        raise UnsupportedLayerError(problems, f"{method} cannot explain the model", advice)
