"""`LinearPieces`: the linear piece of a network that each of some samples is on."""

import dataclasses
from typing import Any

import numpy as np
from keras import ops

from keras_xai.graph.inputs import Samples, progress
from keras_xai.openbox.programs import Programs

_DUAL = {1: np.inf, 2: 2, np.inf: 1}


@dataclasses.dataclass(frozen=True, eq=False)
class Walls:
    """The wall of its polytope that is nearest to each of n samples.

    Attributes:
        distance: `(n,)`, in the norm asked for; `inf` where the polytope is the whole space.
        direction: Of the samples' shape. A step of length 1 in that norm; `x + distance * direction` is on the wall.
        layer: Paths of the layers whose unit changes its piece at the wall, `None` where there is no wall.
        unit: Index of that unit in its layer, without the batch dimension. For a choice among candidates (max pooling)
            it is the rival's index in the array of shape `(*windows, candidates, channels)`.
    """

    distance: np.ndarray
    direction: Any
    layer: tuple[str | None, ...]
    unit: tuple[tuple[int, ...] | None, ...]


class LinearPieces:
    """The linear pieces on which n samples are, made by calling an `OpenBox`.

    Row i belongs to sample i: near it the model's scores are `coef[i] x' + intercept[i]`. For a model of several inputs,
    `x`, `coef` and directions have the structure of its inputs.

    Attributes:
        x: The samples, `(n, *input_shape)`, in float64.
        outputs: `(n, k)`, which of the model's scores the coefficients belong to.
        scores: `(n, C)`, all scores of the samples: the model's outputs before the final softmax or sigmoid.
        coef: `(n, k, *input_shape)`.
        intercept: `(n, k)`.
        region_id: `(n,)` strings, equal exactly for samples of one region.
    """

    def __init__(
        self,
        *,
        geometry: Programs,
        samples: Samples,
        outputs: np.ndarray,
        scores: np.ndarray,
        coefficients: list[np.ndarray],
        intercept: np.ndarray,
        region_id: np.ndarray,
    ):
        self._geometry = geometry
        self._samples = samples
        self._x = [array.copy() for array in samples.arrays]  # the user may go on to change theirs
        for array in self._x:
            array.setflags(write=False)
        self._fingerprint = geometry.fingerprint()
        self._coefficients = coefficients
        self.x = samples.pack(self._x)
        self.coef = samples.pack(coefficients)
        self.outputs = outputs
        self.scores = scores
        self.intercept = intercept
        self.region_id = region_id

    def __len__(self) -> int:
        return len(self.outputs)

    def predict(self, x: Any) -> np.ndarray:
        """Evaluates each sample's own linear piece at another input.

        Args:
            x: `(n, *input_shape)`; `x[i]` goes into the piece of sample i.

        Returns:
            `(n, k)`: `coef[i] x[i] + intercept[i]`. Equal to the model's scores where `contains(x)`.
        """
        others = self._check(x)
        result = self.intercept.astype("float64")
        for start in range(0, len(self), self._samples.batch_size):
            rows = slice(start, start + self._samples.batch_size)
            for coef, other in zip(self._coefficients, others, strict=True):
                # In double precision: the sum has as many terms as the input has entries.
                flat = coef[rows].reshape(*coef[rows].shape[:2], -1).astype("float64")
                result[rows] += np.einsum("nkd,nd->nk", flat, other[rows].reshape(len(flat), -1))
        return result.astype(self.intercept.dtype)

    def contains(self, x: Any, *, verbose: Any = 0) -> np.ndarray:
        """Whether other inputs are in the samples' polytopes, for about two forward passes in float64.

        Args:
            x: `(n, *input_shape)`; `x[i]` is held against the closed polytope of sample i.
            verbose: 0 for silence, 1 or `"auto"` for a progress bar, 2 for one line.

        Returns:
            `(n,)` booleans. Computed in float64 without a tolerance: for inputs nearer to a wall than rounding error,
            either may come out.
        """
        others = self._check(x)
        slacks = self._run(lambda batch, rows: self._geometry.slack(batch, [other[rows] for other in others]), verbose)
        return np.concatenate([ops.convert_to_numpy(slack) for slack in slacks]) >= 0

    def exit_distance(self, direction: Any, *, verbose: Any = 0) -> np.ndarray:
        """How far a straight line from each sample stays in its polytope, for about two forward passes in float64.

        Along a line every constraint is linear in the step, so that the first wall is found exactly, in any network.

        Args:
            direction: `(n, *input_shape)`; finite, of any length.
            verbose: 0 for silence, 1 or `"auto"` for a progress bar, 2 for one line.

        Returns:
            `(n,)`, the largest t for which `x[i] + t * direction[i]` is in the polytope: a distance where the direction
            has length 1. `inf` where the line never leaves it.
        """
        directions = self._check(direction)
        steps = self._run(lambda batch, rows: self._geometry.exits(batch, [each[rows] for each in directions]), verbose)
        return np.concatenate([ops.convert_to_numpy(step) for step in steps])

    def radius(self, norm: float = 2, *, max_passes: int | None = 10_000, verbose: Any = "auto") -> np.ndarray:
        """The certified radius: how far the pattern of units around each sample stays the same in all directions.

        Args:
            norm: 1, 2 or `numpy.inf`.
            max_passes: See `nearest_wall`.
            verbose: See `nearest_wall`.

        Returns:
            `(n,)`, `min_j z_j(x) / ||a_j||_q` over all constraints, q dual to `norm`. Within it the linear piece is the
            network; beyond it, it may still be, where what follows does not pass the changed unit on. 0 where a sample is
            on a wall, as an image with a constant patch is at a max pooling that sees the patch.
        """
        return self.nearest_wall(norm, max_passes=max_passes, verbose=verbose).distance

    def nearest_wall(self, norm: float = 2, *, max_passes: int | None = 10_000, verbose: Any = "auto") -> Walls:
        """The wall of its polytope that is nearest to each sample.

        The normals of all walls are needed: one pass through the network for each input dimension or for each wall,
        whichever are fewer, for each batch.

        Args:
            norm: 1, 2 or `numpy.inf`.
            max_passes: The most passes for one batch that may be spent; `None` for any number.
            verbose: 0 for silence, 1 or `"auto"` for a progress bar, 2 for one line.

        Returns:
            `Walls`. In the 2-norm, the wall is a true facet of the polytope unless another is equally near.

        Raises:
            ValueError: If the norm is another one, or the cost is above `max_passes`.
        """
        if norm not in list(_DUAL):
            raise ValueError(f"Expected `norm` to be 1, 2 or numpy.inf. Received: norm={norm!r}")
        shapes = self._geometry.wall_shapes(self._x)
        self._check_cost(sum(int(np.prod(shape)) for _, shape in shapes), max_passes)
        results = list(self._run(lambda batch, rows: self._nearest_in_batch(batch, norm, shapes), verbose))
        distance, tensor, index, *directions = (np.concatenate(arrays) for arrays in zip(*results, strict=True))
        found = np.isfinite(distance)
        return Walls(
            distance=distance,
            direction=self._samples.pack(list(directions)),
            layer=tuple(shapes[t][0] if ok else None for t, ok in zip(tensor, found, strict=True)),
            unit=tuple(
                tuple(int(i) for i in np.unravel_index(j, shapes[t][1])) if ok else None
                for t, j, ok in zip(tensor, index, found, strict=True)
            ),
        )

    def decision_features(self, target: Any = None, *, against: Any = "all") -> Any:
        """The weights by which each sample's piece prefers one class to others.

        Args:
            target: Class index, or one per sample; the highest of the scores asked for by default.
            against: `"all"` for the mean over all other classes c', `D_c = 1/(C-1) sum (W_c - W_c')`, as Chu et al.;
                `"runner-up"` for the class with the next score; or a class index, or one per sample.

        Returns:
            Of the samples' shape, `(n, *input_shape)`. With one score alone, its weights.

        Raises:
            ValueError: If a class is not among the `outputs` of its sample.
        """
        n, k = self.outputs.shape
        rows = np.arange(n)
        ranked = np.argsort(-np.take_along_axis(self.scores, self.outputs, axis=1), axis=1, kind="stable")
        chosen = ranked[:, 0] if target is None else self._positions(target)
        if isinstance(against, str) and against == "all":
            others = np.ones((n, k)) / max(k - 1, 1)
            others[rows, chosen] = 0
        else:
            if isinstance(against, str) and against == "runner-up":
                if k < 2:
                    raise ValueError(
                        f"Expected at least two outputs for a runner-up. Received: outputs of shape {self.outputs.shape}."
                    )
                rival = np.where(ranked[:, 0] == chosen, ranked[:, 1], ranked[:, 0])
            else:
                rival = self._positions(against)
            others = np.zeros((n, k))
            others[rows, rival] = 1
        return self._samples.pack(
            [coef[rows, chosen] - np.einsum("nk,nk...->n...", others.astype(coef.dtype), coef) for coef in self._coefficients]
        )

    def _positions(self, classes):
        classes = np.broadcast_to(np.asarray(classes), (len(self),))
        matches = self.outputs == classes[:, None]
        if not matches.any(axis=1).all():
            raise ValueError(
                f"Expected classes among the outputs asked for, {np.unique(self.outputs)}. Received: {np.unique(classes)}"
            )
        return matches.argmax(axis=1)

    def _check(self, x):
        others = self._samples.check(x)
        if len(others[0]) != len(self) or any(a.shape != b.shape for a, b in zip(others, self._x, strict=True)):
            raise ValueError(
                f"Expected one input for each of the {len(self)} samples, of shape {[a.shape for a in self._x]}. "
                f"Received: {[a.shape for a in others]}"
            )
        return others

    def _check_cost(self, num_walls, max_passes):
        num_dims = sum(int(np.prod(array.shape[1:])) for array in self._x)
        passes = min(num_walls, num_dims)
        if max_passes is not None and passes > max_passes:
            raise ValueError(
                f"The nearest of {num_walls:,} walls in {num_dims:,} input dimensions costs {passes:,} passes through the network "
                f"for each of {-(-len(self) // self._samples.batch_size)} batches, more than `max_passes`={max_passes:,}. "
                "`exit_distance(direction)` gives the exact distance along any direction for two passes. To go on all the same, "
                "pass `max_passes=None`."
            )

    def _run(self, program, verbose):
        """Yields a program's results of one batch of the samples after the other."""
        if self._geometry.fingerprint() != self._fingerprint:
            raise RuntimeError(
                "The model's weights have changed since these linear pieces were computed, so that they are no longer pieces of "
                "the model. Call the `OpenBox` on the samples again."
            )
        starts = range(0, len(self), self._samples.batch_size)
        for start in progress(starts, len(starts), verbose):
            rows = slice(start, start + self._samples.batch_size)
            yield program([array[rows] for array in self._x], rows)

    def _nearest_in_batch(self, batch, norm, shapes):
        distances, indices = self._geometry.nearest(batch, _DUAL[norm])
        n = len(batch[0])
        if not shapes:
            nowhere = np.zeros(n, int)
            return np.full(n, np.inf), nowhere, nowhere, *(np.zeros_like(array) for array in batch)
        distances, indices = (np.stack([ops.convert_to_numpy(each) for each in list_]) for list_ in (distances, indices))
        tensor = distances.argmin(axis=0)
        distance, index = distances[tensor, np.arange(n)], indices[tensor, np.arange(n)]
        normals = [
            ops.convert_to_numpy(a) for a in self._geometry.normals(batch, tensor.astype("int32"), index.astype("int32"))
        ]
        return distance, tensor, index, *_towards(normals, norm)


def _towards(normals, norm):
    """The steps of length 1 in `norm` that decrease `normals . step` most."""
    flat = np.concatenate([a.reshape(len(a), -1) for a in normals], axis=1)
    if norm == 2:
        length = np.linalg.norm(flat, axis=1, keepdims=True)
        step = -flat / np.where(length > 0, length, 1)
    elif norm == np.inf:
        step = -np.sign(flat)
    else:
        largest = np.abs(flat).argmax(axis=1)[:, None]
        step = np.zeros_like(flat)
        np.put_along_axis(step, largest, -np.sign(np.take_along_axis(flat, largest, axis=1)), axis=1)
    sizes = np.cumsum([a[0].size for a in normals])[:-1]
    return [part.reshape(a.shape) for part, a in zip(np.split(step, sizes, axis=1), normals, strict=True)]
