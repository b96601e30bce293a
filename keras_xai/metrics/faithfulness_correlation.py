"""Faithfulness correlation."""

from typing import Any, final

import keras
import numpy as np

from keras_xai.attribution.baseline import baseline_like
from keras_xai.data.checks import Verbose, check_count
from keras_xai.metrics.metric import ModelMetric, seed_of
from keras_xai.metrics.replacement import Replacement
from keras_xai.metrics.similarity import correlation

# Default size of the subsets, as a fraction of the positions.
_SHARE = 0.2


@final
class FaithfulnessCorrelation(ModelMetric):
    r"""Faithfulness correlation: Pearson's correlation of the values of random subsets with the score changes when they are removed.

    $$\mathrm{corr}_S \Bigl( \sum_{i \in S} \phi_i, \; f(x) - f\bigl(x_{[x_S = \bar x_S]}\bigr) \Bigr), \quad \lvert S \rvert = k$$

    f is the score before a softmax or sigmoid. Removed positions take the value of the baseline. Positions are pixels (summed over
    channels), time steps, features or tokens. If one of the two does not vary the correlation counts as 0, and as 1 if both do not.

    `num_perturbations + 1` forward passes.

    Source: [Bhatt et al., 2020](https://arxiv.org/abs/2005.00631), "faithfulness". There, the size of the subsets has no default.

    Args:
        model: The explained model.
        num_perturbations: Number of random subsets per sample, at least 2.
        subset_size: Number of positions in a subset; by default a fifth of all. At most all but one, as all subsets are equal otherwise.
        baseline: Value of removed positions, as in `Deletion`.
        seed: Seed of the subsets; by default drawn once per metric, so that all its explanations are rated on the same subsets.
        batch_size: Perturbed samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If an option is invalid. When called: if there are not more positions than `subset_size`, the explanation or the
            baseline does not fit the model, or a score is NaN or infinite.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.metrics import FaithfulnessCorrelation
    >>> model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(2)])
    >>> explanation = GradientTimesInput(model)(np.random.default_rng(0).normal(size=(3, 10)))
    >>> FaithfulnessCorrelation(model, seed=0)(explanation).round(4).tolist()  # contributions to a linear score add up
    [1.0, 1.0, 1.0]
    """

    higher_is_better = True

    def __init__(
        self,
        model: keras.Model,
        *,
        num_perturbations: int = 100,
        subset_size: int | None = None,
        baseline: Any = 0.0,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._num_perturbations = check_count("num_perturbations", num_perturbations, least=2)
        self._size = subset_size if subset_size is None else check_count("subset_size", subset_size)
        self._baseline = baseline
        self._seed = seed_of(seed)
        self._replacement = Replacement(self._scores, self._batch_size, verbose)

    def _rate(self, explanation):
        places = self._replacement.checked(explanation)
        instead = places.channels_last(baseline_like(places.restored(places.inputs), self._baseline, self._scores))
        relevance = places.relevance
        count, total = relevance.shape
        size = self._size or max(1, round(_SHARE * total))
        if size >= total:
            raise ValueError(
                f"Expected fewer positions in a subset than in a sample, so that subsets differ. Received: subsets of {size} of {total} "
                "positions. Pass a smaller `subset_size`, or samples of at least two positions."
            )
        draws = self._num_perturbations
        owners, numbers = np.divmod(np.arange(count * (draws + 1)), draws + 1)
        said = np.zeros((count, draws))

        def removed(part):
            masks = np.zeros((part.stop - part.start, total), bool)
            for mask, owner, number in zip(masks, owners[part], numbers[part], strict=True):
                if number:  # the first is the sample itself
                    subset = self._subset(owner, number - 1, total, size)
                    mask[subset] = True
                    said[owner, number - 1] = relevance[owner][subset].sum()
            return masks

        scores = self._replacement.scores(explanation, instead, owners, removed).reshape(count, -1)
        return correlation(said, scores[:, :1] - scores[:, 1:])

    def _subset(self, sample, number, total, size):
        return np.random.default_rng((self._seed, sample, number)).choice(total, size, replace=False)
