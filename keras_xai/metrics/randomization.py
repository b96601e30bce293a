"""Model parameter randomization test: does an explanation depend on the learned weights?"""

from collections.abc import Sequence
from typing import Literal, final, get_args

import keras
import numpy as np

from keras_xai.attribution import Explanation, Method
from keras_xai.data.checks import Verbose, check_choice, check_layers
from keras_xai.metrics.metric import check_explanation, explain_again
from keras_xai.metrics.shuffling import RandomizationMetric, shuffled_weights
from keras_xai.metrics.similarity import rank_correlation

_Mode = Literal["cascading", "independent"]


@final
class ModelParameterRandomization(RandomizationMetric):
    """Model parameter randomization test: rank correlation with explanations of the model with randomized layers.

    An explanation that stays the same while the layers are randomized shows the image and not the model. Two modes: `"cascading"`
    randomizes the layers successively from the output down; `"independent"` randomizes one layer at a time and keeps all others as trained.
    `similarities` gives the correlation for each layer.

    One explanation per layer with weights.

    The weights of the model are restored bit by bit, also after an error or an interrupt. Meanwhile the model is changed: do not train or
    use it in another thread.

    Source: [Adebayo et al., 2018](https://arxiv.org/abs/1810.03292), sections 3 and 4, with Spearman's rank correlation. A layer is
    randomized by shuffling the entries of each of its arrays, while the source draws them from its initializer: third-party models do not
    record their initializers, and shuffled variances stay positive.

    Args:
        model: The explained model.
        method: The method that made the explanations, on this model. If it draws at random, give it a seed.
        mode: `"cascading"` or `"independent"`.
        layers: The layers to randomize or their paths, such as `"backbone/conv5"`; by default all layers leading to the score whose
            weights can be shuffled; a layer with equal entries cannot.
        absolute: Whether to rank absolute values, as the source does in addition to signed ones.
        seed: Seed of the shuffling; by default drawn once per metric.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        TypeError: If `method` is not an attribution method.
        ValueError: If the method is of another model, the mode is unknown, or a layer does not exist or has no weights to shuffle. When
            called: if the method did not make the explanation, or the randomized model's scores are NaN or infinite.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import Saliency
    >>> from keras_xai.metrics import ModelParameterRandomization
    >>> keras.utils.set_random_seed(0)
    >>> layers = [keras.Input((30,)), keras.layers.Dense(8, "relu", name="hidden"), keras.layers.Dense(3, name="head")]
    >>> model = keras.Sequential(layers)
    >>> method = Saliency(model)
    >>> explanation = method(np.random.default_rng(0).normal(size=(20, 30)))
    >>> metric = ModelParameterRandomization(model, method, seed=0)
    >>> {path: values.shape for path, values in metric.similarities(explanation).items()}
    {'head': (20,), 'hidden': (20,)}
    >>> bool(metric(explanation).mean() < 0.9)
    True
    """

    higher_is_better = False

    def __init__(
        self,
        model: keras.Model,
        method: Method,
        *,
        mode: _Mode = "cascading",
        layers: Sequence[str | keras.Layer] | None = None,
        absolute: bool = False,
        seed: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, method, absolute=absolute, seed=seed, verbose=verbose)
        check_choice("mode", mode, get_args(_Mode))
        check_layers("layers", layers)
        if layers is not None:
            layers = self._graph.paths_of(layers)
            self._remember(layers=layers)
            fixed = [path for path in layers if not shuffled_weights(self._graph.find(path).operation)]
            if fixed:
                raise ValueError(
                    f"Expected `layers` to be a list of paths of layers whose weights can be shuffled. Received: {layers!r}, where "
                    f"{fixed} have no weights, or only equal ones."
                )
        self._mode = mode
        self._layers = layers

    def similarities(self, explanation: Explanation) -> dict[str, np.ndarray]:
        """The rank correlation for each layer.

        Args:
            explanation: The explanation that the method returned.

        Returns:
            For the path of each layer, from the output down, an array `(n,)`: the correlation with the explanation of the model in which
            this layer is randomized, in `"cascading"` mode together with those before it.
        """
        check_explanation(explanation)
        layers = self._randomized(explanation.target, self._layers)
        values = self._compared(explanation)

        def measure():
            return rank_correlation(values, self._compared(explain_again(self._method, explanation)))

        return self._after_each(layers, measure, cascading=self._mode == "cascading")

    def _rate(self, explanation):
        return np.mean(list(self.similarities(explanation).values()), axis=0)
