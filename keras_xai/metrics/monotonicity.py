"""Monotonicity: rank correlation of sizes of values with the loss when positions become unknown."""

from typing import final

import keras
import numpy as np

from keras_xai.data.checks import Verbose, check_count
from keras_xai.metrics.metric import ModelMetric, seed_of
from keras_xai.metrics.noise import uniform_noise
from keras_xai.metrics.places import ranks
from keras_xai.metrics.replacement import Replacement
from keras_xai.metrics.similarity import rank_correlation


@final
class Monotonicity(ModelMetric):
    r"""Monotonicity: Spearman's correlation of the absolute values with the expected squared change when places are replaced by noise.

    $$\rho_S(a, e), \quad a_g = \sum_{i \in g} \lvert \phi_i \rvert, \quad
    e_g = \mathbb{E} \bigl( p(x) - p(x_{[x_g = \text{noise}]}) \bigr)^2$$

    The groups g divide the places in the order of their absolute values. Noise is uniform between the minimum and maximum of each channel
    of the sample. Positions are pixels (summed over channels), time steps, features or tokens. If all values are equal, or no
    group changes the score, the correlation counts as 0, and as 1 if both hold.

    `steps * num_samples + 1` forward passes.

    Source: [Nguyen and Rodriguez Martinez, 2020](https://arxiv.org/abs/2007.07584), "monotonicity"; in Quantus it is
    `MonotonicityCorrelation`, in groups of equal size as here. It is not the `Monotonicity` of Arya et al. (2019), which tells only whether
    the score ever falls while places are inserted in ascending order. The source's loss is that of the class, and its noise comes from the
    data; here it is the squared change of the probability, or of the score if the model has no probabilities, as in Quantus.

    Args:
        model: The explained model.
        steps: Number of groups; at most one for each place. At least 2.
        num_samples: Number of draws of noise.
        seed: Seed of the noise; by default drawn once per metric, so that all its explanations are rated with the same noise.
        batch_size: Perturbed samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If an option is invalid. When called: if there are fewer than two positions, the explanation does not fit the model, or
            a score is NaN or infinite.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.metrics import Monotonicity
    >>> from keras_xai.attribution import Saliency
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, use_bias=False)])
    >>> model.layers[0].set_weights([np.array([[1.0], [-8.0], [64.0], [-512.0]])])
    >>> Monotonicity(model, seed=0)(Saliency(model)(np.array([[1.0, -1.0, 1.0, -1.0]]))).round(6).tolist()
    [1.0]
    """

    higher_is_better = True

    def __init__(
        self,
        model: keras.Model,
        *,
        steps: int = 32,
        num_samples: int = 8,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._steps = check_count("steps", steps, least=2)
        self._num_samples = check_count("num_samples", num_samples)
        self._seed = seed_of(seed)
        self._replacement = Replacement(self._scores, self._batch_size, verbose, probability=None)

    def _rate(self, explanation):
        places = self._replacement.checked(explanation)
        sizes = np.abs(places.relevance)
        count, total = sizes.shape
        if total < 2:
            raise ValueError(
                f"Expected samples of at least two positions, which can be ranked. Received: samples of {total} position."
            )
        steps = min(self._steps, total)
        group = ranks(sizes) * steps // total
        # The sample itself, then each of its groups with each draw of noise.
        per_sample = 1 + steps * self._num_samples
        owners, numbers = np.divmod(np.arange(count * per_sample), per_sample)
        groups, draws = np.divmod(numbers - 1, self._num_samples)

        def noise(part):
            return [
                uniform_noise(
                    x,
                    layout,
                    owners[part],
                    [(self._seed, i, owner, draw) for owner, draw in zip(owners[part], draws[part], strict=True)],
                )
                for i, (x, layout) in enumerate(zip(places.inputs, places.layouts, strict=True))
            ]

        def replaced(part):
            return group[owners[part]] == groups[part][:, None]  # none for the sample itself, whose group is -1

        scores = self._replacement.scores(explanation, noise, owners, replaced).reshape(count, -1)
        changes = ((scores[:, 1:] - scores[:, :1]) ** 2).reshape(count, steps, -1).mean(axis=2)
        said = np.stack([np.bincount(*each) for each in zip(group, sizes, strict=True)])
        return rank_correlation(said, changes)
