"""ROAD: remove and debias."""

from typing import final, get_args

import keras
import numpy as np

from keras_xai.attribution import Explanation
from keras_xai.data.checks import Verbose, check_choice, check_count, check_number
from keras_xai.metrics.imputation import imputed
from keras_xai.metrics.metric import ModelMetric, check_explanation, seed_of
from keras_xai.metrics.noise import axes_of_places
from keras_xai.metrics.places import Order, ranks
from keras_xai.metrics.replacement import Replacement


@final
class ROAD(ModelMetric):
    r"""ROAD (remove and debias): the mean probability while shares of the places are removed by noisy linear imputation.

    $$\mathrm{ROAD}(x) = \frac{1}{L} \sum_{k=1}^{L} p\bigl(x^{(k)}\bigr)$$

    x^(k) is the sample without its share k / (L + 1) of most relevant places (MoRF), or least relevant ones (LeRF). A removed place becomes
    the weighted mean of its neighbors, removed ones included, plus little noise, so that the shape of the mask, which a constant shows to
    the model, gives nothing away. Positions are pixels (summed over channels), voxels or time steps. Ties are broken in a random order
    drawn once.

    `steps + 1` forward passes, and as many sparse linear systems with an unknown for each removed place.

    Source: [Rong et al., 2022](https://arxiv.org/abs/2202.00449). The source reports the accuracy over a dataset at each share;
    here it is the probability of the explained class of each sample, or the score if the model has no probabilities. In series and volumes
    the weights of neighbors are set by the same rule. The source's noise has the standard deviation 0.01 in the unit of its normalized
    images; here it is a fraction of the range of each channel of the sample.

    Args:
        model: The explained model.
        order: `"morf"` removes the most relevant places first: lower is better. `"lerf"` removes the least relevant first: higher is
            better.
        steps: Number of shares L, at equal distances; 9 for 10 %, 20 %, ..., 90 %.
        noise: Standard deviation of the noise, as a fraction of the range of each channel of the sample.
        seed: Seed of the noise; by default drawn once per metric, so that all its explanations are rated with the same noise.
        batch_size: Perturbed samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If an option is invalid. When called: if an explained input is a table or a text, whose entries have no neighbors, the
            explanation does not fit the model, or a score is NaN or infinite.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.metrics import ROAD
    >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1, kernel_initializer="ones")]
    >>> model = keras.Sequential(layers)
    >>> explanation = GradientTimesInput(model)(np.random.default_rng(0).uniform(size=(3, 8, 8, 1)))
    >>> morf, lerf = ROAD(model, seed=0), ROAD(model, order="lerf", seed=0)
    >>> bool((morf(explanation) < lerf(explanation)).all()), morf.higher_is_better, lerf.higher_is_better
    (True, False, True)
    """

    higher_is_better = False

    def __init__(
        self,
        model: keras.Model,
        *,
        order: Order = "morf",
        steps: int = 9,
        noise: float = 0.01,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._order = check_choice("order", order, get_args(Order))
        self.higher_is_better = order == "lerf"
        self._steps = check_count("steps", steps)
        self._noise = check_number("noise", noise, least=0)
        self._seed = seed_of(seed)
        self._replacement = Replacement(self._scores, self._batch_size, verbose, probability=None)

    def curve(self, explanation: Explanation) -> tuple[np.ndarray, np.ndarray]:
        """The curve whose mean is the metric's value.

        Args:
            explanation: The explanation that an attribution method returned.

        Returns:
            `(shares, scores)`: the shares of removed places, `(steps,)`, and the probabilities or scores there, `(n, steps)`.
        """
        check_explanation(explanation)
        places = self._replacement.checked(explanation)
        apart = [
            layout.letters
            for layout, shape in zip(places.layouts, places.shapes, strict=True)
            if layout.is_apart and shape != (0,)
        ]
        if apart:
            raise ValueError(
                "Expected images, volumes or series, since `ROAD` imputes removed positions from their neighbors. Received: an explanation "
                f"of inputs of the layouts {apart}, features (F) or tokens (L), which have no neighbors. Use `Deletion`, with a "
                "`baseline` that suits the data."
            )
        rank = ranks(places.relevance if self._order == "morf" else -places.relevance)
        shares = np.arange(1, self._steps + 1) / (self._steps + 1)
        counts = (shares * rank.shape[1] + 1e-9).astype(int)
        owners, steps = np.divmod(np.arange(len(rank) * self._steps), self._steps)

        def removed(part):
            return rank[owners[part]] < counts[steps[part]][:, None]

        def replacements(part):
            masks = places.apart(removed(part))
            return [
                x[owners[part]]
                if shape == (0,)
                else np.stack(
                    [
                        self._imputed(x[owner], mask[..., 0], (self._seed, i, owner, step), axes_of_places(x, layout))
                        for owner, step, mask in zip(owners[part], steps[part], mask, strict=True)
                    ]
                )
                for i, (x, mask, layout, shape) in enumerate(
                    zip(places.inputs, masks, places.layouts, places.shapes, strict=True)
                )
            ]

        return shares, self._replacement.scores(explanation, replacements, owners, removed).reshape(len(rank), -1)

    def _imputed(self, x, mask, seed, axes):
        found = x.copy()
        if mask.any():
            scale = self._noise * np.ptp(x.astype("float64"), axis=tuple(axis - 1 for axis in axes))
            values = imputed(x, mask) + scale * np.random.default_rng(seed).normal(size=x.shape)[mask]
            found[mask] = values if x.dtype.kind == "f" else np.clip(np.rint(values), x.min(), x.max())
        return found

    def _rate(self, explanation):
        return self.curve(explanation)[1].mean(axis=1)
