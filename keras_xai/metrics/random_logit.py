"""Random logit test: does an explanation depend on the explained class?"""

from typing import Any, final

import keras
import numpy as np

from keras_xai.attribution import Method
from keras_xai.data.checks import check_flag
from keras_xai.data.remade import Remade
from keras_xai.metrics.metric import Metric, check_method, explain_again, seed_of
from keras_xai.metrics.places import Places
from keras_xai.metrics.shuffling import check_model
from keras_xai.metrics.similarity import rank_correlation
from keras_xai.network.scores import Scores


@final
class RandomLogit(Remade, Metric):
    """Random logit test: rank correlation between the explanations of a class and of a random other class.

    An explanation that is the same for all classes does not explain why the model predicts this one.

    One explanation.

    Source: [Sixt et al., 2020](https://arxiv.org/abs/1912.09818), section 4, which compares images by their structural similarity (SSIM).
    Here it is Spearman's rank correlation, which suits data of any kind.

    Args:
        model: The explained model.
        method: The method that made the explanations, on this model. If it draws at random, give it a seed.
        absolute: Whether to rank absolute values.
        seed: Seed of the random classes; by default drawn once per metric.

    Raises:
        TypeError: If `method` is not an attribution method.
        ValueError: If the method is of another model. When called: if the explanation is not of classes, there is no other class, or the
            method did not make it.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import Saliency
    >>> from keras_xai.metrics import RandomLogit
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, kernel_initializer="identity")])
    >>> method = Saliency(model)
    >>> RandomLogit(model, method)(method(np.eye(2))).round(6).tolist()
    [-1.0, -1.0]
    """

    higher_is_better = False

    def __init__(self, model: keras.Model, method: Method, *, absolute: bool = False, seed: int | None = None):
        check_method(method, type(self).__name__)
        check_model(model, method)
        graph = Scores(model).graph
        self._classes = {name: spec.shape[-1] for name, spec in zip(graph.output_names, graph.output_specs, strict=True)}
        self._method = method
        self._absolute = check_flag("absolute", absolute)
        self._seed = seed_of(seed)

    def _rate(self, explanation):
        target = explanation.target
        if isinstance(target, dict):
            other: Any = {name: self._others(name, classes) for name, classes in target.items()}
        else:
            other = self._others(next(iter(self._classes)), target)
        values = [Places(each).values for each in (explanation, explain_again(self._method, explanation, target=other))]
        return rank_correlation(*(np.abs(each) if self._absolute else each for each in values))

    def _others(self, name, classes):
        count = self._classes[name]
        if callable(classes) or not np.issubdtype(np.asarray(classes).dtype, np.integer) or count < 2:
            raise ValueError(
                "Expected an explanation of one of several classes, to compare with an explanation of another one. Received: an "
                f"explanation of {'a callable' if callable(classes) else 'a class'} of the output '{name}', which has {count} "
                f"score{'s' * (count != 1)}."
            )
        steps = [np.random.default_rng((self._seed, i)).integers(1, count) for i in range(len(classes))]
        return (classes + np.array(steps)) % count
