"""Gradients at noisy copies of a sample, for SmoothGrad and VarGrad."""

import abc
from collections.abc import Sequence
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.backend import normal
from keras_xai.data.checks import Verbose, check_count, check_number, check_seed
from keras_xai.network.entries import Entries, in_steps


class NoisyGradients(Method, abc.ABC):
    """Base class of methods that combine the gradients at noisy copies, which for one seed are the same for all of them.

    The arguments are those of `SmoothGrad`.

    Attributes:
        powers: The powers of the gradients whose means are needed.
    """

    gives_derivatives = True
    powers: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        model: keras.Model,
        *,
        num_samples: int = 32,
        noise: float = 0.15,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        check_count("num_samples", num_samples)
        check_number("noise", noise, least=0)
        self._num_samples = num_samples
        self._noise = noise
        self._seed = None if seed is None else check_seed(seed)

    def _prepare(self, target):
        entries = Entries(self._scores, type(self).__name__, target)
        layouts = [
            self._scores.layouts[position] if identifier in self._scores.graph.inputs else None  # vectors of tokens
            for position, identifier in zip(entries.sources, entries.identifiers, strict=True)
        ]

        def combined(inputs, indices, weights, numbers, seed):
            points = entries.points(inputs)
            spreads = [self._noise * _range(x) for x in points]

            def noisy(places):
                draws = [_draws(x, layouts[i], places, numbers, seed + i) for i, x in enumerate(points)]
                return [x + spread * draw for x, spread, draw in zip(points, spreads, draws, strict=True)]

            means = entries.weighted_sums(noisy, weights, inputs, indices, target, powers=self.powers)
            return self._combined(entries, means)

        arguments = (((None, None), self._scores.dtype), ((None,), "int32"), ((), "int32"))
        program = self._scores.program(target, combined, *arguments)
        predicted = self._scores.predictor(target)

        def explain(batch):
            indices = predicted(batch.inputs, batch.indices)
            weights = in_steps(
                np.full(self._num_samples, 1 / self._num_samples, self._scores.dtype), len(batch.numbers), self._batch_size
            )
            values = program(batch.inputs, indices, weights, batch.numbers, batch.seed)
            passes = 2 * self._num_samples * len(batch.numbers) + batch.passes_to_predict
            return Part(values, indices, convergence_delta=None, num_forward_passes=passes)

        return explain

    @abc.abstractmethod
    def _combined(self, entries: Entries, means: Sequence[list]) -> list:
        """The values of the inputs from the means of the powers, each a tensor for each entry; within a compiled program."""


def _draws(x, layout, places, numbers, seed):
    """Noise that is the same in all layouts of the input."""
    last = x if layout is None else layout.channels_last(x)
    draws = normal(last, places, numbers, seed)
    if last is x:
        return draws
    restored = layout.restored(ops.reshape(draws, (-1, *ops.shape(draws)[2:])))
    return ops.reshape(restored, (*ops.shape(draws)[:2], *ops.shape(restored)[1:]))


def _range(x):
    axes = tuple(range(1, len(x.shape)))
    return ops.max(x, axis=axes, keepdims=True) - ops.min(x, axis=axes, keepdims=True)
