"""The compiled computations behind `OpenBox`: pieces, membership, exit distances, nearest walls."""

import dataclasses
import functools
import math
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_xai.graph.gradient import compiled, folded, linearize, stacked, traced
from keras_xai.openbox.network import PiecewiseNetwork

# What the norm of a wall's normal must exceed, relative to the largest in its layer, to be more than rounding error.
_ROUNDING = 16


class Programs:
    """Functions of one batch, compiled once for each shape of a sample.

    All take and return lists of tensors, one for each input of the model, samples along the first axis.

    Args:
        network: The network.
        jit_compile: Whether to compile with XLA.
    """

    def __init__(self, network: PiecewiseNetwork, *, jit_compile: bool = False):
        self._network = network
        self._jit_compile = jit_compile
        self._cache: dict[tuple, Callable] = {}
        self._wall_shapes: dict[tuple, tuple] = {}

    def fingerprint(self) -> int:
        """A checksum of the network's weights."""
        return self._network.fingerprint()

    def pieces(self, inputs, outputs):
        """`(scores, coefficients, intercepts, patterns)` of the linear piece that each sample is on.

        Args:
            inputs: The samples.
            outputs: Integer array `(n, k)`, the scores asked for of each sample.

        Returns:
            Scores `(n, C)`; for each input a tensor `(k, n, *shape)`; intercepts `(k, n)`; and the patterns.
        """
        k = outputs.shape[1]
        program = self._program("pieces", inputs, extra=[((None, k), "int32")], function=self._pieces)
        return program(list(inputs), outputs)

    def slack(self, inputs, others):
        """The least constraint value at `others[i]` for the polytope of `inputs[i]`, `(n,)`."""
        return self._program("slack", inputs, repeat=2, function=self._slack)(list(inputs), list(others))

    def exits(self, inputs, directions):
        """The step at which `inputs[i] + t * directions[i]` leaves the polytope of `inputs[i]`, `(n,)`."""
        return self._program("exits", inputs, repeat=2, function=self._exits)(list(inputs), list(directions))

    def nearest(self, inputs, dual_norm):
        """For each constraint tensor the nearest wall's distance and flat index, both `(tensors, n)`."""
        function = functools.partial(self._nearest, dual_norm=dual_norm)
        return self._program(("nearest", dual_norm), inputs, function=function)(list(inputs))

    def normals(self, inputs, tensor, index):
        """The gradients of the constraints `(tensor[i], index[i])`, as arrays of the shapes of `inputs`."""
        extra = [((None,), "int32"), ((None,), "int32")]
        return self._program("normals", inputs, extra=extra, function=self._normals)(list(inputs), tensor, index)

    def wall_shapes(self, inputs):
        """`(path, shape)` of each constraint tensor for one sample of the shapes of `inputs`."""
        key = tuple(array.shape[1:] for array in inputs)
        if key not in self._wall_shapes:
            shapes: list[tuple[str, tuple[int, ...]]] = []

            def record(inputs):
                shapes.extend((path, tuple(wall.shape[1:])) for path, wall in self._network.run(inputs)[2])

            traced(record, [self._signature(inputs)])
            self._wall_shapes[key] = tuple(shapes)
        return self._wall_shapes[key]

    def _signature(self, inputs):
        return [((None, *array.shape[1:]), self._network.dtype) for array in inputs]

    def _program(self, name, inputs, *, function, repeat=1, extra=()):
        key = (name, *(array.shape[1:] for array in inputs), *extra)
        if key not in self._cache:
            signature = [self._signature(inputs)] * repeat + list(extra)
            self._cache[key] = compiled(function, signature, jit_compile=self._jit_compile)
        return self._cache[key]

    def _pieces(self, inputs, outputs):
        def scores_of(inputs):
            scores, patterns, _ = self._network.run(inputs)
            return [scores], patterns

        line = linearize(scores_of, inputs)
        (scores,) = line.outputs
        chosen = ops.take_along_axis(scores, outputs, axis=1)

        def row(i):
            gradients = line.pull([ops.one_hot(outputs[:, i], self._network.num_outputs, dtype=scores.dtype)])
            # Accumulated in double precision: the intercept is a small difference of large numbers.
            product = sum(_sum_samples(_double(g) * _double(x)) for g, x in zip(gradients, inputs, strict=True))
            return (*gradients, ops.cast(_double(chosen[:, i]) - product, scores.dtype))

        dtypes = (self._network.dtype,) * (len(inputs) + 1)
        *coefficients, intercepts = stacked(row, outputs.shape[1], dtypes)
        return scores, coefficients, intercepts, line.auxiliary

    def _slack(self, inputs, others):
        _, patterns, _ = self._network.run(inputs)
        _, _, walls = self._network.run(others, patterns)
        return functools.reduce(ops.minimum, [_least(wall) for _, wall in walls], _infinite(inputs))

    def _line(self, inputs):
        """The constraint tensors of the samples' own pieces and their derivative."""

        def walls_of(inputs):
            return [wall for _, wall in self._network.run(inputs)[2]], None

        return linearize(walls_of, inputs)

    def _exits(self, inputs, directions):
        line = self._line(inputs)
        steps = [_infinite(inputs)]
        for wall, speed in zip(line.outputs, line.push(directions), strict=True):
            approaching = speed < -_negligible(ops.abs(speed))
            steps.append(_least(ops.where(approaching, wall / ops.where(approaching, -speed, 1), np.inf)))
        return functools.reduce(ops.minimum, steps)

    def _nearest(self, inputs, dual_norm):
        line = self._line(inputs)
        num_walls = sum(math.prod(wall.shape[1:]) for wall in line.outputs)
        num_dims = sum(math.prod(x.shape[1:]) for x in inputs)
        sizes = self._norms_by_dimension if num_dims <= num_walls else self._norms_by_wall
        distances, indices = [], []
        for wall, norm in zip(line.outputs, sizes(line, inputs, dual_norm), strict=True):
            real = norm > _negligible(norm)
            distance = _flat(ops.where(real, wall / ops.where(real, norm, 1), np.inf))
            distances.append(ops.min(distance, axis=1))
            indices.append(ops.argmin(distance, axis=1))
        return distances, indices

    def _norms_by_dimension(self, line, inputs, dual_norm):
        """Norms of all walls' normals from one directional derivative for each input dimension."""
        norm_of = _NORMS[dual_norm]
        totals = [ops.zeros_like(wall) for wall in line.outputs]
        for position, x in enumerate(inputs):
            shape = x.shape[1:]

            def step(i, totals, position=position, shape=shape):
                unit = ops.reshape(ops.one_hot(i, math.prod(shape), dtype=self._network.dtype), (1, *shape))
                tangents = [
                    unit + ops.zeros_like(other) if j == position else ops.zeros_like(other) for j, other in enumerate(inputs)
                ]
                speeds = line.push(tangents)
                return [norm_of.combine(total, norm_of.entry(speed)) for total, speed in zip(totals, speeds, strict=True)]

            totals = folded(step, math.prod(shape), totals)
        return [norm_of.finish(total) for total in totals]

    def _norms_by_wall(self, line, inputs, dual_norm):
        """The same from one vector-Jacobian product for each wall."""
        norm_of = _NORMS[dual_norm]
        norms = []
        for position, wall in enumerate(line.outputs):
            shape = wall.shape[1:]

            def row(i, position=position, shape=shape):
                unit = ops.reshape(ops.one_hot(i, math.prod(shape), dtype=self._network.dtype), (1, *shape))
                cotangents = [
                    unit + ops.zeros_like(other) if j == position else ops.zeros_like(other)
                    for j, other in enumerate(line.outputs)
                ]
                parts = [norm_of.reduce(norm_of.entry(_flat(gradient)), axis=1) for gradient in line.pull(cotangents)]
                return norm_of.finish(functools.reduce(norm_of.combine, parts))

            rows = stacked(row, math.prod(shape), self._network.dtype)
            norms.append(ops.reshape(ops.transpose(rows), (-1, *shape)))
        return norms

    def _normals(self, inputs, tensor, index):
        line = self._line(inputs)
        cotangents = []
        for position, wall in enumerate(line.outputs):
            picked = ops.one_hot(index, math.prod(wall.shape[1:]), dtype=self._network.dtype)
            here = ops.cast(ops.equal(tensor, position), self._network.dtype)
            cotangents.append(ops.reshape(picked * here[:, None], (-1, *wall.shape[1:])))
        return line.pull(cotangents)


