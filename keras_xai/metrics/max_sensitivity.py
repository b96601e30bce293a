"""Max-sensitivity of an explanation to small input changes."""

from typing import final

import numpy as np

from keras_xai.metrics.neighborhood import NeighborhoodMetric


@final
class MaxSensitivity(NeighborhoodMetric):
    r"""Max-sensitivity: the largest relative change of an explanation in a small box around the sample.

    $$\mathrm{SENS}(x) = \max_{\|y - x\|_\infty \le r} \frac{\|\phi(y) - \phi(x)\|_2}{\|\phi(x)\|_2}$$

    The maximum is taken over random points, so it is a lower bound of the true one. r is a fraction of the range of the sample's values, so
    a constant sample is not perturbed. The explained class stays that of the sample.

    `num_samples` explanations. A method with random draws needs a seed, or its own noise counts as well.

    Source: [Yeh et al., 2019](https://arxiv.org/abs/1901.09392), definition 4.1, with the norm in the denominator as in the source's
    experiments and captum, because methods have different units.

    Args:
        method: The method that made the explanations.
        radius: Maximum change of a value, as a fraction of the range of the sample's values.
        num_samples: Number of random points.
        seed: Seed of the points; by default drawn once per metric.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        TypeError: If `method` is not an attribution method.
        ValueError: If an option is invalid. When called: if the method did not make the explanation, or the model takes integers only,
            which have no small perturbations.

    For a sample whose values are all zero, returns 0 if they stay zero, and NaN otherwise.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import Saliency
    >>> from keras_xai.metrics import MaxSensitivity
    >>> method = Saliency(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]))
    >>> explanation = method(np.random.default_rng(0).normal(size=(2, 4)))
    >>> MaxSensitivity(method, seed=0)(explanation).tolist()  # the gradient of a linear model is the same everywhere
    [0.0, 0.0]
    """

    higher_is_better = False

    def _rate(self, explanation):
        values, largest = self._largest(explanation)
        norm = np.linalg.norm(values, axis=1)
        return np.where(norm > 0, largest / np.where(norm > 0, norm, 1), np.where(largest > 0, np.nan, 0))

    def _change(self, of_values, of_inputs):
        return of_values
