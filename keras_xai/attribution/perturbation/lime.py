"""LIME: local linear surrogate models."""

from typing import Any, final

import keras
import numpy as np

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.attribution.perturbation.hiding import Hiding, Parted, padding_of_sample, stacked
from keras_xai.attribution.perturbation.isolation import isolated, random_state
from keras_xai.attribution.perturbation.segments import Segments, holds_tokens, means
from keras_xai.data.checks import Verbose, check_count, check_seed
from keras_xai.data.progress import progress
from keras_xai.data.reader import read_unchecked

_KERNEL_WIDTH = 0.25  # lime's width for images; its text width is 25 for distances times 100


@final
class LIME(Method):
    """LIME: weights of a linear surrogate fitted to the scores of perturbed copies of a sample.

    Parts of the sample are hidden at random: superpixels of an image, segments of a time series, tokens of a text, features of a table. A
    ridge regression on the indicators of hidden parts, with larger sample weights for copies closer to the sample, gives each part a
    weight: the score difference with and without the part, in units of the score. All entries of a part share its weight.

    With a `background` for tabular data, features are not hidden but drawn from the background, quartile by quartile; a weight compares a
    value in the sample's quartile with a value in another quartile.

    `num_samples` forward passes, and one more to find a predicted class.

    `convergence_delta` is the score of the sample minus the prediction of the linear model there. If it is large, the weights describe a
    surrogate that is not faithful to the network.

    Source: [Ribeiro et al., 2016](https://arxiv.org/abs/1602.04938). The library [lime](https://github.com/marcotcr/lime) does the
    regression and draws the tabular copies, with its kernels and settings. Copies of images, series and tokens are made here with the same
    draws, so that they run through the model in batches. Deviations: scores are explained instead of probabilities; all parts get a weight,
    without feature selection; hidden parts become zero instead of their mean; one token of a text is always kept; parts equal to their
    replacement have weight 0, and a single part gets the whole score difference.

    Args:
        model: The model to explain, see `Method`.
        num_samples: Number of perturbed copies of each sample.
        segments: Number of superpixels of an image (default 50) or of equally long segments of a series (default 20); or an integer array
            `(height, width)` or `(time,)`, with the segment number of each position; or a function that maps a sample, channels last
            whatever the layout of the model, to such an array. Each feature of a table and each token is a segment.
        background: For a model with one input `(n, features)`: samples such as the training data, of shape `(m, features)`.
        seed: Random seed; results do not depend on the batch size. By default, each call draws a new seed.
        batch_size: Perturbed copies per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    The `baseline` of a call is the replacement for hidden parts, zero by default; `"mean"` for the per-channel mean of each part of an
    image or series, which is lime's default.

    Raises:
        ValueError: If `segments` or `background` is invalid, or a baseline is given together with a background.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import LIME
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> LIME(model, seed=0)(np.array([[1.0, 2.0, 0.0]]), target=1).values.round(1).tolist()
    [[1.0, 2.0, 0.0]]
    """

    takes_baseline = True

    def __init__(
        self,
        model: keras.Model,
        *,
        num_samples: int = 1000,
        segments: Any = None,
        background: Any = None,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        check_count("num_samples", num_samples)
        if num_samples < 2:
            raise ValueError(f"Expected `num_samples` to be at least 2, the sample itself among them. Received: {num_samples}")
        self._num_samples = num_samples
        self._segments = Segments(self._scores, segments)
        self._words = holds_tokens(self._scores)
        self._background = None if background is None else self._checked(background)
        self._seed = None if seed is None else check_seed(seed)

    def _checked(self, background):
        specs = self._scores.graph.input_specs
        if len(specs) != 1 or len(specs[0].shape) != 2 or self._words:
            raise ValueError(
                "Expected no `background` for a model that does not take one table of features, (n, features). Give the replacement for "
                f"hidden parts as the `baseline` of the call. Received: a background of type {type(background).__name__}."
            )
        (array,) = read_unchecked(background, self._scores.graph)
        fits = array.ndim == 2 and len(array) > 1 and array.shape[1] == specs[0].shape[1] and array.dtype.kind in "fiub"
        if not fits or not np.isfinite(array).all():
            raise ValueError(
                f"Expected a finite `background` of shape (m, {specs[0].shape[1]}) with at least 2 samples. Received: an array of shape "
                f"{array.shape}."
            )
        return array.astype("float64")

    def _baseline(self, baseline, inputs):
        if baseline is not None and self._background is not None:
            raise ValueError(
                "Expected no `baseline` together with a `background`, from which features are drawn. Received: both."
            )
        if isinstance(baseline, str):
            if baseline != "mean" or any(layout.is_apart for layout in self._segments.layouts):
                raise ValueError(
                    f"Expected `baseline` to be numbers, or 'mean' for images and series. Received: baseline={baseline!r}"
                )
            return None  # computed per sample
        return None if self._background is not None else super()._baseline(baseline, inputs)

    def _prepare(self, target):
        predicted = self._scores.predictor(target)
        explain_one = self._prepare_hiding(target) if self._background is None else self._prepare_tabular(target)

        def explain(batch):
            indices = [np.asarray(each) for each in predicted(batch.inputs, batch.indices)]
            found = []
            with isolated():
                for i, number in enumerate(progress(batch.numbers, len(batch.numbers))):
                    hidden = None if batch.baseline is None else [each[[i]] for each in batch.baseline]
                    chosen = [each[[i]] for each in indices]
                    found.append(explain_one([x[i] for x in batch.inputs], hidden, chosen, random_state(batch.seed, number)))
            values = stacked(each for each, _, _ in found)
            delta, base = (np.array(each) for each in zip(*(errors for _, *errors in found), strict=True))
            return Part(values, indices, delta, self._num_samples * len(found) + batch.passes_to_predict, base_score=base)

        return explain

    def _prepare_hiding(self, target):
        hiding = Hiding(self._scores, target, self._batch_size)

        def explain(sample, hidden, indices, state):
            numbers = self._segments.of(sample)
            layouts = self._segments.layouts
            others = hidden or [means(*each)[np.newaxis] for each in zip(sample, numbers, layouts, strict=True)]
            padding = padding_of_sample(self._scores, sample)
            parted = Parted.of(sample, others, numbers, layouts, self._scores.explainable, padding)
            if parted.count < 2:  # a single part needs no regression, and lime's kernel nearly ignores the sample without it
                shown, hidden = hiding(parted, indices, np.array([[True], [False]]).repeat(parted.count, axis=1))
                return parted.spread(np.full(parted.count, shown - hidden)), 0.0, float(hidden)
            masks = (_words_removed if self._words else _coins)(state, self._num_samples, parted.count)
            weights, delta, constant = _regression(masks, hiding(parted, indices, masks), state)
            return parted.spread(weights), delta, constant

        return explain

    def _prepare_tabular(self, target):
        from lime.lime_tabular import LimeTabularExplainer

        evaluate = self._scores.evaluator(target, self._batch_size)
        background = self._background

        def explain(sample, hidden, indices, state):
            explainer = LimeTabularExplainer(
                background, mode="regression", feature_selection="none", random_state=state, discretize_continuous=True
            )

            def score(x):
                return evaluate([x], [np.repeat(index, len(x), axis=0) for index in indices])

            (x,) = sample
            found = explainer.explain_instance(x.astype("float64"), score, num_features=len(x), num_samples=self._num_samples)
            weights = dict(found.local_exp[1])
            # In lime's model of a sample each feature counts once: its bin is that of the sample.
            delta = float(found.predicted_value - found.local_pred[0])
            return [np.array([weights[i] for i in range(len(x))])], delta, float(found.local_pred[0] - sum(weights.values()))

        return explain


def _coins(state, num_samples, count):
    """Indicators of shown parts `(num_samples, count)`, drawn as in `lime_image`; the first row is the sample itself."""
    shown = state.randint(0, 2, num_samples * count).reshape(num_samples, count)
    shown[0] = 1
    return shown


def _words_removed(state, num_samples, count):
    """Indicators of shown tokens, drawn as in `lime_text` with a uniform number of removed tokens; at least one token is kept.

    Models that average over tokens have no score for none.
    """
    shown = np.ones((num_samples, count), int)
    for row, size in zip(shown[1:], state.randint(1, count, num_samples - 1), strict=True):
        row[state.choice(count, size, replace=False)] = 0
    return shown


def _regression(shown, scores, state):
    """The weights of the parts, the error of the linear model at the sample, and its constant."""
    from lime.lime_base import LimeBase
    from sklearn.metrics import pairwise_distances

    distances = pairwise_distances(shown, shown[:1], metric="cosine").ravel()
    base = LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / _KERNEL_WIDTH**2)), random_state=state)
    _, found, _, local = base.explain_instance_with_data(
        shown, scores[:, np.newaxis], distances, 0, shown.shape[1], feature_selection="none"
    )
    weights = np.zeros(shown.shape[1])
    for part, weight in found:
        weights[part] = weight
    return weights, float(scores[0] - local[0]), float(local[0] - weights.sum())
