"""Local Lipschitz estimate of an explanation."""

from typing import final

import numpy as np

from keras_xai.metrics.neighborhood import NeighborhoodMetric


@final
class LocalLipschitzEstimate(NeighborhoodMetric):
    r"""Local Lipschitz estimate: the largest change of an explanation per change of the input, in a small box around the sample.

    $$\max_{\|y - x\|_\infty \le r} \frac{\|\phi(y) - \phi(x)\|_2}{\|y - x\|_2}$$

    The maximum is taken over random points, so it is a lower bound of the true one. r is a fraction of the range of the sample's values. A
    constant sample is not perturbed and scores 0. The explained class stays that of the sample. The unit is that of the values divided by
    that of the inputs, so only methods with the same unit are comparable; `MaxSensitivity` has no unit.

    `num_samples` explanations. A method with random draws needs a seed, or its own noise counts as well.

    Source: [Alvarez-Melis and Jaakkola, 2018](https://arxiv.org/abs/1806.08049), with random points instead of
    Bayesian optimization.

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

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.metrics import LocalLipschitzEstimate
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(3))])
    >>> method = GradientTimesInput(model)  # the input times 3
    >>> LocalLipschitzEstimate(method, seed=0)(method(np.random.default_rng(0).normal(size=(2, 4)))).round(3).tolist()
    [3.0, 3.0]
    """

    higher_is_better = False

    def _rate(self, explanation):
        return self._largest(explanation)[1]

    def _change(self, of_values, of_inputs):
        # Rounding can leave a sample unchanged.
        return np.where(of_inputs > 0, of_values / np.where(of_inputs > 0, of_inputs, 1), 0)
