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
    """The messages that have arrived at the entries of a model.

    Attributes:
        score: The explained scores, a tensor `(n,)`.
        indices: The classes that they are of.
        entries: A tensor for each entry of the model, of the entry's shape.
    """

    score: Any
    indices: list
    entries: list


@final
class Backward:
    """Passes messages from the explained scores back to the entries of a model, by a rule for each step.

    Args:
        scores: The model's scores.
        method: Name of the method, for errors.

    Attributes:
        entries: What messages come back to.
        steps: Those that messages pass through, in order: what leads to the entries, as an `Embedding`, is not among them.

    Raises:
        ValueError: If an input of whole numbers goes elsewhere than into one `Embedding`.
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
        """One forward pass, and one back; to be called within a compiled program.

        Args:
            inputs: The samples.
            indices: The classes.
            target: What is explained.
            start: Maps an output of the model and the explained score's derivative by it to the message of the output.
            passages: How messages pass steps; by default by their transpose, as gradients do.
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
    """Passes messages back through calls, each by its rule, adding up those that meet.

    Args:
        calls: In the order in which they were made.
        messages: By identifier of a tensor, to start with those of the outputs; the others are added to it.
    """
    for each in reversed(calls):
        arrived = [messages.get(identifier) for identifier in each.step.outputs]
        if all(message is None for message in arrived):
            continue
        full = [ops.zeros_like(y) if message is None else message for message, y in zip(arrived, each.outputs, strict=True)]
        for identifier, message in zip(each.passage.sources, each.passage.rule.pull(each, full), strict=True):
            deliver(messages, identifier, message)


def deliver(messages: dict[int, Any], identifier: int, message: Any) -> None:
    """Adds a message, or none, to what has come to a tensor."""
    if message is not None:
        messages[identifier] = messages[identifier] + message if identifier in messages else message


def between(steps: Iterable[Step], entries: Iterable[int]) -> tuple[Step, ...]:
    """The steps through which real numbers depend on tensors, in order.

    Args:
        steps: What is looked through, in the order of a graph.
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
    """Raises an error that names the steps that a method cannot pass, if there are any.

    Args:
        method: Its name.
        steps: Steps, each with the reason: a clause without a full stop, or `None` for one that it can pass.
        advice: What to do about it.

    Raises:
        UnsupportedLayerError: If there is a reason.
    """
    problems = [Problem(step.path, type(step.operation), reason) for step, reason in steps if reason]
    if problems:
        raise UnsupportedLayerError(problems, f"{method} cannot explain the model", advice)
