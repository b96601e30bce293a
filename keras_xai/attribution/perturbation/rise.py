"""RISE: the mean score of randomly masked copies, for each entry over those that show it."""

from typing import final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.attribution.perturbation.grids import Grid
from keras_xai.attribution.perturbation.masked import MaskedScores
from keras_xai.backend import folded
from keras_xai.data.checks import Verbose, check_count, check_seed, is_number


@final
class RISE(Method):
    r"""RISE: the mean score of randomly masked copies, weighted by how much each shows of an entry.

    $$\phi_i(x) = \frac{1}{m p} \sum_{k=1}^{m} \bigl(f(b + M_k \odot (x - b)) - \bar f\bigr) M_{ki}$$

    M_k are random masks from 0 (hidden) to 1 (shown), b the baseline, and $\bar f$ the mean score of all m copies: the value is the
    expected score if entry i is shown, minus the expected score. Masks are drawn on a grid of `grid_size` cells along each axis of an
    image, a series or a volume, each shown with probability p, enlarged by linear interpolation and shifted at random. Features of a
    table and tokens are shown or hidden one by one. All samples share the masks.

    `num_samples` forward passes, and one to find a predicted class.

    Source: [Petsiuk et al., 2018](https://arxiv.org/abs/1806.07421). Deviations: scores before a softmax are explained, to which any
    constant may be added, so their mean is subtracted. In expectation this changes all values by the same number, but with few masks it
    removes the noise of how often each entry happens to be shown.

    Args:
        model: The model to explain, see `Method`.
        num_samples: Number m of masks.
        grid_size: Number of cells along each axis.
        preservation_probability: Probability p that a cell is shown.
        seed: Random seed; results do not depend on the batch size. By default, each call draws a new seed.
        batch_size: Masked copies per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If an option is invalid.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import RISE
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> values = RISE(model, seed=0)(np.array([[1.0, 2.0, 3.0]]), target=1).values  # half of each feature, as p is 1/2
    >>> bool(abs(values - [[0.5, 1.0, 1.5]]).max() < 0.1)
    True
    """

    takes_baseline = True

    def __init__(
        self,
        model: keras.Model,
        *,
        num_samples: int = 4000,
        grid_size: int = 7,
        preservation_probability: float = 0.5,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._num_samples = check_count("num_samples", num_samples)
        check_count("grid_size", grid_size)
        if not is_number(preservation_probability) or not 0 < preservation_probability < 1:
            raise ValueError(
                "Expected `preservation_probability` to be a number between 0 and 1, at which all or nothing is hidden. Received: "
                f"preservation_probability={preservation_probability!r}"
            )
        self._probability = float(preservation_probability)
        self._grids = [Grid(layout, grid_size) for layout in self._scores.layouts]
        self._seed = None if seed is None else check_seed(seed)

    def _prepare(self, target):
        scores, num_samples = self._scores, self._num_samples
        size = min(self._batch_size, num_samples)

        def masks(rows, inputs, cells, starts, enlarging):
            return [
                grid.masks(x, ops.cast(ops.take(each, rows, axis=0), scores.dtype), ops.take(first, rows, axis=0), matrices)
                for grid, x, each, first, matrices in zip(self._grids, inputs, cells, starts, enlarging, strict=True)
            ]

        def weighted(inputs, indices, weights, *drawn):
            """The sum of masks `(k, ...)` with weights `(n, k)`, some masks in memory at a time."""

            def part(step):
                rows = step * size + ops.arange(size, dtype="int32")
                some = ops.minimum(rows, num_samples - 1)
                of_rows = ops.take(weights, some, axis=1) * ops.cast(rows < num_samples, weights.dtype)
                found = masks(some, inputs, *drawn)
                return [
                    ops.tensordot(of_rows, each, axes=1)
                    for each, explained in zip(found, scores.explainable, strict=True)
                    if explained
                ]

            def add(step, sums):
                return [before + each for before, each in zip(sums, part(step), strict=True)]

            steps = -(-num_samples // size)
            sums = iter(folded(add, steps, [ops.zeros_like(each) for each in part(0)]))
            return [next(sums) if explained else None for explained in scores.explainable]

        matrices = [
            [((None, None), scores.dtype)] * (0 if layout.is_apart else len(layout.places)) for layout in scores.layouts
        ]
        drawn = ([((None, None), "bool")] * len(matrices), [((None, None), "int32")] * len(matrices), matrices)
        scored = MaskedScores(scores, target, self._batch_size, masks, *drawn)
        summed = scores.program(target, weighted, ((None, None), scores.dtype), *drawn)
        predicted = scores.predictor(target)

        def explain(batch):
            indices = predicted(batch.inputs, batch.indices)
            cells, starts = zip(
                *(
                    grid.drawn(x.shape, num_samples, self._probability, [batch.seed, i])
                    for i, (grid, x) in enumerate(zip(self._grids, batch.inputs, strict=True))
                ),
                strict=True,
            )
            enlarging = [
                [matrix.astype(scores.dtype) for matrix in grid.enlarging(x.shape)]
                for grid, x in zip(self._grids, batch.inputs, strict=True)
            ]
            found = scored(batch, indices, num_samples, list(cells), list(starts), enlarging)
            weights = (found - found.mean(axis=1, keepdims=True)) / (num_samples * self._probability)
            values = summed(batch.inputs, indices, np.asarray(weights, scores.dtype), list(cells), list(starts), enlarging)
            return Part(values, indices, None, num_forward_passes=found.size + batch.passes_to_predict)

        return explain
