"""Model parameter randomization test: does an explanation depend on the learned weights?"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, final

import keras
import numpy as np

from keras_xai.attribution import Explanation, Method
from keras_xai.data.batches import progress
from keras_xai.data.checks import check_choice, check_flag, check_layers, check_verbose
from keras_xai.data.remade import Remade
from keras_xai.graph.split import up_to
from keras_xai.graph.trace import trace
from keras_xai.metrics.metric import Metric, check_explanation, check_method, explain_again, seed_of
from keras_xai.metrics.places import Places
from keras_xai.metrics.similarity import rank_correlation


@final
class ModelParameterRandomization(Remade, Metric):
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
        mode: str = "cascading",
        layers: Sequence[str | keras.Layer] | None = None,
        absolute: bool = False,
        seed: int | None = None,
        verbose: Any = "auto",
    ):
        check_method(method, type(self).__name__)
        check_verbose(verbose)
        check_model(model, method)
        check_choice("mode", mode, ("cascading", "independent"))
        check_layers("layers", layers)
        self._graph = trace(model)
        if layers is not None:
            layers = self._graph.paths_of(layers)
            self._remember(layers=layers)
            fixed = [path for path in layers if not _weights(self._graph.find(path).operation)]
            if fixed:
                raise ValueError(
                    f"Expected `layers` to be a list of paths of layers whose weights can be shuffled. Received: {layers!r}, where "
                    f"{fixed} have no weights, or only equal ones."
                )
        self._method = method
        self._mode = mode
        self._layers = layers
        self._absolute = check_flag("absolute", absolute)
        self._seed = seed_of(seed)
        self._verbose = verbose

    def similarities(self, explanation: Explanation) -> dict[str, np.ndarray]:
        """The rank correlation for each layer.

        Args:
            explanation: The explanation that the method returned.

        Returns:
            For the path of each layer, from the output down, an array `(n,)`: the correlation with the explanation of the model in which
            this layer is randomized, in `"cascading"` mode together with those before it.
        """
        check_explanation(explanation)
        layers = self._randomized(explanation.target)
        values = self._compared(explanation)
        variables = [variable for weights in layers.values() for variable in weights]
        found = {}
        with _restored(variables):
            for number, (path, weights) in enumerate(progress(layers.items(), len(layers), self._verbose)):
                draw = np.random.default_rng((self._seed, number))
                with contextlib.nullcontext() if self._mode == "cascading" else _restored(weights):
                    for variable in weights:
                        array = _array(variable)
                        variable.assign(draw.permutation(array.ravel()).reshape(array.shape))
                    again = explain_again(self._method, explanation)
                found[path] = rank_correlation(values, self._compared(again))
        return found

    def _rate(self, explanation):
        return np.mean(list(self.similarities(explanation).values()), axis=0)

    def _compared(self, explanation):
        values = Places(explanation).values
        return np.abs(values) if self._absolute else values

    def _randomized(self, target):
        """The variables to shuffle of each layer, from the output down."""
        graph = self._graph
        if isinstance(target, dict):  # skip layers that only other outputs depend on
            kept = [i for i, name in enumerate(graph.output_names) if name in target]
            outputs, specs = [graph.outputs[i] for i in kept], [graph.output_specs[i] for i in kept]
            graph = up_to(graph, outputs, specs, list(target))
        layers: dict[str, list] = {}
        seen: set[int] = set()
        for step in graph.steps:
            weights = [weight for weight in _weights(step.operation) if id(weight) not in seen]
            if weights and (self._layers is None or step.path in self._layers):
                layers[step.path] = weights
                seen |= {id(weight) for weight in weights}
        if not layers:
            raise ValueError(
                "Expected a layer whose weights can be shuffled. Received: a model in which no such layer leads to the score."
            )
        return dict(reversed(layers.items()))


def check_model(model: Any, method: Method) -> None:
    """Rejects a method of another model than the metric's."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"Expected a `keras.Model`. Received: model={model!r} (of type {type(model).__name__})")
    known = {id(variable) for variable in model.variables}
    if {id(variable) for variable in method.variables} - known or not method.variables:
        raise ValueError(
            f"Expected a method of the model '{model.name}'. Received: {method.label} of another model. Pass {method.label}(model)."
        )


def _weights(operation):
    """The arrays of a layer that shuffling changes."""
    if not isinstance(operation, keras.Layer):
        return []
    return [
        weight
        for weight in operation.weights
        if keras.backend.is_float_dtype(weight.dtype) and len(np.unique(_array(weight))) > 1
    ]


def _array(variable):
    # A copy, because the backend may return the memory of the variable itself.
    return np.array(keras.ops.convert_to_numpy(variable.value))


@contextlib.contextmanager
def _restored(variables: Sequence) -> Iterator[None]:
    """Context manager that restores variables on exit."""
    arrays = [_array(variable) for variable in variables]

    def restore():
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    try:
        yield
    finally:
        try:
            restore()
        except BaseException:  # includes interrupts
            restore()
            raise
