"""Deletion and insertion curves."""

import abc
from typing import Any, final

import keras
import numpy as np

from keras_xai.attribution import Explanation
from keras_xai.attribution.baseline import baseline_like
from keras_xai.data.checks import check_count
from keras_xai.metrics.metric import ModelMetric
from keras_xai.metrics.places import ranks
from keras_xai.metrics.replacement import Replacement


class _Curve(ModelMetric):
    def __init__(
        self,
        model: keras.Model,
        *,
        steps: int = 64,
        baseline: Any = 0.0,
        probability: bool | None = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        check_count("steps", steps)
        self._steps = steps
        self._baseline = baseline
        self._replacement = Replacement(self._scores, self._batch_size, verbose, probability=probability)

    @final
    def curve(self, explanation: Explanation) -> tuple[np.ndarray, np.ndarray]:
        """The curve whose area is the metric's value.

        Args:
            explanation: What an attribution method has returned.

        Returns:
            `(shares, scores)`: the shares of the places that are taken away or put in, `(k,)` from 0 to 1, and the probabilities or
            scores there, `(n, k)`.
        """
        places = self._replacement.checked(explanation)
        instead = baseline_like(places.inputs, self._baseline, self._scores)
        rank = ranks(places.relevance)
        count, total = rank.shape
        counts = np.unique(np.linspace(0, total, self._steps + 1).round().astype(int))
        owners, steps = np.divmod(np.arange(count * len(counts)), len(counts))

        def replaced(part):
            return self._replaced(rank[owners[part]] < counts[steps[part]][:, None])

        scores = self._replacement.scores(explanation, instead, owners, replaced)
        return counts / total, scores.reshape(count, -1)

    @final
    def _rate(self, explanation):
        shares, scores = self.curve(explanation)
        return ((scores[:, 1:] + scores[:, :-1]) / 2) @ np.diff(shares)

    @abc.abstractmethod
    def _replaced(self, first: np.ndarray) -> np.ndarray:
        """Which places are replaced where the first so many have had their turn."""


@final
class Deletion(_Curve):
    """Deletion: the area under the probability curve as the most relevant places are removed first.

    If the explanation is right, the probability falls at once, and the area is small. Places are pixels (the values of the channels
    added up), time steps, features or tokens; of several inputs all are in one order. A place that is taken away gets the baseline.
    Places of equal value follow in an order that was drawn once.

    `steps + 1` forward passes. Places are removed in `steps` equal parts; where there are fewer, one by one.

    Source: [Petsiuk et al., 2018](https://arxiv.org/abs/1806.07421), section 4.1. Like there, it is the probability, wherever the
    model itself ends in a softmax or sigmoid; the scores of other models are taken as they are, so that the area has their unit.

    Args:
        model: The model that is explained.
        steps: Number of parts in which places are taken away.
        baseline: What is in the place of what is taken away: a number, or an array of the shape of a sample or of all. That of the
            explanation is not used, so that all methods are measured alike.
        probability: `True` to make probabilities of scores by a softmax (a sigmoid where there is one score), `False` to take scores
            as they are, `None` to do what the model does.
        batch_size: Changed samples in the model at a time; `None` to choose it by the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 for it at once, 2 for one line at the end, 0 for silence.

    Raises:
        ValueError: If an option is not one. When called: if the explanation or the baseline does not fit the model, or a score is
            NaN or infinite.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.metrics import Deletion
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    >>> explanation = GradientTimesInput(model)(np.array([[4.0, 3.0, 2.0, 1.0]]))
    >>> metric = Deletion(model)
    >>> metric.curve(explanation)[1].tolist()
    [[10.0, 6.0, 3.0, 1.0, 0.0]]
    >>> metric(explanation).tolist()
    [3.75]
    """

    higher_is_better = False

    def _replaced(self, first):
        return first


@final
class Insertion(_Curve):
    """Insertion: the area under the probability curve as the most relevant places are inserted first.

    The sample begins as the baseline. If the explanation is right, the probability rises at once, and the area is large. All else
    is as in `Deletion`.

    `steps + 1` forward passes.

    Source: [Petsiuk et al., 2018](https://arxiv.org/abs/1806.07421), section 4.1. They begin with a blurred image, which is less
    unlike a photograph than one without content: pass it as `baseline`, made for example by `scipy.ndimage.gaussian_filter`. The
    default is zero, as that fits all kinds of data.

    Args:
        model: The model that is explained.
        steps: Number of parts in which places are put in.
        baseline: What is in the place of what is not there yet, as for `Deletion`.
        probability: As for `Deletion`.
        batch_size: Changed samples in the model at a time; `None` to choose it by the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 for it at once, 2 for one line at the end, 0 for silence.

    Raises:
        ValueError: As for `Deletion`.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.metrics import Insertion
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    >>> Insertion(model)(GradientTimesInput(model)(np.array([[4.0, 3.0, 2.0, 1.0]]))).tolist()
    [6.25]
    """

    higher_is_better = True

    def _replaced(self, first):
        return ~first
