"""Sobol attribution: total-order Sobol indices of masked parts."""

from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.attribution.perturbation.groups import Groups, beyond_rounding, group_scores
from keras_xai.data.checks import Verbose, check_count, check_seed


@final
class SobolAttribution(Method):
    r"""Sobol attribution: the share of the variance of the score under random masks that involves a part.

    $$\phi_i(x) = \frac{E\left[\mathrm{Var}(f \mid M_{\sim i})\right]}{\mathrm{Var}(f)}
    \approx \frac{\frac{1}{2m} \sum_{k=1}^{m} \bigl(f(A_k) - f(A_k^{(i)})\bigr)^2}{\mathrm{Var}(f)}$$

    M are independent masks, uniform from 0 to 1, one for each part of the sample, and f is the score of b + M (x - b) with the baseline b.
    A and B are m such masks each, a scrambled Sobol sequence, and A_k^(i) is A_k with the mask of part i from B_k: Jansen's estimator of
    total-order indices. They count a part for what it does alone and in every interaction, are at least 0, and add up to 1 if there is no
    interaction, to more otherwise. They do not tell whether a part raises or lowers the score. Tokens are shown where the mask is at
    least 1/2.

    `num_samples` forward passes for each part, and twice as many more: 2,112 by default for an image.

    Source: [Fel et al., 2021](https://arxiv.org/abs/2111.04138). Deviations: scores before a softmax are explained; the variance is that of
    f(A) and f(B) together; the index of a part is the value of all its entries, while the source interpolates.

    Args:
        model: The model to explain, see `Method`.
        num_samples: Number m of masks, a power of 2, for which Sobol sequences are balanced.
        groups: The parts: blocks along each axis, 8 by default, or the number of the group of each entry, see `FeatureAblation`.
        seed: Random seed; results do not depend on the batch size. By default, each call draws a new seed.
        batch_size: Masked copies per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If an option is invalid, see `FeatureAblation` for `groups`.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import SobolAttribution
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> sobol = SobolAttribution(model, num_samples=1024, seed=0)
    >>> sobol(np.array([[1.0, 2.0, 3.0]]), target=1).values.round(2).tolist()  # the squares 1, 4 and 9, divided by their sum
    [[0.07, 0.29, 0.64]]
    """

    takes_baseline = True
    nonnegative = True

    def __init__(
        self,
        model: keras.Model,
        *,
        num_samples: int = 32,
        groups: Any = None,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._num_samples = check_count("num_samples", num_samples, least=2)
        if num_samples & (num_samples - 1):
            raise ValueError(
                "Expected `num_samples` to be a power of 2, for which Sobol sequences are balanced. "
                f"Received: num_samples={num_samples}. The next one is {1 << num_samples.bit_length()}."
            )
        self._groups = Groups(self._scores, groups)
        self._seed = None if seed is None else check_seed(seed)

    def _prepare(self, target):
        def shown(rows, both):
            """The masks A, B, and for each part those of A with the part's from B."""
            count, number = ops.shape(both)[1] // 2, rows % self._num_samples
            pair = ops.take(both, number, axis=0)
            a, b = pair[:, :count], pair[:, count:]
            block = (rows // self._num_samples)[:, None]
            exchanged = ops.where(ops.arange(count, dtype="int32")[None] == block - 2, b, a)
            return ops.where(block == 1, b, exchanged)

        predicted = self._scores.predictor(target)
        masks = ((None, None), self._scores.dtype)
        scored = group_scores(self._scores, target, self._batch_size, shown, masks)

        def explain(batch):
            indices = predicted(batch.inputs, batch.indices)
            division = self._groups.of(batch.inputs)
            both = sobol_masks(self._num_samples, division.count, batch.seed).astype(self._scores.dtype)
            found = scored(batch, indices, self._num_samples * (2 + division.count), division.numbers, both)
            varying = beyond_rounding(found, self._scores.dtype)
            found = found.reshape(len(found), -1, self._num_samples)
            values = jansen(found[:, 0], found[:, 1], found[:, 2:])
            # What changes nothing has no share, not one of the rounding differences between batches.
            matters = division.changing(batch.inputs, batch.baseline) & varying[:, np.newaxis]
            values = np.where(matters, values, 0)
            return Part(division.spread(values), indices, None, num_forward_passes=found.size + batch.passes_to_predict)

        return explain


def sobol_masks(num_samples: int, count: int, seed: int) -> np.ndarray:
    """Two independent sets of masks, `(num_samples, 2 count)`: a scrambled Sobol sequence.

    Args:
        num_samples: Number of masks of each set.
        count: Number of parts.
        seed: Seed.

    Raises:
        ValueError: If SciPy has no sequence of so many dimensions.
    """
    from scipy.stats import qmc

    if 2 * count > qmc.Sobol.MAXDIM:
        raise ValueError(
            f"Expected at most {qmc.Sobol.MAXDIM // 2} parts, for which SciPy has Sobol sequences. Received: {count}. Give fewer `groups`."
        )
    return qmc.Sobol(2 * count, scramble=True, seed=np.random.default_rng(seed)).random(num_samples)


def jansen(a: np.ndarray, b: np.ndarray, exchanged: np.ndarray) -> np.ndarray:
    """Jansen's estimator of total-order Sobol indices.

    Args:
        a: Scores `(n, m)` of the masks A.
        b: Scores `(n, m)` of the masks B.
        exchanged: Scores `(n, parts, m)` of the masks A with one part from B.

    Returns:
        `(n, parts)`; 0 if scores do not vary.
    """
    variance = np.concatenate([a, b], axis=1).var(axis=1, keepdims=True)
    partial = np.square(exchanged - a[:, np.newaxis]).mean(axis=2) / 2
    return np.divide(partial, variance, out=np.zeros(partial.shape), where=variance > 0)
