"""Complexity (entropy)."""

from typing import final

import numpy as np

from keras_xai.metrics.metric import Metric
from keras_xai.metrics.places import Places


@final
class Complexity(Metric):
    r"""Complexity: the entropy of the shares of the absolute values, 0 if one of d positions has everything, log d if all are equal.

    $$H(\phi) = - \sum_{i=1}^d q_i \log q_i, \quad q_i = \lvert \phi_i \rvert / \|\phi\|_1$$

    Positions are pixels (summed over channels), time steps, features or tokens. Values that are all zero are equal and score log d.

    No forward pass.

    Source: [Bhatt et al., 2020](https://arxiv.org/abs/2005.00631), "complexity".

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.metrics import Complexity
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> found = Complexity()(GradientTimesInput(model)(np.array([[0.0, 0.0, 5.0, 0.0], [2.0, -2.0, 2.0, 2.0]])))
    >>> (found / np.log(4)).round(6).tolist()
    [0.0, 1.0]
    """

    higher_is_better = False

    def _rate(self, explanation):
        from scipy.special import entr

        sizes = np.abs(Places(explanation).relevance)
        # Divide by the largest first, so that sums of huge values stay finite.
        largest = sizes.max(axis=1, keepdims=True)
        sizes = np.where(largest > 0, sizes, 1) / np.where(largest > 0, largest, 1)
        return entr(sizes / sizes.sum(axis=1, keepdims=True)).sum(axis=1)
