"""Infidelity of an explanation under perturbations."""

from typing import Any, final

import keras
import numpy as np

from keras_xai.attribution.baseline import baseline_like
from keras_xai.data.checks import Verbose, check_count, check_flag
from keras_xai.metrics.metric import ModelMetric, seed_of
from keras_xai.metrics.replacement import Replacement


@final
class Infidelity(ModelMetric):
    r"""Infidelity: the mean squared difference between predicted and actual score changes under perturbations.

    $$\mathrm{INFD}(\phi) = \mathbb{E}_I \Bigl[ \bigl( \beta \, I^T \phi - (f(x) - f(x - I)) \bigr)^2 \Bigr]$$

    x - I is the sample with a random part replaced by the baseline: a box of random size in an image, a segment of a series, a random
    subset of features or tokens. f is the score before a softmax or sigmoid. For values that are derivatives, as told by
    `explanation.derivatives` (Saliency, SmoothGrad, GuidedBackprop, Deconvnet), I is the change of the input. All other methods distribute
    the score, so I is 1 at replaced entries and 0 elsewhere: the prediction is the sum of the part's values. Values at tokens always count
    as contributions, since tokens have no numeric change.

    `num_perturbations + 1` forward passes.

    Source: [Yeh et al., 2019](https://arxiv.org/abs/1901.09392), definition 2.1 with square removal. There, beta minimizes the infidelity,
    since methods have different units; here it is the minimizer among nonnegative numbers, because otherwise an explanation of the opposite
    sign would score as well as the true one. Boxes have random sizes instead of one size.

    Args:
        model: The explained model.
        num_perturbations: Number of random parts per sample.
        baseline: Replacement for the parts, as in `Deletion`.
        normalize: Whether to fit beta for each sample. `False` sets it to 1, for methods whose values are in the unit of the score.
        seed: Seed of the random parts; by default drawn once per metric, so that all its explanations are rated on the same parts.
        batch_size: Perturbed samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If an option is invalid. When called: if the explanation or the baseline does not fit the model, or a score is NaN or
            infinite.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import Saliency
    >>> from keras_xai.metrics import Infidelity
    >>> model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    >>> x = np.random.default_rng(0).normal(size=(3, 5))
    >>> bool((Infidelity(model, seed=0)(Saliency(model)(x)) < 1e-6).all())  # the gradient of a linear model says it all
    True
    """

    higher_is_better = False

    def __init__(
        self,
        model: keras.Model,
        *,
        num_perturbations: int = 64,
        baseline: Any = 0.0,
        normalize: bool = True,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        check_count("num_perturbations", num_perturbations)
        self._num_perturbations = num_perturbations
        self._baseline = baseline
        self._normalize = check_flag("normalize", normalize)
        self._seed = seed_of(seed)
        self._replacement = Replacement(self._scores, self._batch_size, verbose)

    def _rate(self, explanation):
        places = self._replacement.checked(explanation)
        given = baseline_like(places.restored(places.inputs), self._baseline, self._scores)
        instead = places.channels_last(given)
        slope = explanation.derivatives
        changes = [
            x - other if slope and x.dtype.kind == "f" else np.ones_like(x, "float64")
            for x, other in zip(places.inputs, instead, strict=True)
        ]
        shares = places.times(changes) if slope else places.relevance
        count, draws = len(shares), self._num_perturbations
        owners, numbers = np.divmod(np.arange(count * (draws + 1)), draws + 1)

        def replaced(part):
            return np.stack([self._part(places, i, k - 1) for i, k in zip(owners[part], numbers[part], strict=True)])

        scores = self._replacement.scores(explanation, instead, owners, replaced).reshape(count, -1)
        change = scores[:, :1] - scores[:, 1:]
        said = np.array([[row @ self._part(places, i, k) for k in range(draws)] for i, row in enumerate(shares)])
        if self._normalize:
            square = (said**2).sum(axis=1)
            fitted = (said * change).sum(axis=1) / np.where(square > 0, square, 1)
            said = said * np.maximum(fitted, 0)[:, None]
        return ((said - change) ** 2).mean(axis=1)

    def _part(self, places, sample, number):
        """The positions of a sample that one draw replaces; none for number -1, the sample itself."""
        if number < 0:
            return np.zeros(sum(int(np.prod(shape)) for shape in places.shapes), bool)
        draw = np.random.default_rng((self._seed, sample, number))
        masks = [
            _subset(shape, draw) if layout.is_apart else _box(shape, draw)
            for layout, shape in zip(places.layouts, places.shapes, strict=True)
            if shape != (0,)
        ]
        return np.concatenate([mask.ravel() for mask in masks])


def _box(shape, draw):
    mask = np.zeros(shape, bool)
    sides = [draw.integers(1, length, endpoint=True) for length in shape]
    starts = [draw.integers(0, length - side, endpoint=True) for length, side in zip(shape, sides, strict=True)]
    mask[tuple(slice(start, start + side) for start, side in zip(starts, sides, strict=True))] = True
    return mask


def _subset(shape, draw):
    mask = draw.random(shape) < draw.random()
    mask[tuple(draw.integers(length) for length in shape)] = True
    return mask
