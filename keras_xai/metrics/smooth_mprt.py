"""Smooth MPRT: the parameter randomization test of explanations averaged over noise."""

import dataclasses
from typing import final

import keras
import numpy as np
from keras import tree

from keras_xai.attribution import Explanation, Method
from keras_xai.data.checks import Verbose, check_count, check_number
from keras_xai.data.progress import progress
from keras_xai.metrics.metric import check_explanation, explain_again
from keras_xai.metrics.neighborhood import check_real, perturbed
from keras_xai.metrics.shuffling import RandomizationMetric
from keras_xai.metrics.similarity import rank_correlation

# Distinguishes the draws of noise from those of weights.
_NOISE = 1


@final
class SmoothMPRT(RandomizationMetric):
    r"""Smooth MPRT: the parameter randomization test of explanations that are averaged over noisy copies of the samples.

    $$\rho_S \Bigl( \frac{1}{N} \sum_{k=1}^N \phi(x + \eta_k), \; \frac{1}{N} \sum_{k=1}^N \hat\phi(x + \eta_k) \Bigr)$$

    Noise of single gradients ("shattering") makes two explanations differ for a reason other than the weights, which
    `ModelParameterRandomization` rewards; the average has less of it. eta is normal; one of the N copies has none. Layers are shuffled one
    after the other from the output down, and their correlations averaged; `similarities` gives each.

    `num_samples` explanations for each layer with weights, and as many more. The weights of the model are restored as in
    `ModelParameterRandomization`.

    Source: [Hedström et al., 2024](https://arxiv.org/abs/2401.06465), with 50 copies and rank correlation in place of the
    structural similarity of pictures. The noise is the same for all weights.

    Args:
        model: The explained model.
        method: The method that made the explanations, on this model. If it draws at random, give it a seed.
        num_samples: Number of copies N.
        noise: Standard deviation of the noise, as a fraction of the range of the sample's values.
        absolute: Whether to rank absolute values.
        seed: Seed of the noise and of the shuffling; by default drawn once per metric.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        TypeError: If `method` is not an attribution method.
        ValueError: If the method is of another model, or an option is invalid. When called: if the model takes integers only, no layer has
            weights to shuffle, the method did not make the explanation, or the randomized model's scores are NaN or infinite.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import Saliency
    >>> from keras_xai.metrics import SmoothMPRT
    >>> keras.utils.set_random_seed(0)
    >>> model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
    >>> method = Saliency(model)
    >>> explanation = method(np.random.default_rng(0).normal(size=(20, 30)))
    >>> bool(SmoothMPRT(model, method, num_samples=3, seed=0)(explanation).mean() < 0.9)
    True
    """

    higher_is_better = False

    def __init__(
        self,
        model: keras.Model,
        method: Method,
        *,
        num_samples: int = 50,
        noise: float = 0.1,
        absolute: bool = False,
        seed: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, method, absolute=absolute, seed=seed, verbose=verbose)
        self._num_samples = check_count("num_samples", num_samples)
        self._noise = check_number("noise", noise, least=0)

    def similarities(self, explanation: Explanation) -> dict[str, np.ndarray]:
        """The rank correlation for each layer.

        Args:
            explanation: The explanation that the method returned.

        Returns:
            For the path of each layer, from the output down, an array `(n,)`: the correlation with the explanation of the model in which
            this layer and those before it are randomized.
        """
        check_explanation(explanation)
        check_real(explanation)
        layers = self._randomized(explanation.target)
        values = self._compared(self._smooth(explanation, explanation))

        def measure():
            again = explain_again(self._method, explanation)
            return rank_correlation(values, self._compared(self._smooth(explanation, again)))

        return self._after_each(layers, measure)

    def _rate(self, explanation):
        return np.mean(list(self.similarities(explanation).values()), axis=0)

    def _smooth(self, explanation, without_noise):
        """The explanation by the model with its present weights, averaged over the copies, of which one has no noise."""
        total = [None if values is None else values.astype("float64") for values in tree.flatten(without_noise.values)]
        for number in progress(range(self._num_samples - 1), self._num_samples - 1):
            moved = perturbed(explanation, (self._seed, _NOISE), number, self._noise, normal=True)
            again = tree.flatten(explain_again(self._method, explanation, inputs=moved).values)
            total = [None if one is None else one + other for one, other in zip(total, again, strict=True)]
        mean = [None if each is None else each / self._num_samples for each in total]
        return dataclasses.replace(explanation, values=tree.pack_sequence_as(explanation.values, mean))
