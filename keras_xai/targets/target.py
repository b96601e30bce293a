"""Base class of ready-made targets, and what they share."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from keras import ops

from keras_xai.data.arrays import real_tensor
from keras_xai.data.checks import real_array, short


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ScoreTarget(abc.ABC):
    """A ready-made target: a function from the scores of a model to one value per sample.

    Targets are frozen and equal by value. An array of one row per sample follows slices and batches. The parameters of a target for each
    sample are arguments of compiled programs, so targets with different parameters share a program.

    A subclass is a frozen dataclass, which checks its fields in `__post_init__`.

    Attributes:
        ROW_RANKS: By field the number of axes with which an array has a row per sample, if that is not 1.
    """

    ROW_RANKS: ClassVar[Mapping[str, int]] = {}

    def __call__(self, scores: Any) -> Any:
        """The value of each sample.

        Args:
            scores: Tensor `(n, ...)`, an output of a model before a final softmax or sigmoid.

        Returns:
            A tensor `(n,)`.

        Raises:
            ValueError: If the scores are not real numbers, or the target does not fit their shape.
        """
        scores = real_tensor("scores", scores)
        count = scores.shape[0] if len(scores.shape) else None
        given = self.parameters(scores.shape, (self.num_samples or 1) if count is None else count)
        dtype = scores.dtype if given.dtype.kind == "f" else "int32"
        rows = ops.broadcast_to(ops.convert_to_tensor(given, dtype=dtype), (ops.shape(scores)[0], *given.shape[1:]))
        return self.score(scores, rows)[0]

    def parameters(self, shape: Sequence[int | None], num_samples: int, link: str | None = None) -> np.ndarray:
        """The parameters of the target, one row per sample, after a check that they fit.

        Args:
            shape: Shape of the scores, `(n, ...)`; the first entry is ignored.
            num_samples: Number of samples.
            link: The function from scores to the model's output, `"softmax"`, `"sigmoid"` or `None` for none.

        Returns:
            An array `(num_samples, ...)` of integers or real numbers. Negative integers stand for what `score` finds, such as the
            predicted class.

        Raises:
            ValueError: If the target does not fit the shape or the number of samples.
        """
        return self._parameters(shape, num_samples, link)

    def score(self, scores: Any, parameters: Any, link: str | None = None) -> tuple[Any, Any]:
        """The values of a batch, within a compiled program.

        Args:
            scores: Tensor `(b, ...)`.
            parameters: Tensor of rows of `parameters`.
            link: As in `parameters`.

        Returns:
            A tensor `(b,)`; and the parameters, with what was found in place of negative numbers.
        """
        return self._score(scores, parameters, link)

    def resolved(self, parameters: Any) -> Self:
        """The target with the parameters that `score` has found, one row per sample."""
        return self._resolved(parameters)

    def label(self, sample: int, class_names: Sequence[str] | None = None) -> str:
        """The name of the explained value of a sample, for pictures."""
        return self._label(sample, class_names)

    @property
    def key(self) -> tuple:
        """Equal for targets that can share a compiled program."""
        return (type(self), *self._options())

    @abc.abstractmethod
    def _parameters(self, shape: Sequence[int | None], num_samples: int, link: str | None) -> np.ndarray: ...

    @abc.abstractmethod
    def _score(self, scores: Any, parameters: Any, link: str | None) -> tuple[Any, Any]: ...

    @abc.abstractmethod
    def _label(self, sample: int, class_names: Sequence[str] | None) -> str: ...

    def _resolved(self, parameters: np.ndarray) -> Self:
        """The target itself by default, which has no parameters to find."""
        return self

    def _options(self) -> tuple:
        """The options of the target besides its parameters."""
        return ()

    @property
    def num_samples(self) -> int | None:
        """The number of samples for which the target has rows; `None` if it is the same for all."""
        counts = {len(value) for value in self._rows().values()}
        if len(counts) > 1:
            raise ValueError(f"Expected arrays of one row per sample. Received: {sorted(counts)} rows in {self!r}.")
        return next(iter(counts), None)

    def taken(self, rows: Any) -> Self:
        """The target of selected samples.

        Args:
            rows: Indices or a slice.
        """
        cut = {name: value[rows] for name, value in self._rows().items()}
        return dataclasses.replace(self, **cut) if cut else self

    def _rows(self):
        """The fields that have a row per sample."""
        arrays = {name: value for name, value in self.fields().items() if isinstance(value, np.ndarray)}
        return {name: value for name, value in arrays.items() if value.ndim >= self.ROW_RANKS.get(name, 1)}

    def fields(self) -> dict[str, Any]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def to_fields(self) -> dict[str, Any]:
        """The target as plain data for a file: the name of its class and its fields."""
        return {"target": type(self).__name__, "fields": self.fields()}

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        one, two = self.fields(), other.fields()
        return all(_equal(one[name], two[name]) for name in one)

    def __hash__(self) -> int:
        return hash((type(self), *map(_hashable, self.fields().values())))

    def __repr__(self) -> str:
        options = {field.name: field.default for field in dataclasses.fields(self)}
        given = [
            f"{name}={_short(value)}"
            for name, value in self.fields().items()
            if isinstance(value, np.ndarray) or value != options[name]
        ]
        return f"{type(self).__name__}({', '.join(given)})"


def _equal(one, other):
    if type(one) is not type(other):
        return False
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else bool(one == other)


def _hashable(value):
    """Equal for equal values; slices have no hash."""
    return value.tobytes() if isinstance(value, np.ndarray) else repr(value) if isinstance(value, tuple) else value


def _short(value):
    if isinstance(value, np.ndarray):
        return repr(value.tolist()) if value.size <= 8 else f"<{value.dtype} array of shape {value.shape}>"
    return repr(value)


def set_field(target: ScoreTarget, name: str, value: Any) -> None:
    """Sets a field of a frozen target in its `__post_init__`; arrays become read-only copies."""
    if isinstance(value, np.ndarray):
        value = value.copy()
        value.flags.writeable = False
    object.__setattr__(target, name, value)


def whole(name: str, value: Any, *, optional: bool = True, negative: bool = False) -> int | np.ndarray | None:
    """A checked index: an integer, an integer array `(n,)` of one per sample, or `None` if that is allowed.

    Args:
        name: Name of the argument.
        value: Its value.
        optional: Whether it may be `None`.
        negative: Whether it may be negative, to count from the end.

    Raises:
        ValueError: If it is none of these.
    """
    if value is None and optional:
        return None
    what = f"an integer{'' if negative else ' of at least 0'}, or one per sample{', or None' * optional}"
    array = real_array(name, value, what)
    if array.dtype.kind not in "iu" or array.ndim > 1 or not array.size or (array.min() < 0 and not negative):
        raise ValueError(f"Expected `{name}` to be {what}. Received: {name}={short(value)}")
    return array.astype("int64") if array.ndim else int(array)


def column(name: str, value: int | np.ndarray | None, num_samples: int, size: int | None) -> np.ndarray:
    """An index per sample, `(num_samples,)` int32, -1 for `None`, after a check that it is in range.

    Args:
        name: Name of the argument.
        value: A value of `whole`.
        num_samples: Number of samples.
        size: Length of the axis; `None` if unknown.
    """
    indices = np.asarray(-1 if value is None else value)
    if indices.ndim and len(indices) != num_samples:
        raise ValueError(f"Expected one `{name}` per sample, {num_samples} of them. Received: {len(indices)}.")
    if value is not None and size is not None and (indices.max(initial=0) >= size or indices.min(initial=0) < -size):
        raise ValueError(f"Expected `{name}` from 0 to {size - 1}. Received: {name}={_short(value)}")
    if value is not None and size is not None:
        indices = np.where(indices < 0, indices + size, indices)
    return np.broadcast_to(indices, (num_samples,)).astype("int32")


def taken_entries(scores: Any, indices: Any) -> Any:
    """The entry of each row: `(b,)` of scores `(b, size)` and indices `(b,)`. Others may be infinite."""
    picked = ops.one_hot(indices, ops.shape(scores)[-1], dtype="bool")
    return ops.sum(ops.where(picked, scores, ops.zeros_like(scores)), axis=-1)


def named(index: Any, class_names: Sequence[str] | None, noun: str = "class") -> str:
    """The name of a class, or its number."""
    index = int(index)
    return f"{noun} {index}" if class_names is None or index >= len(class_names) else str(class_names[index])


def at(value: Any, sample: int) -> Any:
    """The value of an index, which may be one per sample, for a sample."""
    return value[sample] if isinstance(value, np.ndarray) else value


def check_rank(target: ScoreTarget, shape: Sequence[int | None], rank: int, expected: str) -> None:
    """Raises a `ValueError` unless the scores have the rank that a target explains."""
    if len(shape) != rank:
        raise ValueError(
            f"Expected scores of shape {expected} for `{type(target).__name__}`. Received: scores of shape "
            f"{(None, *shape[1:])}. {fitting(shape)}"
        )


_FITTING: Mapping[int, str] = {
    1: "`Output(())`",
    2: "`Margin`, `Probability`, `Output` and `Similarity`",
    3: "`Token(position)` for language models, `Box` for detectors, and `Output((i, j))` for any entry",
    4: "`Region(class_index)` for segmentation maps, and `Output((i, j, k))` for any entry",
}


def fitting(shape: Sequence[int | None]) -> str:
    """A sentence on the targets that fit an output."""
    return f"For such an output `keras_xai.targets` has {_FITTING.get(len(shape), '`Output`, with an index for each axis')}."
