"""Localization metrics: pointing game, relevance mass, relevance rank and top-k intersection."""

from typing import Any, final

import numpy as np

from keras_xai.attribution import Explanation
from keras_xai.data.checks import check_count, check_flag, check_number
from keras_xai.metrics.metric import Metric
from keras_xai.metrics.places import Places, checked_masks, ranks

# The share of positions that top-k intersection takes: the source's 1000 of the 224 x 224 pixels of an image.
_TOP = 0.02


class MaskMetric(Metric):
    """A metric that compares explanations with the masks of objects.

    Args:
        masks: As in `PointingGame`.
    """

    def __init__(self, masks: Any):
        if masks is None:
            raise ValueError(
                f"{type(self).__name__} compares explanations with objects and needs `masks`: booleans `(n, height, width)` for images, a "
                "mask for each explained sample. Received: masks=None"
            )
        self._masks = masks

    def _of(self, explanation: Explanation) -> tuple[Places, np.ndarray]:
        """The positions of an explanation, and the masks `(n, places)`."""
        places = Places(explanation)
        return places, checked_masks(self._masks, places)


@final
class PointingGame(MaskMetric):
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
        super().__init__(masks)
        check_number("tolerance", tolerance, least=0)
        self._tolerance = tolerance

    def _rate(self, explanation):
        places, masks = self._of(explanation)
        masks = self._widened(masks, places)
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
class RelevanceMass(MaskMetric):
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

    def _rate(self, explanation):
        places, masks = self._of(explanation)
        mass = np.maximum(places.relevance, 0)
        total = mass.sum(axis=1)
        return np.where(total > 0, (mass * masks).sum(axis=1) / np.where(total > 0, total, 1), np.nan)


@final
class RelevanceRank(MaskMetric):
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

    def _rate(self, explanation):
        places, masks = self._of(explanation)
        size = masks.sum(axis=1)
        first = ranks(places.relevance) < size[:, None]
        return (first & masks).sum(axis=1) / size


@final
class TopKIntersection(MaskMetric):
    """Top-k intersection: the share of the k most relevant positions that is on the object, from 0 to 1.

    Values of a pixel's channels are summed first. Ties are broken in a random order drawn once. `RelevanceRank` takes as many positions as
    the object has instead of k.

    No forward pass.

    Source: [Theiner et al., 2021](https://arxiv.org/abs/2104.14995), with k = 1000 for images of 224 x 224 pixels, of which the
    default of 2 % is that share.

    Args:
        masks: As in `PointingGame`.
        k: Number of positions; by default 2 % of all, at least one.
        concept_influence: Whether to divide by the share of the positions that the object covers, as the source does to compare objects of
            different sizes ("concept influence"); 1 is then the chance level.

    Raises:
        ValueError: If an option is invalid. When called: if the masks do not fit the samples, one is empty, or there are fewer than k
            positions.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.metrics import TopKIntersection
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> explanation = GradientTimesInput(model)(np.array([[1.0, 3.0, -2.0, 2.0]]))
    >>> masks = np.array([[True, True, False, False]])
    >>> TopKIntersection(masks, k=2)(explanation).tolist(), TopKIntersection(masks, k=1, concept_influence=True)(explanation).tolist()
    ([0.5], [2.0])
    """

    higher_is_better = True

    def __init__(self, masks: Any, *, k: int | None = None, concept_influence: bool = False):
        super().__init__(masks)
        self._k = k if k is None else check_count("k", k)
        self._concept_influence = check_flag("concept_influence", concept_influence)

    def _rate(self, explanation):
        places, masks = self._of(explanation)
        total = masks.shape[1]
        k = max(1, round(_TOP * total)) if self._k is None else check_count("k", self._k, most=total, what="positions")
        share = (masks & (ranks(places.relevance) < k)).sum(axis=1) / k
        return share / masks.mean(axis=1) if self._concept_influence else share
