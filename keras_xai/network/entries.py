"""Entries of a model: real inputs, or the embedding vectors of tokens, by which scores are differentiated."""

import math
from collections.abc import Callable, Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.backend import folded
from keras_xai.graph.target import Target
from keras_xai.network.scores import Derivative, Scores
from keras_xai.network.tokens import tokens_of


@final
class Entries:
    """The tensors that a score is differentiated by: real-valued inputs, and the `Embedding` vectors of tokens.

    Args:
        scores: The scores of the model.
        method: Name of the method for errors.

    Attributes:
        identifiers: Identifiers of the tensors, one for each input of the model.

    Raises:
        ValueError: If an integer input is used by anything but one `Embedding`, or a real input by an `Embedding` and something else.
    """

    def __init__(self, scores: Scores, method: str):
        self._scores = scores
        self.identifiers: list[int] = []
        self._embedded: list[bool] = []
        self._specs = scores.graph.input_specs
        for identifier, spec in zip(scores.graph.inputs, self._specs, strict=True):
            tokens = tokens_of(scores.graph, identifier)
            self._embedded.append(bool(tokens.embeddings) or not keras.backend.is_float_dtype(spec.dtype))
            self.identifiers.append(self._vectors(tokens, spec, method) if self._embedded[-1] else identifier)

    @staticmethod
    def _vectors(tokens, spec, method):
        """Identifier of the vectors of an input's tokens."""
        used = [step.path for step in (*tokens.embeddings, *tokens.others)]
        if len(tokens.embeddings) != 1 or tokens.others:
            raise ValueError(
                f"{method} needs a differentiable input: real numbers, or tokens of one `Embedding`. Received: the input '{spec.name}' of "
                f"dtype {spec.dtype}, which is used by {used}. Give the input a floating-point dtype, divide it into one input for tokens "
                "and one for numbers, or use a method that only needs scores, such as LIME."
            )
        (embedding,) = tokens.embeddings
        shape = embedding.input_specs[0].shape
        if shape != spec.shape and (
            None in (*shape[1:], *spec.shape[1:]) or math.prod(shape[1:]) != math.prod(spec.shape[1:])
        ):
            raise ValueError(
                f"{method} needs an `Embedding` that looks up all entries of an input. Received: '{embedding.path}', which looks up "
                f"{tuple(shape)} of the input '{spec.name}' of shape {tuple(spec.shape)}."
            )
        return embedding.outputs[0]

    def points(self, inputs: Sequence) -> list:
        """The entries of a batch; call this and the following methods within a compiled program."""
        if not any(self._embedded):
            return list(inputs)
        values = self._scores.run(inputs, until=self.identifiers)
        return [values[identifier] for identifier in self.identifiers]

    def score(self, points: Sequence, inputs: Sequence, indices: Sequence, target: Target) -> tuple[Any, list]:
        """The explained scores `(n,)` at points, and their classes.

        Args:
            points: Tensors that replace the entries of `inputs`.
            inputs: The samples, whose tokens define the padding.
            indices: The classes.
            target: The target to explain.
        """
        known = dict(zip(self.identifiers, points, strict=True))
        return target.choose(self._scores.outputs(self._scores.run(inputs, known=known)), indices)

    def derivative(self, points: Sequence, inputs: Sequence, indices: Sequence, target: Target) -> Derivative:
        """The explained scores at points, and their derivatives with respect to the points; arguments as in `score`."""
        return self._scores.derivative(dict(zip(self.identifiers, points, strict=True)), inputs, indices, target)

    def weighted_sum(
        self, points: Callable[[Any], list], weights: Any, inputs: Sequence, indices: Sequence, target: Target
    ) -> list:
        """The weighted sum of gradients at many points of each sample, with several points of each per forward pass.

        Args:
            points: Maps the indices `(per,)` of points to tensors `(per, n, ...)`, one for each entry.
            weights: Tensor `(steps, per)`: the weight of each point, with `per` points at a time.
            inputs: The samples.
            indices: The classes.
            target: The target to explain.

        Returns:
            A tensor `(n, ...)` for each entry.
        """
        like = self.points(inputs)
        steps, per = ops.shape(weights)[0], ops.shape(weights)[1]
        repeated = [ops.tile(x, (per, *[1] * (len(x.shape) - 1))) for x in inputs]
        classes = [ops.tile(index, (per,)) for index in indices]

        def add(step, sums):
            found = points(step * per + ops.arange(per, dtype="int32"))
            flat = [ops.reshape(each, (-1, *ops.shape(entry)[1:])) for each, entry in zip(found, like, strict=True)]
            gradients = self.derivative(flat, repeated, classes, target).gradients
            apart = [ops.reshape(g, ops.shape(each)) for g, each in zip(gradients, found, strict=True)]
            return [
                so_far + ops.tensordot(ops.cast(weights[step], each.dtype), each, axes=1)
                for so_far, each in zip(sums, apart, strict=True)
            ]

        return folded(add, steps, [ops.zeros_like(entry) for entry in like])

    def folded(self, values: Sequence) -> list:
        """Converts values at the entries to values of the inputs: values of a token's vector are summed."""
        return self._of_tokens(values, lambda each: ops.sum(each, axis=-1))

    def magnitudes(self, values: Sequence) -> list:
        """Converts values at the entries to values of the inputs: the norm over a token's vector."""
        return self._of_tokens(values, lambda each: ops.sqrt(ops.sum(ops.square(each), axis=-1)))

    def _of_tokens(self, values, reduce):
        found = [reduce(each) if embedded else each for each, embedded in zip(values, self._embedded, strict=True)]
        return [
            ops.reshape(each, (-1, *spec.shape[1:])) if len(each.shape) != len(spec.shape) else each
            for each, spec in zip(found, self._specs, strict=True)
        ]


def total(values: Sequence) -> Any:
    """The sum `(n,)` of all values of each sample over all inputs."""
    return sum(ops.sum(each, axis=tuple(range(1, len(each.shape)))) for each in values)


def in_steps(weights: np.ndarray, num_samples: int, batch_size: int) -> np.ndarray:
    """Arranges weights of points `(points,)` for `Entries.weighted_sum` with at most `batch_size` rows per forward pass."""
    per = max(1, batch_size // num_samples)
    steps = -(-len(weights) // per)
    per = -(-len(weights) // steps)  # as few as needed, so that little work is wasted on padding
    return np.pad(weights, (0, steps * per - len(weights))).reshape(steps, per)
