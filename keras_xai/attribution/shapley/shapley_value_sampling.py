"""Shapley value sampling: mean contributions over random orders of the features."""

from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.attribution.perturbation.groups import Groups, group_scores
from keras_xai.data.checks import Verbose, check_count, check_seed


@final
class ShapleyValueSampling(Method):
    r"""Shapley value sampling: the mean increase of the score when a feature is added to those before it in a random order.

    $$\phi_g(x) = \frac{1}{m} \sum_{k=1}^{m} f(x_{P_k(g) \cup g}) - f(x_{P_k(g)})$$

    P_k(g) are the groups of entries before group g in the k-th random order, and x_S is the sample with all groups but those in S
    replaced by the baseline. The estimate of each Shapley value is unbiased; the values of each order add up to f(x) - f(b), and so do
    their means: `convergence_delta` is rounding. The value of a group is divided equally among its entries.

    One forward pass for each of `num_samples` orders and all but one of the groups, and two more.

    Source: [Strumbelj and Kononenko, 2010](https://www.jmlr.org/papers/v11/strumbelj10a.html), algorithm 1. Deviations, of which the
    first two are captum's [ShapleyValueSampling](https://captum.ai/api/shapley_value_sampling.html): hidden features have the baseline's
    value, not that of a random sample; all features of an order are evaluated, so that values add up; all samples share the orders.

    Args:
        model: The model to explain, see `Method`.
        num_samples: Number of random orders.
        groups: Blocks along each axis, or the number of the group of each entry, see `FeatureAblation`.
        seed: Random seed; results do not depend on the batch size. By default, each call draws a new seed.
        batch_size: Masked copies per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If an option is invalid, see `FeatureAblation` for `groups`.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import ShapleyValueSampling
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> explanation = ShapleyValueSampling(model)(np.array([[1.0, 2.0, 3.0]]), target=1)
    >>> explanation.values.round(4).tolist(), explanation.num_forward_passes
    ([[1.0, 2.0, 3.0]], 52.0)
    """

    takes_baseline = True

    def __init__(
        self,
        model: keras.Model,
        *,
        num_samples: int = 25,
        groups: Any = None,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._num_samples = check_count("num_samples", num_samples)
        self._groups = Groups(self._scores, groups)
        self._seed = None if seed is None else check_seed(seed)

    def _prepare(self, target):
        def shown(rows, ranks):
            """None in row 0, all in row 1; then the first 1, 2, ... groups of the first order, and so on for the others."""
            count = ops.shape(ranks)[1]
            steps = ops.maximum(count - 1, 1)
            number = ops.maximum(rows - 2, 0)
            size = ops.where(rows < 2, rows * count, 1 + number % steps)
            return ops.take(ranks, number // steps, axis=0) < size[:, None]

        predicted = self._scores.predictor(target)
        scored = group_scores(self._scores, target, self._batch_size, shown, ((None, None), "int32"))

        def explain(batch):
            indices = predicted(batch.inputs, batch.indices)
            division = self._groups.of(batch.inputs)
            count, orders = division.count, self._num_samples if division.count > 1 else 1
            first = np.tile(np.arange(count, dtype="int32"), (orders, 1))
            ranks = np.random.default_rng(batch.seed).permuted(first, axis=1)
            rows = 2 + orders * (count - 1)
            found = scored(batch, indices, rows, division.numbers, ranks)
            none, every = (np.repeat(found[:, i, None, None], orders, axis=1) for i in range(2))
            path = np.concatenate([none, found[:, 2:].reshape(len(found), orders, count - 1), every], axis=2)
            means = np.take_along_axis(np.diff(path), ranks[np.newaxis], axis=2).mean(axis=1)
            # What equals the baseline has no value, not the rounding difference between batches.
            means = np.where(division.changing(batch.inputs, batch.baseline), means, 0)
            delta = found[:, 1] - found[:, 0] - means.sum(axis=1)
            values = division.shared(means, self._scores.padding(batch.inputs))
            return Part(values, indices, delta, rows * len(found) + batch.passes_to_predict, base_score=found[:, 0])

        return explain
