"""The compiled computations behind `OpenBox`: pieces, membership, exit distances, normals of walls."""

import dataclasses
import functools
import threading

import cachetools
import numpy as np
from keras import ops

from keras_xai.backend import compiled, linearize, stacked, traced
from keras_xai.data.remade import Remade
from keras_xai.graph.steps import Step
from keras_xai.network.axes import Axes
from keras_xai.network.piecewise import PiecewiseNetwork
from keras_xai.openbox.normals import lengths, negligible, picked, rows, size_of, split

# Samples, and rows of a product for all scores of a batch: with more it takes as long as one product for each score, and more memory.
_FEW, _ROWS = 64, 4096
KEPT = 16  # programs of one network: all questions about samples of one size


@dataclasses.dataclass(frozen=True, eq=False)
class WallGroup:
    """The walls of one constraint tensor, as part of the flat list of all walls.

    Attributes:
        step: The call whose activation pattern the walls bound.
        number: Index of the tensor among the constraint tensors of that call.
        pattern: Index of the call's pattern among the network's patterns.
        shape: Shape of the tensor without the batch dimension.
        start: Start of the group in the flat list.
    """

    step: Step
    number: int
    pattern: int
    shape: tuple[int, ...]
    start: int


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """The layout of the flat lists of walls and patterns, for samples of one shape.

    Attributes:
        groups: The walls, group by group.
        num_walls: Total number of walls.
        patterns: `(shape, dtype)` of each pattern, with a batch dimension of `None`.
    """

    groups: tuple[WallGroup, ...]
    num_walls: int
    patterns: tuple[tuple[tuple, str], ...]

    def locate(self, index: int) -> tuple[WallGroup, tuple[int, ...]]:
        """The group of the wall at `index` in the flat list, and its index there."""
        group = next(group for group in reversed(self.groups) if group.start <= index)
        return group, tuple(int(i) for i in np.unravel_index(index - group.start, group.shape))


