"""Localization metrics: pointing game, relevance mass and relevance rank."""

from typing import Any, final

import numpy as np

from keras_xai.data.checks import check_number
from keras_xai.metrics.metric import Metric
from keras_xai.metrics.places import Places, checked_masks, ranks


@final
class PointingGame(Metric):
    """Pointing game: 1 if the position of the largest value is on the object, else 0.

    If several positions share the largest value, the score is the share of them on the object, the expected score of a random choice among
    them. A constant map scores the share of the image that the object covers, the chance level.

    No forward pass.

    Source: [Zhang et al., 2018](https://arxiv.org/abs/1608.00507), section 4.2. The source counts a point within 15 pixels of the object as
    a hit: `tolerance=15`.

    Args:
        masks: Object masks: booleans `(n, height, width)` for images, `(n, time)` for series, `(n, features)` for tables; for several
            inputs in their structure. One per sample of the explanation.
        tolerance: Maximum distance from the object, in positions, that counts as a hit.

    Raises:
        ValueError: If `tolerance` is negative. When called: if the masks do not fit the samples, or one is empty.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.metrics import PointingGame
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> explanation = GradientTimesInput(model)(np.array([[1.0, 5.0, 2.0], [9.0, 5.0, 2.0]]))
    >>> PointingGame(np.array([[False, True, False], [False, True, False]]))(explanation).tolist()
    [1.0, 0.0]
    """

    higher_is_better = True

    def __init__(self, masks: Any, *, tolerance: float = 0.0):
        check_number("tolerance", tolerance, least=0)
        self._masks = masks
        self._tolerance = tolerance

    def _rate(self, explanation):
        places = Places(explanation)
        masks = self._widened(checked_masks(self._masks, places), places)
        largest = places.relevance == places.relevance.max(axis=1, keepdims=True)
        return (largest & masks).sum(axis=1) / largest.sum(axis=1)

    def _widened(self, masks, places):
        if not self._tolerance:
            return masks
        from scipy.ndimage import distance_transform_edt

        def near(mask):
            return distance_transform_edt(~mask) <= self._tolerance if mask.any() else mask

        apart = [part.reshape(len(masks), *shape) for part, shape in zip(places.apart(masks), places.shapes, strict=True)]
        return places.joined([np.stack([near(mask) for mask in part]) for part in apart])


@final
class RelevanceMass(Metric):
    """Relevance mass accuracy: the share of positive values that is on the object, from 0 to 1.

    Values of a pixel's channels are summed first. The chance level is the share of the image that the object covers. A sample without
    positive values has no mass and scores NaN.

    No forward pass.

    Source: [Arras et al., 2022](https://arxiv.org/abs/2003.07258), section 3.1, "relevance mass accuracy" with pooling "pos,sum" of
    channels.

    Args:
        masks: As in `PointingGame`.

    Raises:
        ValueError: When called, if the masks do not fit the samples, or one is empty.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.metrics import RelevanceMass
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> explanation = GradientTimesInput(model)(np.array([[1.0, 3.0, -2.0]]))
    >>> RelevanceMass(np.array([[False, True, False]]))(explanation).tolist()
    [0.75]
    """

    higher_is_better = True

    def __init__(self, masks: Any):
        self._masks = masks

    def _rate(self, explanation):
        places = Places(explanation)
        masks = checked_masks(self._masks, places)
        mass = np.maximum(places.relevance, 0)
        total = mass.sum(axis=1)
        return np.where(total > 0, (mass * masks).sum(axis=1) / np.where(total > 0, total, 1), np.nan)


@final
class RelevanceRank(Metric):
    """Relevance rank accuracy: the share of the K most relevant positions on an object of K positions, from 0 to 1.

    Values of a pixel's channels are summed first. Ties are broken in a random order drawn once, so that a constant map scores about the
    chance level: the share of the image that the object covers.

    No forward pass.

    Source: [Arras et al., 2022](https://arxiv.org/abs/2003.07258), section 3.1, "relevance rank accuracy".

    Args:
        masks: As in `PointingGame`.

    Raises:
        ValueError: When called, if the masks do not fit the samples, or one is empty.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.metrics import RelevanceRank
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> explanation = GradientTimesInput(model)(np.array([[1.0, 3.0, -2.0, 2.0]]))
    >>> RelevanceRank(np.array([[True, True, False, False]]))(explanation).tolist()
    [0.5]
    """

    higher_is_better = True

    def __init__(self, masks: Any):
        self._masks = masks

    def _rate(self, explanation):
        places = Places(explanation)
        masks = checked_masks(self._masks, places)
        size = masks.sum(axis=1)
        first = ranks(places.relevance) < size[:, None]
        return (first & masks).sum(axis=1) / size
