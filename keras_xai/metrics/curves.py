"""Deletion and insertion curves."""

import abc
from typing import Any, final

import keras
import numpy as np

from keras_xai.attribution import Explanation
from keras_xai.attribution.baseline import baseline_like
from keras_xai.data.checks import Verbose, check_count
from keras_xai.metrics.metric import ModelMetric, check_explanation
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
        verbose: Verbose = "auto",
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
            explanation: The explanation that an attribution method returned.

        Returns:
            `(shares, scores)`: the shares of removed or inserted positions, `(k,)` from 0 to 1, and the probabilities or scores there, `(n,
            k)`.
        """
        check_explanation(explanation)
        places = self._replacement.checked(explanation)
        given = baseline_like(places.restored(places.inputs), self._baseline, self._scores)
        instead = places.channels_last(given)
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
        """The positions replaced after the given number of first positions."""


@final
class Deletion(_Curve):
    """Deletion: the area under the probability curve as the most relevant places are removed first.

    With a faithful explanation the probability decreases early, and the area is small. Positions are pixels (summed over channels), time
    steps, features or tokens; those of several inputs are ranked together. A removed position takes the value of the baseline. Ties are
    broken in a random order drawn once. `curve` is the MoRF curve, most relevant first; read backward, that of `Insertion` is the LeRF
    curve, least relevant first.

    `steps + 1` forward passes. Positions are removed in `steps` equal groups, or one by one if there are fewer positions.

    Source: [Petsiuk et al., 2018](https://arxiv.org/abs/1806.07421), section 4.1. As there, the curve is of the probability if the model
    ends in a softmax or sigmoid; the scores of other models are used directly, so that the area has their unit.

    Args:
        model: The explained model.
        steps: Number of groups in which positions are removed.
        baseline: Value of removed positions: a number, or an array of the shape of one sample or of all. The explanation's own baseline is
            not used, so that all methods are measured alike.
        probability: `True` to convert scores to probabilities by a softmax (a sigmoid for a single score), `False` to use the scores,
            `None` to follow the model.
        batch_size: Perturbed samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If an option is invalid. When called: if the explanation or the baseline does not fit the model, or a score is NaN or
            infinite.

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

    The curve starts at the baseline. With a faithful explanation the probability increases early, and the area is large. Otherwise as in
    `Deletion`.

    `steps + 1` forward passes.

    Source: [Petsiuk et al., 2018](https://arxiv.org/abs/1806.07421), section 4.1. The source begins with a blurred image, which is closer
    to a photograph than a blank one: pass it as `baseline`, for example from `scipy.ndimage.gaussian_filter`. The default is zero, which
    suits all kinds of data.

    Args:
        model: The explained model.
        steps: Number of groups in which positions are inserted.
        baseline: Value of positions before their insertion, as in `Deletion`.
        probability: As in `Deletion`.
        batch_size: Perturbed samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: As in `Deletion`.

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