class Programs(Remade):
    """Functions of one batch, compiled once for each shape of a sample.

    All take and return lists of tensors, one for each input of the model, with samples along the first axis. Walls are in one flat list,
    ordered by `layout`.

    Args:
        network: The network.
        jit_compile: Whether to compile with XLA.
    """

    def __init__(self, network: PiecewiseNetwork, *, jit_compile: bool = False):
        self._network = network
        self._jit_compile = jit_compile
        # Limited to the last used programs, since samples may have any number of shapes.
        self._cache: cachetools.LRUCache = cachetools.LRUCache(KEPT)
        self._layouts: cachetools.LRUCache = cachetools.LRUCache(KEPT)
        self._lock = threading.Lock()  # caches are not safe for threads

    @functools.cached_property
    def input_layouts(self) -> tuple[str, ...]:
        """The layout of the axes of each input, see `keras_xai.layers.DeclaredLayout`."""
        return tuple(layout.letters for layout in Axes(self._network.graph).inputs())

    @functools.cached_property
    def _has_vectors_only(self):
        """Whether all tensors are vectors, whose products with a matrix cost less for many rows at once; those of images do not."""
        graph = self._network.graph
        return all(
            len(spec.shape) <= 2 for specs in (graph.input_specs, *(s.output_specs for s in graph.steps)) for spec in specs
        )

    def fingerprint(self) -> int:
        """A checksum of the network's weights."""
        return self._network.fingerprint()

    def layout(self, inputs) -> Layout:
        """The order of walls and patterns for one sample of the shapes of `inputs`."""
        key = tuple(array.shape[1:] for array in inputs)
        with self._lock:
            layout = self._layouts.get(key)
        if layout is None:
            found: list[Layout] = []

            def record(inputs):
                _, patterns, walls = self._network.run(inputs)
                starts = np.cumsum([0, *(size_of(wall.value) for wall in walls)]).tolist()
                groups = tuple(
                    WallGroup(wall.step, wall.number, wall.pattern, tuple(wall.value.shape[1:]), start)
                    for wall, start in zip(walls, starts, strict=False)
                )
                found.append(Layout(groups, starts[-1], tuple(_spec(pattern) for pattern in patterns)))

            traced(record, [self._signature(inputs)])
            layout = found[0]
            with self._lock:
                self._layouts[key] = layout
        return layout

    def features(self, inputs):
        """The variables of the pieces, computed from the model's inputs."""
        return self._program("features", self._network.features, inputs)(list(inputs))

    def pieces(self, inputs, outputs):
        """Computes `(scores, coefficients, intercepts, patterns)` of the linear piece of each sample.

        Args:
            inputs: The samples.
            outputs: Integer array `(n, k)`, the selected scores of each sample.

        Returns:
            Scores `(n, C)`; for each input a tensor `(k, n, *shape)`; intercepts `(k, n)`; and the patterns.
        """
        chosen = [((None, outputs.shape[1]), "int32")]
        if self._has_vectors_only and len(outputs) <= _FEW and outputs.size <= _ROWS:
            return self._program("pieces at once", self._pieces_at_once, inputs, chosen)(list(inputs), outputs)
        return self._program("pieces", self._pieces, inputs, chosen)(list(inputs), outputs)

    def identify(self, inputs):
        """Computes `(scores, patterns)` of each sample in one forward pass."""
        return self._program("identify", self._identify, inputs)(list(inputs))

    def solve(self, patterns, origins):
        """Computes `(coefficients, intercepts)` of all scores on the piece of each of `patterns` from the pattern alone.

        Args:
            patterns: One batch of patterns.
            origins: Zeros of the shape of a batch of inputs.

        Returns:
            For each input an array `(C, n, *shape)`, and intercepts `(C, n)`.
        """
        given = [list(self.layout(origins).patterns)]
        return self._program("solve", self._solve, origins, given)(list(origins), list(patterns))

    def slack(self, inputs, others):
        """The least constraint value at `others[i]` for the polytope of `inputs[i]`, `(n,)`."""
        return self._program("slack", self._slack, inputs, [self._signature(inputs)])(list(inputs), list(others))

    def values(self, inputs, others):
        """All constraint values at `others[i]` for the polytope of `inputs[i]`, `(n, walls)`."""
        return self._program("values", self._values, inputs, [self._signature(inputs)])(list(inputs), list(others))

    def exits(self, inputs, directions):
        """The step at which `inputs[i] + t * directions[i]` leaves the polytope of `inputs[i]`, `(n,)`."""
        return self._program("exits", self._exits, inputs, [self._signature(inputs)])(list(inputs), list(directions))

    def sections(self, inputs, tangents):
        """The pieces and polytopes of samples along k directions.

        Args:
            inputs: The samples.
            tangents: For each input an array `(k, n, *shape)`.

        Returns:
            `(scores, score_speeds, walls, wall_speeds, patterns)`: scores `(n, C)` and walls `(n, walls)` with their
            derivatives along each direction, `(k, n, C)` and `(k, n, walls)`.
        """
        k = len(tangents[0])
        specs = [((k, *shape), dtype) for shape, dtype in self._signature(inputs)]
        return self._program("sections", self._sections, inputs, [specs])(list(inputs), list(tangents))

    def nearest(self, inputs, dual_norm, count, width=1):
        """The distances to the `count` nearest walls, nearest first, and their flat indices, both `(n, count)`.

        Args:
            inputs: The samples.
            dual_norm: The norm of the normals.
            count: Number of walls.
            width: Number of derivatives computed at once.
        """
        function = functools.partial(self._nearest, dual_norm=dual_norm, count=count, width=width)
        return self._program(("nearest", dual_norm, count, width), function, inputs)(list(inputs))

    def normals(self, inputs, index):
        """The gradients of the walls `index[i]` at `inputs[i]`, as arrays of the shapes of `inputs`."""
        return self._program("normals", self._normals, inputs, [((None,), "int32")])(list(inputs), index)

    def rows(self, inputs, width):
        """Constraint values `(walls,)` and normals `(walls, d)` of one sample; infinite values where there is no wall.

        Args:
            inputs: One sample.
            width: Number of derivatives computed at once.
        """
        function = functools.partial(self._rows, width=width)
        return self._program(("rows", width), function, inputs)(list(inputs))

    def _signature(self, inputs):
        return [((None, *array.shape[1:]), self._network.dtype) for array in inputs]

    def _program(self, name, function, inputs, more=()):
        key = (name, *(array.shape[1:] for array in inputs), repr(more))
        with self._lock:
            program = self._cache.get(key)
            if program is None:  # it is traced when it is called first, not here
                signature = [self._signature(inputs), *more]
                program = self._cache[key] = compiled(function, signature, jit_compile=self._jit_compile)
        return program

    def _pieces(self, inputs, outputs):
        def scores_of(inputs):
            scores, patterns, _ = self._network.run(inputs)
            return [scores], patterns

        line = linearize(scores_of, inputs)
        (scores,) = line.outputs

        def row(i):
            gradients = line.pull([ops.one_hot(outputs[:, i], self._network.num_outputs, dtype=scores.dtype)])
            return (*gradients, _intercepts(scores, outputs[:, i], gradients, inputs))

        dtypes = (self._network.dtype,) * (len(inputs) + 1)
        *coefficients, intercepts = stacked(row, outputs.shape[1], dtypes)
        return scores, coefficients, intercepts, line.auxiliary

    def _pieces_at_once(self, inputs, outputs):
        """As `_pieces`, with one product for all scores: the frozen network takes each sample once for each score.

        Its forward pass is pruned from the compiled program, since the derivative depends on the patterns alone.
        """
        scores, patterns, _ = self._network.run(inputs)
        k = outputs.shape[1]
        repeated = [ops.tile(pattern, (k, *[1] * (len(pattern.shape) - 1))) for pattern in patterns]
        points = [ops.tile(ops.zeros_like(x), (k, 1)) for x in inputs]
        line = linearize(lambda points: ([self._network.run(points, repeated)[0]], None), points)
        chosen = ops.reshape(ops.transpose(outputs), (-1,))
        gradients = line.pull([ops.one_hot(chosen, self._network.num_outputs, dtype=scores.dtype)])
        gradients = [ops.reshape(each, (k, -1, each.shape[-1])) for each in gradients]
        intercepts = [_intercepts(scores, outputs[:, i], [each[i] for each in gradients], inputs) for i in range(k)]
        return scores, gradients, ops.stack(intercepts), patterns

    def _identify(self, inputs):
        return self._network.run(inputs)[:2]

    def _solve(self, origins, patterns):
        line = linearize(lambda inputs: ([self._network.run(inputs, patterns)[0]], None), origins)
        (intercepts,) = line.outputs

        def row(i):
            unit = ops.one_hot(ops.reshape(i, (1,)), self._network.num_outputs, dtype=intercepts.dtype)
            return tuple(line.pull([unit + ops.zeros_like(intercepts)]))

        coefficients = stacked(row, self._network.num_outputs, (self._network.dtype,) * len(origins))
        return list(coefficients), ops.transpose(intercepts)

    def _slack(self, inputs, others):
        return functools.reduce(ops.minimum, map(_least, self._walls_at(inputs, others)), _infinite(inputs))

    def _values(self, inputs, others):
        return _joined(self._walls_at(inputs, others), inputs)

    def _walls_at(self, inputs, others):
        _, patterns, _ = self._network.run(inputs)
        return [wall.value for wall in self._network.run(others, patterns)[2]]

    def _line(self, inputs):
        """The constraint tensors of the samples' own pieces and their derivative."""
        return linearize(lambda inputs: ([wall.value for wall in self._network.run(inputs)[2]], None), inputs)

    def _exits(self, inputs, directions):
        line = self._line(inputs)
        steps = [_infinite(inputs)]
        for wall, speed in zip(line.outputs, line.push(directions), strict=True):
            approaching = speed < -negligible(ops.abs(speed))
            steps.append(_least(ops.where(approaching, wall / ops.where(approaching, -speed, 1), np.inf)))
        return functools.reduce(ops.minimum, steps)

    def _sections(self, inputs, tangents):
        def everything(inputs):
            scores, patterns, walls = self._network.run(inputs)
            return [scores, *(wall.value for wall in walls)], patterns

        line = linearize(everything, inputs)
        scores, *walls = line.outputs
        score_speeds, wall_speeds = [], []
        for j in range(tangents[0].shape[0]):
            score_speed, *speeds = line.push(
                [ops.broadcast_to(each[j], ops.shape(x)) for each, x in zip(tangents, inputs, strict=True)]
            )
            score_speeds.append(score_speed)
            real = [ops.where(ops.abs(speed) > negligible(ops.abs(speed)), speed, 0) for speed in speeds]
            wall_speeds.append(_joined(real, inputs))
        return scores, ops.stack(score_speeds), _joined(walls, inputs), ops.stack(wall_speeds), line.auxiliary

    def _nearest(self, inputs, dual_norm, count, width):
        line = self._line(inputs)
        distances = []
        for wall, length in zip(line.outputs, lengths(self._line, line, inputs, dual_norm, width), strict=True):
            real = length > negligible(length)
            distances.append(ops.where(real, wall / ops.where(real, length, 1), np.inf))
        nearest, index = ops.top_k(-_joined(distances, inputs), count)
        return -nearest, index

    def _normals(self, inputs, index):
        line = self._line(inputs)
        return line.pull(picked(line.outputs, index))

    def _rows(self, inputs, width):
        line = self._line(inputs)
        normals = rows(self._line, line, inputs, width)
        sizes = split(line.outputs, ops.sqrt(ops.sum(ops.square(normals), axis=1))[None])
        values = [ops.where(size > negligible(size), wall, np.inf) for wall, size in zip(line.outputs, sizes, strict=True)]
        return _joined(values, inputs)[0], normals


def _intercepts(scores, chosen, gradients, inputs):
    """The intercepts of the chosen score of each sample, `(n,)`."""
    # Accumulated in double precision: the intercept is a small difference of large values.
    product = sum(_sum_samples(_double(g) * _double(x)) for g, x in zip(gradients, inputs, strict=True))
    return ops.cast(_double(ops.take_along_axis(scores, chosen[:, None], axis=1)[:, 0]) - product, scores.dtype)


def _spec(pattern):
    return (None, *pattern.shape[1:]), pattern.dtype.name


def _flat(x):
    return ops.reshape(x, (-1, size_of(x)))


def _joined(tensors, inputs):
    """Constraint tensors concatenated to one, `(n, walls)`."""
    return ops.concatenate([ops.reshape(_infinite(inputs), (-1, 1))[:, :0], *map(_flat, tensors)], axis=1)


def _least(x):
    return ops.min(_flat(x), axis=1)


def _sum_samples(x):
    return ops.sum(_flat(x), axis=1)


def _double(x):
    return ops.cast(x, "float64")


def _infinite(inputs):
    return ops.full_like(_sum_samples(inputs[0]), np.inf)
