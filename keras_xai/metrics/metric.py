"""Base classes of metrics: the call and its checks."""

import abc
from typing import Any, ClassVar, final

import keras
import numpy as np

from keras_xai.attribution import Explanation, Method
from keras_xai.data.checks import check_seed, check_verbose
from keras_xai.network.batching import batch_size_for
from keras_xai.network.scores import Scores


class Metric(abc.ABC):
    """A metric of explanations: `Metric(...)(explanation)` returns one value for each sample.

    Attributes:
        higher_is_better: Whether larger values speak for an explanation. What they say, and what not, is on each metric's page.
    """

    higher_is_better: ClassVar[bool]

    @final
    def __call__(self, explanation: Explanation) -> np.ndarray:
        """Rates an explanation.

        Args:
            explanation: What an attribution method has returned.

        Returns:
            An array `(n,)` in float64, one value for each sample.

        Raises:
            TypeError: If it is not an `Explanation`.
            ValueError: If it does not fit what the metric was made with: the model, the method, or the masks.
        """
        if not isinstance(explanation, Explanation):
            raise TypeError(
                "Expected an `Explanation`, as attribution methods return them. Received: an object of type "
                f"{type(explanation).__name__}."
            )
        return np.asarray(self._rate(explanation), dtype="float64")

    @property
    def label(self) -> str:
        """What tables call it."""
        return type(self).__name__

    @abc.abstractmethod
    def _rate(self, explanation: Explanation) -> Any:
        """An array `(n,)`."""


class ModelMetric(Metric):
    """A metric that evaluates a model on perturbed samples.

    Args:
        model: The model that is explained. It is only read.
        batch_size: Changed samples in the model at a time; `None` to choose it by the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 for it at once, 2 for one line at the end, 0 for silence.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built, or subclassed, or an option is not one.
    """

    def __init__(self, model: keras.Model, *, batch_size: int | None, verbose: Any):
        check_verbose(verbose)
        self._scores = Scores(model)
        self._batch_size = batch_size_for(self._scores.graph, batch_size, dtype=self._scores.dtype)
        self._verbose = verbose


def check_method(method: Any, name: str) -> None:
    """Refuses what is not an attribution method; `name` is that of the metric."""
    if not isinstance(method, Method):
        raise TypeError(
            f"{name} explains anew and needs an attribution method, such as `Saliency(model)`. Received: method={method!r}"
        )


def explain_again(method: Method, explanation: Explanation, *, inputs: Any = None, target: Any = None) -> Explanation:
    """Explains the samples of an explanation again, for the same target and baseline.

    Args:
        method: The method.
        explanation: The explanation.
        inputs: Other samples in place of its own, as many.
        target: Another target in place of its own.

    Raises:
        ValueError: If the method returns values of other shapes, so that it is not the one that made the explanation.
    """
    again = method(
        explanation.inputs if inputs is None else inputs,
        explanation.target if target is None else target,
        explanation.baseline if method.takes_baseline else None,
    )
    shapes = [[values.shape for values in keras.tree.flatten(each.values)] for each in (explanation, again)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"Expected an explanation that was made by {method.label}, the method of the metric, with values of the shapes "
            f"{shapes[1]}. Received: one by {explanation.method} with {shapes[0]}."
        )
    return again


def seed_of(seed: int | None) -> int:
    """The seed of all draws: that which was given, or a new one."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return check_seed(seed)
