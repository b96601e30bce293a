"""Efficient MPRT: the rise of an explanation's complexity when all weights are randomized."""

from typing import final

import keras
import numpy as np

from keras_xai.attribution import Method
from keras_xai.data.checks import Verbose, check_count
from keras_xai.metrics.metric import explain_again
from keras_xai.metrics.shuffling import RandomizationMetric


@final
class EfficientMPRT(RandomizationMetric):
    r"""Efficient MPRT: the relative increase of the entropy of an explanation when all weights of the model are randomized.

    $$\frac{\xi(\hat\phi) - \xi(\phi)}{\xi(\phi)}$$

    xi is the entropy of the histogram of the values. A model with random weights explains randomly, so the values spread. Unlike the
    correlations of `ModelParameterRandomization` it needs one explanation and does not depend on the order of the layers.

    One explanation. The weights of the model are restored as in `ModelParameterRandomization`.

    Source: [Hedström et al., 2024](https://arxiv.org/abs/2401.06465). All layers are shuffled as in
    `ModelParameterRandomization`, while the source draws the weights anew.

    Args:
        model: The explained model.
        method: The method that made the explanations, on this model. If it draws at random, give it a seed.
        num_bins: Bins of the histogram, between the smallest and the largest value of a sample.
        absolute: Whether to take absolute values first.
        seed: Seed of the shuffling; by default drawn once per metric.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        TypeError: If `method` is not an attribution method.
        ValueError: If the method is of another model, or an option is invalid. When called: if no layer has weights to shuffle, the method
            did not make the explanation, or the randomized model's scores are NaN or infinite.

    NaN if the values of the explanation are all equal, as their entropy is 0.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import Saliency
    >>> from keras_xai.metrics import EfficientMPRT
    >>> keras.utils.set_random_seed(0)
    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
    >>> method = Saliency(model)
    >>> explanation = method(np.random.default_rng(0).normal(size=(20, 30)))
    >>> EfficientMPRT(model, method, seed=0)(explanation).shape
    (20,)
    """

    higher_is_better = True

    def __init__(
        self,
        model: keras.Model,
        method: Method,
        *,
        num_bins: int = 100,
        absolute: bool = False,
        seed: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, method, absolute=absolute, seed=seed, verbose=verbose)
        self._num_bins = check_count("num_bins", num_bins, least=2)

    def _rate(self, explanation):
        layers = self._randomized(explanation.target)
        everything = {"all": [variable for weights in layers.values() for variable in weights]}
        before = self._entropy(self._compared(explanation))

        def measure():
            return self._entropy(self._compared(explain_again(self._method, explanation)))

        after = self._after_each(everything, measure)["all"]
        return np.where(before > 0, (after - before) / np.where(before > 0, before, 1), np.nan)

    def _entropy(self, values):
        from scipy.special import entr

        return np.array([entr(np.histogram(_scaled(row), self._num_bins)[0] / row.size).sum() for row in values])


def _scaled(row):
    """A row divided by its largest absolute value, since bins of very small numbers have no width."""
    largest = np.abs(row).max()
    return row / largest if largest else row
