"""`LinearPieces`: the linear pieces of a network at samples."""

import copy
import functools
from typing import Any, Self

import numpy as np
from keras import ops

from keras_xai.data.checks import Verbose, check_count, check_positive, is_integer, is_number
from keras_xai.data.progress import progress
from keras_xai.data.reader import Samples, read_all
from keras_xai.data.structure import packed
from keras_xai.openbox.geometry.counterfactuals import CounterfactualSearch, checked_targets, competing_classes
from keras_xai.openbox.geometry.nearest import DUAL, NearestFacets, check_norm, towards
from keras_xai.openbox.geometry.polytope import Polytope, describe, labels_of
from keras_xai.openbox.preferences import Against, preferences, preferred
from keras_xai.openbox.programs import Programs
from keras_xai.openbox.space import Box, Space
from keras_xai.results.base import Shown, chosen_rows, taken
from keras_xai.results.counterfactuals import Counterfactuals
from keras_xai.results.facets import Facets
from keras_xai.results.text import counted, shapes
from keras_xai.results.walls import Walls


class LinearPieces(Shown):
    """The linear pieces of n samples, returned by calling an `OpenBox`.

    Row i belongs to sample i: near it, the model's scores are `coef[i] x' + intercept[i]`. For a model of several inputs, `x`, `coef` and
    directions have the structure of its inputs. `pieces[2:5]` selects the pieces of three samples.

    Attributes:
        x: The samples, `(n, *input_shape)`, in float64.
        outputs: `(n, k)`, indices of the model's scores that the coefficients belong to.
        scores: `(n, C)`, all scores of the samples: the model's outputs before the final softmax or sigmoid.
        coef: `(n, k, *input_shape)`.
        intercept: `(n, k)`.
        region_id: `(n,)` strings, equal for two samples if and only if they are in the same region.
        space: The input space, which converts between vectors and inputs in the model's structure.
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
        self._inputs = samples.inputs
        self._batch_size = samples.batch_size
        self._x = [
            np.array(array, "float64") for array in samples.arrays()
        ]  # a copy, so that later changes by the user have no effect
        for array in self._x:
            array.setflags(write=False)
        self._fingerprint = geometry.fingerprint()
        self._coefficients = coefficients
        self.space = Space(
            tuple(array.shape[1:] for array in self._x),
            functools.partial(packed, inputs=samples.inputs),
            geometry.input_layouts,
        )
        self.x = self.space.pack(self._x)
        self.coef = self.space.pack(coefficients)
        self.outputs = outputs
        self.scores = scores
        self.intercept = intercept
        self.region_id = region_id

    def __len__(self) -> int:
        return len(self.outputs)

    def __getitem__(self, index: Any) -> Self:
        """The linear pieces of selected samples, by an index, a slice, a list of indices or a boolean array."""
        rows = chosen_rows(index, len(self))
        part = copy.copy(self)
        for name in ("_x", "_coefficients", "x", "coef", "outputs", "scores", "intercept", "region_id"):
            setattr(part, name, taken(getattr(self, name), rows))
        return part

    def _summary(self) -> str:
        return f"of {counted(len(self), 'sample')} of shape {shapes(self._x)} on {counted(len(set(self.region_id)), 'region')}"

    def _facts(self) -> dict[str, Any]:
        return {"scores": self.scores, "coefficients": self._coefficients, "intercepts": self.intercept}

    def predict(self, x: Any) -> np.ndarray:
        """Evaluates each sample's own linear piece at another input.

        Args:
            x: `(n, *input_shape)`; `x[i]` is evaluated on the piece of sample i.

        Returns:
            `(n, k)`: `coef[i] x[i] + intercept[i]`. Equal to the model's scores if `contains(x)`.
        """
        others = self._check(x)
        result = self.intercept.astype("float64")
        for start in range(0, len(self), self._batch_size):
            rows = slice(start, start + self._batch_size)
            for coef, other in zip(self._coefficients, others, strict=True):
                # In double precision, because the sum has as many terms as the input has entries.
                flat = coef[rows].reshape(*coef[rows].shape[:2], -1).astype("float64")
                result[rows] += np.einsum("nkd,nd->nk", flat, other[rows].reshape(len(flat), -1))
        return result.astype(self.intercept.dtype)

    def contains(self, x: Any, *, verbose: Verbose = "auto") -> np.ndarray:
        """Returns whether other inputs are in the samples' polytopes, at the cost of about two forward passes in float64.

        Args:
            x: `(n, *input_shape)`; `x[i]` is compared with the closed polytope of sample i.
            verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

        Returns:
            `(n,)` booleans, computed in float64 without a tolerance: inputs closer to a wall than rounding error may get either value.
        """
        others = self._check(x)
        slacks = self._run(lambda batch, rows: self._geometry.slack(batch, [other[rows] for other in others]), verbose)
        return np.concatenate([ops.convert_to_numpy(slack) for slack in slacks]) >= 0

    def exit_distance(self, direction: Any, *, verbose: Verbose = "auto") -> np.ndarray:
        """Returns how far a straight line from each sample stays in its polytope, for about two forward passes in float64.

        Along a line, every constraint is linear in the step, so the first wall is found exactly in any network.

        Args:
            direction: `(n, *input_shape)`; finite, of any length.
            verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

        Returns:
            `(n,)`, the largest t for which `x[i] + t * direction[i]` is in the polytope: a distance if the direction has length 1. `inf` if
            the line never leaves the polytope.
        """
        directions = self._check(direction)
        steps = self._run(lambda batch, rows: self._geometry.exits(batch, [each[rows] for each in directions]), verbose)
        return np.concatenate([ops.convert_to_numpy(step) for step in steps])

    def radius(self, norm: float = 2, *, max_passes: int | None = 10_000, verbose: Verbose = "auto") -> np.ndarray:
        """Returns the certified radius, within which the activation pattern around each sample is constant.

        Args:
            norm: 1, 2 or `numpy.inf`.
            max_passes: See `nearest_wall`.
            verbose: See `nearest_wall`.

        Returns:
            `(n,)`, `min_j z_j(x) / ||a_j||_q` over all constraints, with q dual to `norm`. Within it the network equals the linear piece;
            beyond it, it may still do so if later layers do not propagate the changed unit. 0 if a sample is on a wall, such as an image
            with a constant patch in a window of a max pooling.
        """
        return self.nearest_wall(norm, max_passes=max_passes, verbose=verbose).distance

    def nearest_wall(self, norm: float = 2, *, max_passes: int | None = 10_000, verbose: Verbose = "auto") -> Walls:
        """Returns the nearest wall of each sample's polytope.

        This needs the normals of all walls: per batch, one pass through the network for each input dimension or for each wall, whichever
        are fewer.

        Args:
            norm: 1, 2 or `numpy.inf`.
            max_passes: Maximum number of passes per batch; `None` for no limit.
            verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

        Returns:
            `Walls`. In the 2-norm, the wall is a facet of the polytope unless another wall is equally near.

        Raises:
            ValueError: If the norm is not supported, or the cost exceeds `max_passes`.
        """
        check_norm(norm)
        layout = self._geometry.layout(self._x)
        self._check_cost(layout.num_walls, max_passes)
        results = list(self._run(lambda batch, rows: self._nearest_in_batch(batch, norm, layout), verbose))
        distance, index, *directions = (np.concatenate(arrays) for arrays in zip(*results, strict=True))
        located = [layout.locate(j) if ok else (None, None) for j, ok in zip(index, np.isfinite(distance), strict=True)]
        return Walls(
            distance=distance,
            direction=self.space.pack(list(directions)),
            layer=tuple(None if group is None else group.step.path for group, _ in located),
            unit=tuple(unit for _, unit in located),
        )

    def nearest_facets(
        self, k: int = 10, *, norm: float = 2, max_passes: int | None = 10_000, verbose: Verbose = "auto"
    ) -> tuple[Facets, ...]:
        """Returns facets of each sample's polytope, nearest first: the constraints that define its region.

        A wall is certified as a facet, without a linear program, if the sample's projection onto its plane satisfies all other constraints.
        Facets with a projection outside the polytope are left out; `polytope(i).facets()` finds all facets where that is affordable.

        Args:
            k: Maximum number of facets per sample.
            norm: Norm of the distances, 1, 2 or `numpy.inf`.
            max_passes: See `nearest_wall`.
            verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

        Returns:
            A `Facets` for each sample, with k facets, or as many as its polytope has that can be certified.

        Raises:
            ValueError: If an argument is invalid, the norm is not supported, or the cost exceeds `max_passes`.
        """
        check_norm(norm)
        check_count("k", k)
        layout = self._geometry.layout(self._x)
        k = min(k, layout.num_walls)
        self._check_cost(layout.num_walls, max_passes)
        search = NearestFacets(self._geometry, self.space, self._batch_size, norm)
        facets: list[Facets] = []
        for found, patterns in self._run(lambda batch, rows: (search.find(batch, k), self._patterns(batch)), verbose):
            for sample, (indices, distances, normals) in enumerate(found):
                values = distances * np.linalg.norm(normals, ord=DUAL[norm], axis=1)
                label = labels_of(layout, [pattern[sample] for pattern in patterns])
                facets.append(describe(normals, values, [label(int(index)) for index in indices], self.space))
        return tuple(facets)

    def polytope(self, index: int, *, bounds: Any = None, max_passes: int | None = 10_000) -> Polytope:
        """Returns all constraints of one sample's polytope.

        Args:
            index: Index of the sample.
            bounds: The input box: `None` for no box, or `(lower, upper)`, each a number or an array of a sample's shape, infinite for no
                limit. Its sides are added to the constraints.
            max_passes: Maximum number of passes through the network. The cost is one pass for each input dimension or for each wall,
                whichever are fewer, `batch_size` at a time.

        Raises:
            ValueError: If there is no such sample, `bounds` is not a box that contains it, or the cost exceeds `max_passes`.
        """
        if not is_integer(index) or not -len(self) <= index < len(self):
            raise ValueError(f"Expected the index of one of {len(self)} samples. Received: index={index!r}")
        box = Box.of(bounds, self.space)
        sample = [array[[index]] for array in self._x]
        vector = self.space.vectors(sample)
        box.check_holds(vector)
        layout = self._geometry.layout(sample)
        self._check_cost(layout.num_walls, max_passes, num_batches=1)
        self._check_weights()
        normals, values = np.zeros((0, vector.shape[1])), np.zeros(0)
        if layout.num_walls:
            values, normals = map(ops.convert_to_numpy, self._geometry.rows(sample, self._batch_size))
        label = labels_of(layout, [pattern[0] for pattern in self._patterns(sample)])
        return Polytope(x=vector[0], normals=normals, values=values, label=label, space=self.space, box=box)

    def counterfactuals(
        self,
        target: Any = None,
        *,
        norm: float = 2,
        bounds: Any = None,
        margin: float = 1e-6,
        within: float = np.inf,
        verbose: Verbose = "auto",
    ) -> Counterfactuals:
        """Finds the nearest input in each sample's region that the network assigns to another class.

        The result is exact: inside the region the decision boundary is flat, and the nearest point beyond it that satisfies the constraints
        of region and box is the solution of a quadratic (norm 2) or linear program. Only violated constraints are computed. Their number
        grows with the number of input dimensions: milliseconds per sample in tens of dimensions, but up to minutes in hundreds, where
        `within` limits the search.

        Args:
            target: The target class, or one per sample; by default the nearest other class. For a model with one score, class 1 wins if it
                is positive and class 0 otherwise.
            norm: Norm of the distance, 1, 2 or `numpy.inf`.
            bounds: The input box, as in `polytope`.
            margin: Score margin by which the other class wins.
            within: Maximum distance of the search.
            verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

        Returns:
            `Counterfactuals`. Regions are small, and many contain inputs of one class only: then there is no counterfactual.

        Raises:
            ValueError: If an argument is invalid, or a sample already belongs to the target class.
            RuntimeError: If a linear program fails.
        """
        check_norm(norm)
        check_positive("margin", margin)
        if not is_number(within) or not within > 0:
            raise ValueError(f"Expected `within` to be a positive number or infinity. Received: within={within!r}")
        box = Box.of(bounds, self.space)
        vectors = self.space.vectors(self._x)
        box.check_holds(vectors)
        competing = [each for batch in self._run(self._competing, 0) for each in batch]
        targets = checked_targets(target, competing)
        search = CounterfactualSearch(self._geometry, self.space, box, norm=norm, margin=margin, within=within)
        found = vectors + np.nan
        labels = np.full(len(self), -1)
        verified = np.zeros(len(self), bool)
        for i in progress(range(len(self)), len(self), verbose):
            point, labels[i] = search.find(vectors[i], competing[i], targets[i])
            if point is not None:
                found[i] = point
                verified[i] = search.winner(point, self.outputs[i]) == labels[i]
        steps = np.where(labels[:, np.newaxis] < 0, np.inf, found - vectors)
        return Counterfactuals(
            x=self.space.packed(found),
            label=labels,
            distance=np.linalg.norm(steps, ord=norm, axis=1),
            plane_distance=np.array([each.distances(DUAL[norm]).min(initial=np.inf) for each in competing]),
            verified=verified,
        )

    def decision_features(self, target: Any = None, *, against: Against = "all") -> Any:
        """Returns the weights by which each sample's piece prefers one class over others.

        Args:
            target: Class index, or one per sample; by default the class with the highest score among the outputs.
            against: `"all"` for the mean over all other classes c', `D_c = 1/(C-1) sum (W_c - W_c')`, as in Chu et al.; `"runner-up"` for
                the class with the next highest score; or a class index, or one per sample.

        Returns:
            An array of the samples' shape, `(n, *input_shape)`. For a single score, its weights.

        Raises:
            ValueError: If a class is not among the `outputs` of its sample.
        """
        weights = preferences(self.scores, self.outputs, target, against)
        return self.space.pack([preferred(coef, *weights) for coef in self._coefficients])

    def _check(self, x):
        others = [array.astype("float64", copy=False) for array in read_all(x, self._inputs)]
        if len(others[0]) != len(self) or any(a.shape != b.shape for a, b in zip(others, self._x, strict=True)):
            raise ValueError(
                f"Expected one input for each of the {len(self)} samples, of shape {[a.shape for a in self._x]}. "
                f"Received: {[a.shape for a in others]}"
            )
        return others

    def _check_cost(self, num_walls, max_passes, num_batches=None):
        if max_passes is not None:
            check_count("max_passes", max_passes)
        passes = min(num_walls, self.space.num_dims)
        if max_passes is not None and passes > max_passes:
            raise ValueError(
                f"The normals of {num_walls:,} walls in {self.space.num_dims:,} input dimensions cost {passes:,} passes through the "
                f"network for each of {num_batches or -(-len(self) // self._batch_size)} batches, more than allowed. Received: "
                f"max_passes={max_passes:,}. "
                "`exit_distance(direction)` gives the exact distance along any direction for two passes. To proceed anyway, "
                "pass `max_passes=None`."
            )

    def _check_weights(self):
        if self._geometry.fingerprint() != self._fingerprint:
            raise RuntimeError(
                "The model's weights have changed since these linear pieces were computed, so they are no longer pieces of the model. "
                "Call the `OpenBox` on the samples again."
            )

    def _run(self, program, verbose):
        """Yields a program's results batch by batch."""
        self._check_weights()
        starts = range(0, len(self), self._batch_size)
        for start in progress(starts, len(starts), verbose):
            rows = slice(start, start + self._batch_size)
            yield program([array[rows] for array in self._x], rows)

    def _patterns(self, batch):
        return [ops.convert_to_numpy(pattern) for pattern in self._geometry.identify(batch)[1]]

    def _nearest_in_batch(self, batch, norm, layout):
        n = len(batch[0])
        if not layout.num_walls:
            return np.full(n, np.inf), np.zeros(n, int), *(np.zeros_like(array) for array in batch)
        width = max(1, self._batch_size // n)
        nearest = self._geometry.nearest(batch, DUAL[norm], 1, width)
        distance, index = (ops.convert_to_numpy(each)[:, 0] for each in nearest)
        normals = self.space.vectors([ops.convert_to_numpy(a) for a in self._geometry.normals(batch, index.astype("int32"))])
        return distance, index, *self.space.arrays(towards(normals, norm))

    def _competing(self, batch, rows):
        """The competing classes of each sample of a batch, in float64 for any dtype of the pieces."""
        outputs = self.outputs[rows]
        scores, coefficients, _, _ = self._geometry.pieces(batch, outputs)
        scores = np.take_along_axis(ops.convert_to_numpy(scores), outputs, axis=1)
        coef = np.moveaxis(self.space.vectors([ops.convert_to_numpy(each) for each in coefficients]), 0, 1)
        return [competing_classes(*each) for each in zip(scores, coef, outputs, strict=True)]
