"""IROF: iterative removal of features."""

from typing import Any, final

import keras
import numpy as np

from keras_xai.attribution.baseline import baseline_like
from keras_xai.attribution.perturbation.segments import Segments
from keras_xai.data.checks import Verbose
from keras_xai.metrics.metric import ModelMetric
from keras_xai.metrics.noise import axes_of_places
from keras_xai.metrics.places import ranks
from keras_xai.metrics.replacement import Replacement


@final
class IROF(ModelMetric):
    r"""IROF (iterative removal of features): the area over the curve of the relative probability as segments are removed.

    $$\mathrm{IROF}(x) = 1 - \frac{1}{L} \sum_{l=1}^{L} \frac{1}{2} \left( \frac{p(x^{(l-1)})}{p(x)} + \frac{p(x^{(l)})}{p(x)} \right)$$

    x^(l) is the sample without its l segments of the largest mean value. Segments are superpixels of an image and parts of a series; each
    feature and token is a segment. Segments are compared instead of pixels because removing single pixels acts like noise.

    A forward pass for each segment, and one for the sample.

    Source: [Rieger and Hansen, 2020](https://arxiv.org/abs/2003.08747), with the mean of the image as replacement. The area is
    divided by the number of segments, so that samples are comparable; in Quantus it is not.

    Args:
        model: The explained model.
        segments: As in `LIME`: a number of superpixels or of parts of a series, an integer array with the segment of each position, or a
            function that maps a sample, channels last, to one. By default 50 superpixels, or 20 parts of a series.
        baseline: Value of removed positions, as in `Deletion`; `None` for the mean of each channel of the sample, and 0 for features and
            tokens.
        batch_size: Perturbed samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If an option is invalid. When called: if a callable target was explained, which has no probability; if the explanation,
            the segments or the baseline do not fit the model, or a score is NaN or infinite.

    Scores of a model that does not end in a softmax or sigmoid are passed through one. NaN if the probability of the sample is zero.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.metrics import IROF
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, "sigmoid", kernel_initializer="ones")])
    >>> explanation = GradientTimesInput(model)(np.array([[1.0, 0.0, 4.0, 2.0]]))
    >>> IROF(model)(explanation).round(3).tolist()
    [0.266]
    """

    higher_is_better = True

    def __init__(
        self,
        model: keras.Model,
        *,
        segments: Any = None,
        baseline: Any = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._segments = Segments(self._scores, segments)
        self._baseline = baseline
        self._replacement = Replacement(self._scores, self._batch_size, verbose, probability=True)

    def _rate(self, explanation):
        targets = explanation.target.values() if isinstance(explanation.target, dict) else [explanation.target]
        if any(map(callable, targets)):
            raise ValueError(
                "Expected an explanation of a class, since `IROF` divides by its probability. Received: an explanation of a callable "
                "target. Use `Deletion` or `PixelFlipping`."
            )
        places = self._replacement.checked(explanation)
        segments = [self._of_sample(places, number) for number in range(len(explanation))]
        # The rank of each position's segment; samples may have different numbers of segments.
        rank = np.stack([_segment_ranks(*each) for each in zip(places.relevance, segments, strict=True)])
        counts = rank.max(axis=1) + 1
        owners = np.repeat(np.arange(len(rank)), counts + 1)
        starts = np.cumsum(counts + 1) - (counts + 1)
        removed = np.arange(len(owners)) - starts[owners]
        scores = self._replacement.scores(
            explanation,
            self._replacements(places),
            owners,
            lambda part: rank[owners[part]] < removed[part][:, None],
        )
        values = []
        for curve in np.split(scores, starts[1:]):
            relative = curve / curve[0] if curve[0] else np.full_like(curve, np.nan)
            values.append(1 - (relative[1:] + relative[:-1]).mean() / 2)
        return values

    def _of_sample(self, places, number):
        """The segment of each position of a sample."""
        arrays = self._segments.of([x[number] for x in places.restored(places.inputs)])
        return np.concatenate([each.ravel() for each, shape in zip(arrays, places.shapes, strict=True) if shape != (0,)])

    def _replacements(self, places):
        given = baseline_like(places.restored(places.inputs), 0.0 if self._baseline is None else self._baseline, self._scores)
        found = places.channels_last(given)
        if self._baseline is not None:
            return found
        return [
            other
            if layout.is_apart
            else np.broadcast_to(x.mean(axis=axes_of_places(x, layout), keepdims=True), x.shape).astype(x.dtype)
            for x, other, layout in zip(places.inputs, found, places.layouts, strict=True)
        ]


def _segment_ranks(relevance, segments):
    """For each position, the rank of its segment by the mean value, 0 for the largest."""
    _, numbers = np.unique(segments, return_inverse=True)
    means = np.bincount(numbers, relevance) / np.bincount(numbers)
    return ranks(means[None])[0][numbers]