@dataclasses.dataclass(frozen=True)
class _Norm:
    """A norm that can be gathered entry by entry."""

    entry: Callable  # what an entry contributes
    combine: Callable  # two contributions in one
    reduce: Callable  # all contributions along an axis in one
    finish: Callable  # the norm


_NORMS = {
    1: _Norm(ops.abs, ops.add, ops.sum, lambda total: total),
    2: _Norm(ops.square, ops.add, ops.sum, ops.sqrt),
    np.inf: _Norm(ops.abs, ops.maximum, ops.max, lambda total: total),
}


def _flat(x):
    return ops.reshape(x, (-1, math.prod(x.shape[1:])))


def _least(x):
    return ops.min(_flat(x), axis=1)


def _sum_samples(x):
    return ops.sum(_flat(x), axis=1)


def _double(x):
    return ops.cast(x, "float64")


def _infinite(inputs):
    return ops.full_like(_sum_samples(inputs[0]), np.inf)


def _negligible(sizes):
    """What does not exceed this is rounding error: the sample cannot move such a wall."""
    largest = ops.max(_flat(sizes), axis=1)
    epsilon = float(np.finfo(keras.backend.standardize_dtype(sizes.dtype)).eps)
    return ops.reshape(largest * (_ROUNDING * epsilon), (-1,) + (1,) * (len(sizes.shape) - 1))
