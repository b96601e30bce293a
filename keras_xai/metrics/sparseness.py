"""Sparseness (Gini index)."""

from typing import final

import numpy as np

from keras_xai.metrics.metric import Metric
from keras_xai.metrics.places import Places


@final
class Sparseness(Metric):
    r"""Sparseness: the Gini index of absolute values, 0 if all are equal, 1 - 1/d if only one of d positions is nonzero.

    $$G(v) = 1 - 2 \sum_{k=1}^d \frac{v_{(k)}}{\|v\|_1} \cdot \frac{d - k + 1/2}{d}$$

    v_(1) is the smallest. Positions are pixels (summed over channels), time steps, features or tokens. Values that are all zero are equal
    and score 0.

    No forward pass.

    Source: [Chalasani et al., 2020](https://arxiv.org/abs/1810.06583), section 2.1, which counts each channel separately.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.metrics import Sparseness
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> Sparseness()(GradientTimesInput(model)(np.array([[0.0, 0.0, 5.0, 0.0], [2.0, -2.0, 2.0, 2.0]]))).tolist()
    [0.75, 0.0]
    """

    higher_is_better = True

    def _rate(self, explanation):
        values = np.sort(np.abs(Places(explanation).relevance), axis=1)
        count = values.shape[1]
        weights = (count - np.arange(1, count + 1) + 0.5) / count
        total = values.sum(axis=1, keepdims=True)
        shares = np.where(total > 0, values, 1) / np.where(total > 0, total, count)
        return 1 - 2 * shares @ weights
