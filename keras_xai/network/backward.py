"""Backward pass from scores to inputs with per-layer rules."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.backend import record
from keras_xai.graph.steps import Graph, Step
from keras_xai.graph.target import Target
from keras_xai.kinds.kind import UnsupportedLayerError, problems_of
from keras_xai.network.entries import Entries
from keras_xai.network.precision import undefined_where_not_finite
from keras_xai.network.scores import Scores
from keras_xai.rules.rule import Call, Passage


@dataclasses.dataclass(frozen=True, eq=False)
class Messages:
    """The messages at the entries of a model.

    Attributes:
        score: The explained scores, a tensor `(n,)`.
        indices: The explained classes.
        entries: A tensor for each entry of the model, of the entry's shape.
        reference: The explained scores of the references, a tensor `(n,)`, if there are any.
    """

    score: Any
    indices: list
    entries: list
    reference: Any = None


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
        reference: Sequence | None = None,
    ) -> Messages:
        """One forward and one backward pass, and a forward pass of references; call it within a compiled program.

        Args:
            inputs: The samples.
            indices: The classes.
            target: The target to explain.
            start: Maps an output of the model and the derivative of the explained score with respect to it to the initial message.
            passages: The rules of the steps; by default their transpose, as for gradients.
            reference: Tensors that replace the entries of the samples in the pass that they are compared with, for rules that compare. The
                derivative of the score is its mean on the straight line between the scores of both.
        """
        self._scores.check_differentiable(self.entries.identifiers, target)
        network = self._scores.network
        passed = {step: passages.get(step) or Passage(step) for step in self.steps}
        known = None if reference is None else dict(zip(self.entries.identifiers, reference, strict=True))
        others = None if known is None else network.run(inputs, known=known)
        calls: list[Call] = []

        def call(step, values):
            if step not in passed:
                return step(*(values[identifier] for identifier in step.inputs))
            calls.append(passed[step].call(values, others))
            return calls[-1].outputs

        values = network.run(inputs, call=call)
        with network.scope():
            outputs = self._scores.outputs(values)
            score, chosen, slopes = _explained(outputs, indices, target)
            reference_score = None
            if others is not None:
                scores = self._scores.outputs(others)
                reference_score = target.choose(scores, chosen)[0]
                if not target.is_linear:
                    slopes = _mean_slopes(scores, outputs, chosen, target)
            messages: dict[int, Any] = {}
            for identifier, output, slope in zip(network.graph.outputs, outputs, slopes, strict=True):
                deliver(messages, identifier, None if slope is None else start(output, slope))
            backward(calls, messages)
        back = [
            messages[identifier] if identifier in messages else ops.zeros_like(values[identifier])
            for identifier in self.entries.identifiers
        ]
        defined = score if reference_score is None else score + reference_score
        return Messages(score, chosen, undefined_where_not_finite(defined, back), reference_score)


def _explained(outputs, indices, target):
    """The explained scores, their classes, and the derivatives of the scores by each output."""
    chosen: list = []

    def score(outputs):
        value, chosen[:] = target.choose(outputs, indices)
        return [value]

    recording = record(score, outputs)
    (value,) = recording.outputs
    return value, chosen, recording.pull([ops.ones_like(value)])


# Gauss-Legendre nodes for callable targets.
_NODES = 32


def _mean_slopes(starts, stops, indices, target):
    """The mean derivatives of the explained scores on the straight line between two outputs of each sample."""
    nodes, weights = (np.asarray(each) / 2 for each in np.polynomial.legendre.leggauss(_NODES))

    def along(values, x):
        return ops.reshape(ops.convert_to_tensor(values, dtype=x.dtype), (-1, *[1] * len(x.shape)))

    between = []
    for a, b in zip(starts, stops, strict=True):
        points = ops.where(a == b, b, a + along(nodes + 0.5, a) * (b - a))
        between.append(ops.reshape(points, (-1, *b.shape[1:])))
    slopes = _explained(between, [ops.tile(index, (_NODES, *[1] * (len(index.shape) - 1))) for index in indices], target)[2]
    return [
        slope if slope is None else ops.sum(along(weights, b) * ops.reshape(slope, (_NODES, -1, *b.shape[1:])), axis=0)
        for slope, b in zip(slopes, stops, strict=True)
    ]


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


def conditional(graph: Graph, steps: Iterable[Step], entries: Iterable[int]) -> set[Step]:
    """The `steps` that take a condition, index or rounded number computed from the `entries`.

    It has no derivative, so it counts as a constant.
    """
    reached = set(entries)
    varying = reached.union(*(step.outputs for step in steps))
    for step in graph.steps:
        if not reached.isdisjoint(step.inputs):
            reached.update(step.outputs)
    return {step for step in steps if not (reached - varying).isdisjoint(step.inputs)}


def refuse(method: str, steps: Iterable[tuple[Step, str | None]], advice: str) -> None:
    """Raises an error that names the steps that a method does not support, if there are any.

    Args:
        method: Name of the method.
        steps: Steps with their reasons: a clause without a full stop, or `None` for a supported step.
        advice: Advice on alternatives.

    Raises:
        UnsupportedLayerError: If there is a reason.
    """
    problems = problems_of(steps)
    if problems:
        raise UnsupportedLayerError(problems, f"{method} cannot explain the model", advice)
