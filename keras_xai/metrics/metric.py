"""Base classes of metrics: the call and its checks."""

import abc
from typing import Any, final

import keras
import numpy as np

from keras_xai.attribution import Explanation, Method
from keras_xai.data.checks import Verbose, check_seed, check_verbose
from keras_xai.data.remade import Remade
from keras_xai.network.batching import batch_size_for
from keras_xai.network.scores import Scores


class Metric(abc.ABC):
    """A metric of explanations: `Metric(...)(explanation)` returns one value for each sample.

    Attributes:
        higher_is_better: Whether larger values indicate a better explanation; an option such as `order` of `ROAD` may set it. The page of
            each metric explains its meaning and limits.
    """

    higher_is_better: bool

    @final
    def __call__(self, explanation: Explanation) -> np.ndarray:
        """Rates an explanation.

        Args:
            explanation: The explanation that an attribution method returned.

        Returns:
            An array `(n,)` in float64, one value for each sample.

        Raises:
            TypeError: If it is not an `Explanation`.
            ValueError: If it does not fit the metric's model, method or masks.
        """
        check_explanation(explanation)
        values = np.asarray(self._rate(explanation), dtype="float64")
        if values.shape != (len(explanation),):
            raise ValueError(
                f"Expected `{type(self).__name__}` to give one value for each of {len(explanation)} samples. Received: values of shape "
                f"{values.shape}. Return an array of shape ({len(explanation)},) from `_rate`."
            )
        return values

    @property
    def label(self) -> str:
        """Name of the metric in tables."""
        return type(self).__name__

    @abc.abstractmethod
    def _rate(self, explanation: Explanation) -> Any:
        """An array `(n,)`."""


class ModelMetric(Remade, Metric):
    """A metric that evaluates a model on perturbed samples.

    Args:
        model: The explained model; only read.
        batch_size: Perturbed samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built, or an option is invalid.
    """

    def __init__(self, model: keras.Model, *, batch_size: int | None, verbose: Verbose):
        check_verbose(verbose)
        self._scores = Scores(model)
        self._batch_size = batch_size_for(self._scores.graph, batch_size, dtype=self._scores.dtype)
        self._verbose = verbose


def check_explanation(explanation: Any) -> None:
    """Rejects values other than an `Explanation` of inputs."""
    if not isinstance(explanation, Explanation):
        raise TypeError(
            "Expected an `Explanation`, as attribution methods return them. Received: an object of type "
            f"{type(explanation).__name__}."
        )
    if explanation.layer is not None:
        raise ValueError(
            f"Expected an explanation whose values belong to the inputs. Received: one by {explanation.method} with values of the layer "
            f"'{explanation.layer}'. Metrics rate values of inputs: explain without `layer`."
        )


def check_method(method: Any, name: str) -> None:
    """Rejects objects other than attribution methods; `name` is the metric's name."""
    if not isinstance(method, Method):
        raise TypeError(
            f"{name} recomputes explanations and needs an attribution method, such as `Saliency(model)`. Received: method={method!r}"
        )
    if method.values_layer is not None:
        raise ValueError(
            f"{name} rates values of the inputs. Received: a method with values of the layer '{method.values_layer}'. Make the method "
            "without `layer`."
        )


def explain_again(method: Method, explanation: Explanation, *, inputs: Any = None, target: Any = None) -> Explanation:
    """Explains the samples of an explanation again, for the same target and baseline.

    Args:
        method: The method.
        explanation: The explanation.
        inputs: Other samples in place of the explanation's own, as many.
        target: Another target in place of the explanation's own.

    Raises:
        ValueError: If the method returns values of other shapes, so it did not make the explanation.
    """
    again = method(
        explanation.inputs if inputs is None else inputs,
        explanation.target if target is None else target,
        explanation.baseline if method.takes_baseline else None,
    )
    shapes = [[values.shape for values in keras.tree.flatten(each.values)] for each in (explanation, again)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"Expected an explanation made by {method.label}, the method of the metric, with values of the shapes {shapes[1]}. Received: "
            f"an explanation made by {explanation.method} with {shapes[0]}."
        )
    return again


def seed_of(seed: int | None) -> int:
    """The seed of all draws: the given one, or a new one."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return check_seed(seed)
