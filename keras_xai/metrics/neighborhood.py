"""Explanations of slightly perturbed samples, shared by robustness metrics."""

import abc
from typing import Any

import numpy as np
from keras import tree

from keras_xai.attribution import Explanation, Method
from keras_xai.data.checks import Verbose, check_count, check_positive, check_verbose
from keras_xai.data.progress import progress
from keras_xai.metrics.metric import Metric, check_method, explain_again, seed_of
from keras_xai.metrics.places import Places


class NeighborhoodMetric(Metric):
    """A metric of how an explanation changes in a small box around the sample: a maximum over random points.

    Args:
        method: The method that made the explanations.
        radius: Maximum change of a value, as a fraction of the range of the sample's values.
        num_samples: Number of random points.
        seed: Seed of the points; by default drawn once per metric.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.
    """

    def __init__(
        self,
        method: Method,
        *,
        radius: float = 0.02,
        num_samples: int = 10,
        seed: int | None = None,
        verbose: Verbose = "auto",
    ):
        check_method(method, type(self).__name__)
        check_count("num_samples", num_samples)
        check_verbose(verbose)
        check_positive("radius", radius)
        self._method = method
        self._radius = radius
        self._num_samples = num_samples
        self._seed = seed_of(seed)
        self._verbose = verbose

    def _largest(self, explanation: Explanation) -> tuple[np.ndarray, np.ndarray]:
        """The explanation's values `(n, entries)`, and for each sample the largest of `_change`, 0 if nothing could be perturbed."""
        check_real(explanation)
        inputs = tree.flatten(explanation.inputs)
        values = Places(explanation).values
        largest = np.zeros(len(values))
        for number in progress(range(self._num_samples), self._num_samples, self._verbose):
            moved = perturbed(explanation, (self._seed,), number, self._radius)
            again = Places(explain_again(self._method, explanation, inputs=moved)).values
            steps = [
                (each.astype("float64") - x).reshape(len(x), -1)
                for x, each in zip(inputs, tree.flatten(moved), strict=True)
                if x.dtype.kind == "f"
            ]
            distance = np.linalg.norm(np.concatenate(steps, axis=1), axis=1)
            largest = np.maximum(largest, self._change(np.linalg.norm(again - values, axis=1), distance))
        movable = np.any([ranges(x) > 0 for x in inputs], axis=0)
        return values, np.where(movable, largest, 0)

    @abc.abstractmethod
    def _change(self, of_values: np.ndarray, of_inputs: np.ndarray) -> np.ndarray:
        """The change of each sample, by the Euclidean distances of the explanations and of the inputs."""


def check_real(explanation: Explanation) -> None:
    """Rejects explanations without any input of real numbers."""
    inputs = tree.flatten(explanation.inputs)
    if all(x.dtype.kind != "f" for x in inputs):
        raise ValueError(
            "Expected samples of real numbers, which can be perturbed slightly. Received: inputs of dtype "
            f"{[x.dtype.name for x in inputs]}."
        )


def perturbed(explanation: Explanation, seed: tuple[int, ...], number: int, scale: float, *, normal: bool = False) -> Any:
    """The samples of an explanation with noise, in their structure; integers and texts are kept.

    Args:
        explanation: The explanation.
        seed: Begin of the seed of each draw, which goes on with the index of the input, `number` and the index of the sample.
        number: Number of the draw.
        scale: Maximum of the noise, as a fraction of the range of the sample's values; its standard deviation if `normal`.
        normal: Whether the noise is normal instead of uniform.
    """
    inputs = tree.flatten(explanation.inputs)
    moved = []
    for i, (x, layout) in enumerate(zip(inputs, explanation.layouts, strict=True)):
        if x.dtype.kind != "f":
            moved.append(x)
            continue
        scales = (scale * ranges(x)).reshape(-1, *[1] * (x.ndim - 1))
        shape = layout.channels_last_shape(x.shape)[1:]
        draws = [np.random.default_rng((*seed, i, number, k)) for k in range(len(x))]
        noise = np.stack([draw.normal(size=shape) if normal else draw.uniform(-1, 1, shape) for draw in draws])
        moved.append((x + scales * layout.restored(noise)).astype(x.dtype))
    return tree.pack_sequence_as(explanation.inputs, moved)


def ranges(x: np.ndarray) -> np.ndarray:
    """The range of each sample's values; 0 for integers, which are not perturbed."""
    return np.ptp(x.reshape(len(x), -1), axis=1) if x.dtype.kind == "f" else np.zeros(len(x))
