"""Batches of samples and their explanations."""

import dataclasses
from typing import Any, final

import keras
import numpy as np

from keras_xai.data.texts import Words
from keras_xai.kinds.words import of_words, vectorization
from keras_xai.network.scores import Scores


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """A batch of samples to explain.

    Attributes:
        inputs: An array `(n, *input_shape)` for each input of the model.
        indices: For each explained output an array of a row per sample, see `Target`: class indices `(n,)`, -1 for the predicted class.
        baseline: An array for each input, `(n, *input_shape)` unless the method takes another shape; `None` if it takes none.
        numbers: Integer array `(n,)`, the index of each sample in all data, which seeds random draws: the batch size does not matter.
        seed: Seed for random draws: the user's, or one drawn for this call.
    """

    inputs: list[np.ndarray]
    indices: list[np.ndarray]
    baseline: list[np.ndarray] | None
    numbers: np.ndarray
    seed: int

    @property
    def passes_to_predict(self) -> int:
        """Number of separate forward passes to find the predicted classes: zero if all classes are given."""
        return len(self.numbers) if any(index.dtype.kind == "i" and (index < 0).any() for index in self.indices) else 0


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """The explanation of a batch.

    Attributes:
        values: A tensor or array `(n, *input_shape)` for each input; `None` for an input that is held fixed.
        indices: As in the batch, with the predicted classes in place of -1.
        convergence_delta: Tensor or array `(n,)`, or `None`.
        num_forward_passes: Number of forward passes for all samples of the batch, see `Explanation.num_forward_passes`.
        base_score: Tensor or array `(n,)`, the score that the values are added to, or `None`: see `Explanation.base_score`.
        predictions: See `Target.predictions`, if they are known; otherwise another forward pass finds them.
    """

    values: list
    indices: list
    convergence_delta: Any
    num_forward_passes: float
    base_score: Any = None
    predictions: list | None = None


def checked(part: Any, batch: Batch, method: str, *, layer: str | None = None) -> Part:
    """Checks the result of the function from `_prepare`, which may be a user's.

    Args:
        part: The explanation of a batch.
        batch: The batch.
        method: Name of the method.
        layer: The layer to whose output the values belong; `None` for the inputs.

    Raises:
        TypeError: If it is no `Part`.
        ValueError: If there are not values for each sample, an array for each input, or one for the layer.
    """
    if not isinstance(part, Part):
        raise TypeError(
            f"Expected the function that `{method}._prepare` returns to return a `Part`. Received: {type(part).__name__}."
        )
    count = len(batch.numbers)
    expected = len(batch.inputs) if layer is None else 1
    shapes = [None if values is None else tuple(values.shape) for values in part.values]
    if len(shapes) != expected or any(shape and shape[:1] != (count,) for shape in shapes) or not any(shapes):
        raise ValueError(
            f"Expected `{method}` to give values for each of {count} samples, an array for "
            f"{f'each of {expected} inputs' if layer is None else f'the layer {layer!r}'}. Received: values of the shapes {shapes}."
        )
    return part


def of_inputs(part: Part, inputs: list[np.ndarray], scores: Scores) -> Part:
    """A part with values of words in place of tokens of texts, and 0 for padding.

    Args:
        part: The explanation of a batch.
        inputs: The samples of the batch.
        scores: The scores of the model.
    """
    values: list = arrays_of(part)
    delta = None if part.convergence_delta is None else np.asarray(part.convergence_delta)
    for i, (x, spec, padded) in enumerate(zip(inputs, scores.graph.input_specs, scores.padding(inputs), strict=True)):
        before = values[i]
        if before is None:
            continue
        if isinstance(spec, Words) and before.ndim == 3:
            values[i] = of_words(before[..., 0], x, vectorization(scores.graph, spec))
        elif padded is not None and (before[np.broadcast_to(padded, before.shape)] != 0).any():
            values[i] = np.where(padded, 0, before).astype(before.dtype)
        if delta is not None and values[i] is not before:
            delta = delta + (before.reshape(len(x), -1).sum(axis=1) - values[i].reshape(len(x), -1).sum(axis=1))
    base = None if part.base_score is None else np.asarray(part.base_score, "float64")
    return dataclasses.replace(part, values=values, convergence_delta=delta, base_score=base)


def arrays_of(part: Part) -> list:
    """The values of a part as arrays; `None` for inputs that are held fixed."""
    return [None if each is None else keras.ops.convert_to_numpy(each) for each in part.values]
