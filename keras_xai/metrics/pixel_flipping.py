"""Pixel flipping: the area over the perturbation curve."""

from typing import final, get_args

import keras
import numpy as np

from keras_xai.attribution import Explanation
from keras_xai.data.checks import Verbose, check_choice, check_count
from keras_xai.metrics.metric import ModelMetric, check_explanation, seed_of
from keras_xai.metrics.noise import uniform_noise
from keras_xai.metrics.places import Order, ranks
from keras_xai.metrics.replacement import Replacement

# Regions per axis: the source's regions of 9 pixels are a 25th of the image side.
_REGIONS = 25


@final
class PixelFlipping(ModelMetric):
    r"""Pixel flipping: the area over the perturbation curve (AOPC) as the most relevant regions become noise.

    $$\mathrm{AOPC} = \frac{1}{L + 1} \sum_{k=0}^{L} f(x^{(0)}) - f(x^{(k)})$$

    x^(k) is the sample with its k most relevant regions replaced. Regions are squares of pixels or segments of a series; each feature and
    token is a region. The relevance of a region is the sum of its values. Replacements are uniform noise between the minimum and maximum of
    each channel of the sample, so that a constant image does not change and scores 0.

    `steps + 1` forward passes.

    Source: [Samek et al., 2017](https://arxiv.org/abs/1509.06321), section III, order "most relevant first" (MoRF); `curve` also has "least
    relevant first" (LeRF). The pixel-by-pixel form is
    that of [Bach et al., 2015](https://doi.org/10.1371/journal.pone.0130140). The source draws noise from the range of all images; here it
    is the range of the sample, which requires no other samples.

    Args:
        model: The explained model.
        region: Side of a region, in pixels or time steps; by default a 25th of the longest side, like the source's 9 pixels.
        steps: Number of regions L to replace, one by one; at most all.
        probability: As in `Deletion`.
        seed: Seed of the noise; by default drawn once per metric, so that all its explanations are rated with the same noise.
        batch_size: Perturbed samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If an option is invalid. When called: if the explanation does not fit the model, or a score is NaN or infinite.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.metrics import PixelFlipping
    >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1, kernel_initializer="ones")]
    >>> model = keras.Sequential(layers)
    >>> x = np.random.default_rng(0).uniform(size=(3, 8, 8, 1))
    >>> bool((PixelFlipping(model, seed=0)(GradientTimesInput(model)(x)) > 0).all())
    True
    """

    higher_is_better = True

    def __init__(
        self,
        model: keras.Model,
        *,
        region: int | None = None,
        steps: int = 100,
        probability: bool | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        check_count("steps", steps)
        if region is not None:
            check_count("region", region)
        self._region = region
        self._steps = steps
        self._seed = seed_of(seed)
        self._replacement = Replacement(self._scores, self._batch_size, verbose, probability=probability)

    def curve(self, explanation: Explanation, *, order: Order = "morf") -> tuple[np.ndarray, np.ndarray]:
        """The perturbation curve; the metric's value is the area between it and its first score in the order `"morf"`.

        Args:
            explanation: The explanation that an attribution method returned.
            order: `"morf"` replaces the most relevant regions first, `"lerf"` the least relevant ones. The larger the gap between the two
                curves, the better the explanation.

        Returns:
            `(counts, scores)`: the numbers of replaced regions, `(k,)` from 0 on, and the probabilities or scores there, `(n, k)`.
        """
        check_explanation(explanation)
        check_choice("order", order, get_args(Order))
        places = self._replacement.checked(explanation)
        regions = self._regions(places)
        relevance = np.stack([np.bincount(regions, weights=row) for row in places.relevance])
        rank = ranks(relevance if order == "morf" else -relevance)[:, regions]
        counts = np.arange(min(self._steps, relevance.shape[1]) + 1)
        owners, replaced = np.divmod(np.arange(len(rank) * len(counts)), len(counts))
        scores = self._replacement.scores(
            explanation,
            [
                uniform_noise(x, layout, np.arange(len(x)), [(self._seed, i, number) for number in range(len(x))])
                for i, (x, layout) in enumerate(zip(places.inputs, places.layouts, strict=True))
            ],
            owners,
            lambda part: rank[owners[part]] < replaced[part][:, None],
        )
        return counts, scores.reshape(len(rank), -1)

    def _rate(self, explanation):
        _, scores = self.curve(explanation)
        return (scores[:, :1] - scores).mean(axis=1)

    def _regions(self, places):
        """The region number of each position."""
        found, count = [], 0
        for layout, shape in zip(places.layouts, places.shapes, strict=True):
            if shape == (0,):  # held fixed
                continue
            side = 1 if layout.is_apart else self._region or max(1, round(max(shape) / _REGIONS))
            blocks = [-(-length // side) for length in shape]
            numbers = np.ravel_multi_index(np.meshgrid(*(np.arange(n) // side for n in shape), indexing="ij"), blocks)
            found.append(count + numbers.ravel())
            count += int(np.prod(blocks))
        return np.concatenate(found)
