"""Models with shuffled weights, shared by the tests of parameter randomization."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_xai.attribution import Explanation, Method
from keras_xai.data.checks import Verbose, check_flag, check_verbose
from keras_xai.data.progress import progress
from keras_xai.data.remade import Remade
from keras_xai.graph.split import up_to
from keras_xai.graph.trace import trace
from keras_xai.metrics.metric import Metric, check_method, seed_of
from keras_xai.metrics.places import Places


class RandomizationMetric(Remade, Metric):
    """A metric that compares explanations of a model with those of the model with shuffled weights.

    Args:
        model: The explained model.
        method: The method that made the explanations, on this model.
        absolute: Whether to compare absolute values.
        seed: Seed of the shuffling; by default drawn once per metric.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.
    """

    def __init__(self, model: keras.Model, method: Method, *, absolute: bool, seed: int | None, verbose: Verbose):
        check_method(method, type(self).__name__)
        check_verbose(verbose)
        check_model(model, method)
        self._graph = trace(model)
        self._method = method
        self._absolute = check_flag("absolute", absolute)
        self._seed = seed_of(seed)
        self._verbose = verbose

    def _compared(self, explanation: Explanation) -> np.ndarray:
        values = Places(explanation).values
        return np.abs(values) if self._absolute else values

    def _randomized(self, target: Any, paths: Sequence[str] | None = None) -> dict[str, list]:
        """The variables to shuffle of each layer that leads to the explained score, or those of `paths`, from the output down."""
        graph = self._graph
        if isinstance(target, dict):  # skip layers that only other outputs depend on
            kept = [i for i, name in enumerate(graph.output_names) if name in target]
            outputs, specs = [graph.outputs[i] for i in kept], [graph.output_specs[i] for i in kept]
            graph = up_to(graph, outputs, specs, list(target))
        layers: dict[str, list] = {}
        seen: set[int] = set()
        for step in graph.steps:
            weights = [weight for weight in shuffled_weights(step.operation) if id(weight) not in seen]
            if weights and (paths is None or step.path in paths):
                layers[step.path] = weights
                seen |= {id(weight) for weight in weights}
        if not layers:
            raise ValueError(
                "Expected a layer whose weights can be shuffled. Received: a model in which no such layer leads to the score."
            )
        return dict(reversed(layers.items()))

    def _after_each(
        self, layers: dict[str, list], measure: Callable[[], np.ndarray], *, cascading: bool = True
    ) -> dict[str, np.ndarray]:
        """For the path of each layer, what `measure` returns after its shuffling; restores the weights at the end.

        Args:
            layers: The variables of each layer.
            measure: Explains the samples with the present weights, and compares.
            cascading: Whether the layers before it stay shuffled.
        """
        variables = [variable for weights in layers.values() for variable in weights]
        found = {}
        with _restored(variables):
            for number, (path, weights) in enumerate(progress(layers.items(), len(layers), self._verbose)):
                with contextlib.nullcontext() if cascading else _restored(weights):
                    self._shuffle(number, weights)
                    found[path] = measure()
        return found

    def _shuffle(self, number, weights):
        draw = np.random.default_rng((self._seed, number))
        for variable in weights:
            array = _array(variable)
            variable.assign(draw.permutation(array.ravel()).reshape(array.shape))


def check_model(model: Any, method: Method) -> None:
    """Rejects a method of another model than the metric's."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"Expected a `keras.Model`. Received: model={model!r} (of type {type(model).__name__})")
    known = {id(variable) for variable in model.variables}
    if {id(variable) for variable in method.variables} - known or not method.variables:
        raise ValueError(
            f"Expected a method of the model '{model.name}'. Received: {method.label} of another model. Pass {method.label}(model)."
        )


def shuffled_weights(operation):
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
