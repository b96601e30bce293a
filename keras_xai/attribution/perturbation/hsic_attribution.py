"""HSIC attribution: the dependence between the masks of a part and the score."""

from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.attribution.perturbation.groups import Groups, beyond_rounding, group_scores
from keras_xai.data.checks import Verbose, check_count, check_seed


@final
class HSICAttribution(Method):
    r"""HSIC attribution: the dependence between whether a part is shown and the score.

    $$\phi_i(x) = \frac{1}{m^2} \mathrm{tr}(K_i H L H), \quad K_i[k, l] = \tfrac12 (2 M_{ki} - 1)(2 M_{li} - 1),
    \quad L[k, l] = e^{-(f_k - f_l)^2 / 2 \sigma^2}$$

    The Hilbert-Schmidt independence criterion (HSIC) of m random masks and scores. M_ki tells whether mask k shows part i, as half of
    the masks do; f_k is the score of the sample under mask k, with hidden parts replaced by the baseline; H subtracts means; and the width
    sigma is the median distance of two scores. For an infinite number of masks HSIC is 0 if the distribution of the score does not
    depend on the part, and positive otherwise: it does not tell whether a part raises or lowers the score. With few masks it is
    positive for all parts.

    `num_samples` forward passes, whatever the number of parts, and one to find a predicted class.

    Source: [Novello et al., 2022](https://arxiv.org/abs/2206.06219), with the kernels of its experiments. Deviations: scores before a
    softmax are explained; the width is the median distance of scores, not the median score, which would depend on a constant that is
    added to all; the value of a part is that of all its entries, while the source interpolates.

    Args:
        model: The model to explain, see `Method`.
        num_samples: Number m of masks.
        groups: The parts: blocks along each axis, 8 by default, or the number of the group of each entry, see `FeatureAblation`.
        seed: Random seed; results do not depend on the batch size. By default, each call draws a new seed.
        batch_size: Masked copies per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If an option is invalid, see `FeatureAblation` for `groups`.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import HSICAttribution
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> values = HSICAttribution(model, seed=0)(np.array([[1.0, 0.0, 3.0]]), target=1).values
    >>> bool(values[0, 2] > values[0, 0] > values[0, 1] == 0)
    True
    """

    takes_baseline = True
    nonnegative = True

    def __init__(
        self,
        model: keras.Model,
        *,
        num_samples: int = 500,
        groups: Any = None,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._num_samples = check_count("num_samples", num_samples, least=2)
        self._groups = Groups(self._scores, groups)
        self._seed = None if seed is None else check_seed(seed)

    def _prepare(self, target):
        predicted = self._scores.predictor(target)

        def shown(rows, masks):
            return ops.take(masks, rows, axis=0)

        scored = group_scores(self._scores, target, self._batch_size, shown, ((None, None), "bool"))

        def explain(batch):
            indices = predicted(batch.inputs, batch.indices)
            division = self._groups.of(batch.inputs)
            masks = balanced_masks(self._num_samples, division.count, batch.seed)
            found = scored(batch, indices, len(masks), division.numbers, masks)
            varying = beyond_rounding(found, self._scores.dtype)
            values = np.stack([hsic(masks, each) for each in found])
            # The score does not depend on what changes nothing but the rounding.
            matters = division.changing(batch.inputs, batch.baseline) & varying[:, np.newaxis]
            values = np.where(matters, values, 0)
            return Part(division.spread(values), indices, None, num_forward_passes=found.size + batch.passes_to_predict)

        return explain


def balanced_masks(num_samples: int, count: int, seed: int) -> np.ndarray:
    """Random booleans `(num_samples, count)`, half of each column true, as from a Latin hypercube.

    Args:
        num_samples: Number of masks.
        count: Number of parts.
        seed: Seed.
    """
    half = np.arange(num_samples) < num_samples // 2
    return np.random.default_rng(seed).permuted(np.tile(half, (count, 1)), axis=1).T


def hsic(masks: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """HSIC of each column of masks and the scores.

    Args:
        masks: Booleans `(m, parts)`.
        scores: `(m,)`.

    Returns:
        `(parts,)`; 0 if all scores are equal.
    """
    distances = np.abs(scores[:, np.newaxis] - scores)
    width = np.median(distances[np.triu_indices(len(scores), 1)]) or distances.mean()
    if not width:
        return np.zeros(masks.shape[1])
    kernel = np.exp(-np.square(distances / width) / 2)
    centered = kernel - kernel.mean(axis=0) - kernel.mean(axis=1, keepdims=True) + kernel.mean()
    signs = 2.0 * masks - 1  # the kernel of a part is half their outer product
    return ((centered @ signs) * signs).sum(axis=0) / (2 * len(scores) ** 2)
