"""Targets: selection of the explained score of each sample."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.graph.score_functions import (
    PerSample,
    active,
    bound,
    by_position,
    is_list_of_functions,
    score_of,
    without_scores,
)
from keras_xai.graph.surroundings import what_is_read
from keras_xai.results.base import taken
from keras_xai.results.sample_scores import SampleScores


@final
class Target:
    """A checked target, usable in a compiled program.

    Args:
        target: As in `resolve_target`.
        names: Of the model's outputs.
        shapes: Of the model's outputs, `(n, classes)` each; the first entry is not looked at.
        num_samples: How many samples there are.
        dtype: Of the scores.

    Attributes:
        positions: Positions of the outputs that count.
        key: Equal for two targets for which one compiled program will do: callables, and the values of the variables that they read.
        indices: An integer array `(n,)` for each output that counts: a class for each sample, -1 for its highest score. For a callable
            that scores all samples at once it is the place of each sample among them; that of another callable is not used.

    Raises:
        ValueError: If an index is out of range, the number of indices is not the number of samples, an output is not known, or
            none is chosen where there are several.
    """

    def __init__(
        self,
        target: Any,
        names: Sequence[str],
        shapes: Sequence[Sequence[int | None]],
        num_samples: int,
        dtype: str = "float32",
    ):
        self._by_name = len(names) > 1
        by_name = self._by_name or is_list_of_functions(target)
        choices = active(_by_output(target, names) if by_name else {names[0]: target})
        self.positions = [list(names).index(name) for name in choices]
        self._names = list(choices)
        chosen = [
            _checked(choice, shapes[position], num_samples, dtype)
            for choice, position in zip(choices.values(), self.positions, strict=True)
        ]
        self._callables = [None if isinstance(choice, np.ndarray) else choice for choice in chosen]
        self._functions = [
            PerSample(choice.function, choice.num_samples) if isinstance(choice, SampleScores) else choice
            for choice in self._callables
        ]
        self.indices = [_indices(choice, num_samples) for choice in chosen]
        # A compiled program keeps what a callable has read when it was compiled.
        self.key = tuple(
            (position, function, what_is_read(function.function if isinstance(function, PerSample) else function))
            for position, function in zip(self.positions, self._functions, strict=True)
        )

    @property
    def choices(self) -> list[tuple[int, Callable | None]]:
        """For each output that counts its position, and the callable, or `None` for class indices."""
        return list(zip(self.positions, self._functions, strict=True))

    def choose(self, outputs: Sequence, indices: Sequence) -> tuple[Any, list]:
        """The explained score of each sample and the classes that it is the score of.

        Args:
            outputs: Tensors, the model's outputs.
            indices: Integer tensors `(n,)`, of samples out of `indices`.

        Returns:
            A tensor `(n,)`, the sum over the outputs that count, NaN where one of their scores is; and integer tensors as `indices`, the
            highest score found.
        """
        total, found = 0, []
        for position, function, index in zip(self.positions, self._functions, indices, strict=True):
            scores = outputs[position]
            # The highest of some scores that are NaN is no answer, and neither is one of them that happens not to be NaN.
            missing = ops.any(ops.isnan(scores), axis=tuple(range(1, len(scores.shape))))
            total = total + ops.where(missing, float("nan"), ops.zeros((), scores.dtype))
            if function is not None:
                total = total + score_of(function, scores, index)
            else:
                index = ops.where(index < 0, ops.cast(ops.argmax(scores, axis=-1), "int32"), ops.cast(index, "int32"))
                picked = ops.one_hot(index, scores.shape[-1], dtype="bool")
                total = total + ops.sum(ops.where(picked, scores, ops.zeros_like(scores)), axis=-1)
            found.append(index)
        return total, found

    def described(self, indices: Sequence[np.ndarray | None]) -> Any:
        """What has been explained: an integer array `(n,)` or a callable; a dict of these by output's name where there are several.

        Args:
            indices: As `choose` returns them, of all samples.
        """
        chosen = [index if choice is None else choice for choice, index in zip(self._callables, indices, strict=True)]
        return dict(zip(self._names, chosen, strict=True)) if self._by_name else chosen[0]

    def first(self) -> Any:
        """The target of the first sample alone."""
        alone = [None if index[0] < 0 else index for index in self.indices]
        return taken(self.described(alone), np.array([0]))


def resolve_target(target: Any, scores: Any) -> Any:
    """Selects the explained score of each sample.

    Args:
        target: `None` for the highest score of each sample, a class index for all samples, an array of one index per
            sample, or a callable that maps `scores` to a tensor of shape `(n,)` or a list of n values, such as a `Score` of
            tf-keras-vis. For a model of several outputs, a dict of these by output name: their scores are added, outputs that
            are not named count nothing. Or a list of callables, one for each output.
        scores: Tensor `(n, classes)`, or a dict of such tensors by output name.

    Returns:
        Tensor `(n,)`.

    Raises:
        ValueError: If an index is out of range, the number of indices is not the number of samples, an output is not
            known, or none is chosen where there are several.

    Example:

    >>> import numpy as np
    >>> from keras_xai.graph.target import resolve_target
    >>> scores = np.array([[1.0, 2.0], [4.0, 3.0]])
    >>> np.array(resolve_target([0, 1], scores)).tolist()
    [1.0, 3.0]
    """
    named = dict(scores) if isinstance(scores, Mapping) else {"output": scores}
    if isinstance(scores, Mapping):
        target = _by_output(target, list(named))
    outputs = list(named.values())
    resolved = Target(
        target if len(outputs) > 1 or not isinstance(scores, Mapping) else target[next(iter(named))],
        list(named),
        [output.shape for output in outputs],
        outputs[0].shape[0],
        keras.backend.standardize_dtype(outputs[0].dtype),
    )
    return resolved.choose(outputs, resolved.indices)[0]


def _checked(choice, shape, num_samples, dtype):
    """A class for each sample, -1 where the highest score decides; or a callable, bound to its samples where it scores all at once."""
    choice = without_scores(choice, len(shape))
    if callable(choice):
        return bound(choice, shape, num_samples, dtype)
    if len(shape) != 2:
        raise ValueError(
            "Expected a callable `target`, which maps the scores to one value per sample, for an output that has not the shape "
            f"(n, classes). Received: target={choice!r} for an output of shape {tuple(shape)}."
        )
    if choice is None:
        return np.full(num_samples, -1, "int32")
    indices = np.asarray(choice)
    if indices.dtype.kind not in "iu" or indices.ndim > 1:
        raise ValueError(
            "Expected `target` to be None, an integer class index, one index per sample, or a callable. "
            f"Received: target={choice!r}"
        )
    if indices.ndim == 1 and len(indices) != num_samples:
        raise ValueError(f"Expected one target per sample, {num_samples} of them. Received: {len(indices)} targets.")
    if indices.size and (indices.min() < 0 or indices.max() >= shape[-1]):
        raise ValueError(f"Expected target indices from 0 to {shape[-1] - 1}. Received: target={choice!r}")
    return np.array(np.broadcast_to(indices, (num_samples,)), "int32")


def _indices(choice, num_samples):
    if isinstance(choice, SampleScores):
        return choice.positions
    return choice if isinstance(choice, np.ndarray) else np.zeros(num_samples, "int32")


def _by_output(target, names):
    """A target by output, of a model of several."""
    target = by_position(target, names)
    if not isinstance(target, Mapping):
        raise ValueError(
            f"The model has the outputs {list(names)}: choose by a dict from output name to target. Received: target={target!r}"
        )
    unknown = [name for name in target if name not in names]
    if unknown or not target:
        raise ValueError(f"Expected output names out of {list(names)}. Received: {list(target)}")
    return target
