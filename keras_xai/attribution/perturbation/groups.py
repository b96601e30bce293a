"""Groups of entries that are shown or hidden together, the same for all samples."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
from keras import ops

from keras_xai.attribution.perturbation.masked import MaskedScores
from keras_xai.data.checks import check_count, is_integer, short
from keras_xai.data.layout import Layout
from keras_xai.data.structure import names_of
from keras_xai.graph.target import Target
from keras_xai.network.scores import Scores

_BLOCKS = 8


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Division:
    """The groups of samples of one size.

    Attributes:
        numbers: For each input, an integer array that broadcasts to one sample: the group of each entry, from 0.
        names: Name of each group: the given number, or the number of an entry or block within its input, whose name precedes it if there
            are several.
        explained: For each input, whether it is explained, not held fixed.
    """

    numbers: list[np.ndarray]
    names: list[str]
    explained: list[bool]

    @property
    def count(self) -> int:
        """Number of groups."""
        return len(self.names)

    def changing(self, inputs: Sequence[np.ndarray], baseline: Sequence[np.ndarray]) -> np.ndarray:
        """Booleans `(n, count)`: whether a group differs from the baseline, so that hiding it changes the sample."""
        found = np.zeros((len(inputs[0]), self.count), bool)
        for x, other, numbers, explained in zip(inputs, baseline, self.numbers, self.explained, strict=True):
            if explained:
                differs = _over_shared_axes(x != other, numbers)
                found |= _per_group(differs, numbers, self.count) > 0
        return found

    def spread(self, values: np.ndarray) -> list[np.ndarray | None]:
        """Values of groups `(n, count)` at each of their entries, an array for each input; `None` for an input that is held fixed."""
        return [values[:, each] if explained else None for each, explained in zip(self.numbers, self.explained, strict=True)]

    def shared(self, values: np.ndarray, padding: Sequence[np.ndarray | None]) -> list[np.ndarray | None]:
        """As `spread`, with the value of each group divided equally among its entries.

        Args:
            values: `(n, count)`.
            padding: For each input, booleans that broadcast to the samples, true for padding, which has no share; or `None`.
        """
        sizes = np.zeros(values.shape)
        for numbers, explained, padded in zip(self.numbers, self.explained, padding, strict=True):
            if explained:
                counted = np.ones((len(values), *numbers.shape), bool)
                counted = (
                    counted
                    if padded is None
                    else counted & ~_over_shared_axes(np.broadcast_to(padded, counted.shape), numbers)
                )
                sizes += _per_group(counted, numbers, self.count)
        return self.spread(values / np.maximum(sizes, 1))


@final
class Groups:
    """Divides samples into groups of entries.

    Args:
        scores: The scores of the model.
        groups: Number of blocks along each axis of an image or a series, 8 by default; each feature of a table and each token is then a
            group. Or for each entry the number of its group: an integer array of the shape of a sample, in which axes may have length 1 and
            the channel axis may be left out. For a model of several inputs a dict of arrays by input name, or a list; entries with the same
            number are one group, also in different inputs.

    Raises:
        ValueError: If `groups` is none of these, an array does not fit its input, or an input has none.
    """

    def __init__(self, scores: Scores, groups: Any):
        self._layouts = scores.layouts
        self._explained = scores.explainable
        self._names = names_of(scores.graph.input_structure, scores.graph.input_specs)
        self._blocks = _BLOCKS if groups is None else groups
        self._arrays: list[np.ndarray | None] | None = None
        if groups is None or is_integer(groups):
            check_count("groups", self._blocks)
            return
        self._arrays = self._by_input(groups)
        for array, spec, name, layout in zip(self._arrays, scores.graph.input_specs, self._names, self._layouts, strict=True):
            if array is not None and None not in spec.shape[1:]:
                _aligned(array, spec.shape[1:], layout, name)

    def of(self, inputs: Sequence[np.ndarray]) -> Division:
        """The groups of samples.

        Args:
            inputs: An array for each input.

        Raises:
            ValueError: If a given array does not have the shape of a sample, for an input of open size.
        """
        found: list[np.ndarray] = []
        names: list[str] = []
        for i, (x, layout, explained) in enumerate(zip(inputs, self._layouts, self._explained, strict=True)):
            if not explained:
                found.append(np.zeros((1,) * (x.ndim - 1), int))
            elif self._arrays is not None:
                found.append(_aligned(self._arrays[i], x.shape[1:], layout, self._names[i]))
            else:
                blocks = _blocks(layout.sizes(x.shape), layout, self._blocks)
                found.append(len(names) + blocks)
                names += self._named(i, int(blocks.max()) + 1)
        # Consecutive numbers, over all explained inputs.
        given = [each.ravel() for each, explained in zip(found, self._explained, strict=True) if explained]
        different = np.unique(np.concatenate(given))
        numbers = [
            np.searchsorted(different, each) if explained else each
            for each, explained in zip(found, self._explained, strict=True)
        ]
        names = names or [str(number) for number in different]
        return Division([each.astype("int32") for each in numbers], names, list(self._explained))

    @property
    def are_given(self) -> bool:
        """Whether the numbers of the groups are given."""
        return self._arrays is not None

    def _named(self, i, count):
        """Names of entries or blocks of an input."""
        if len(self._names) == 1:
            return [str(number) for number in range(count)]
        return [self._names[i]] if count == 1 else [f"{self._names[i]} {number}" for number in range(count)]

    def _by_input(self, groups):
        """An array for each input, `None` for those that are held fixed."""
        if isinstance(groups, Mapping):
            unknown = [name for name in groups if name not in self._names]
            if unknown:
                raise ValueError(
                    f"Expected `groups` to be an integer array, or a dict of such arrays by the name of the input, out of {self._names}. "
                    f"Received: a dict with the names {unknown}. For a table, give the number of the group of each column."
                )
            given = [groups.get(name) for name in self._names]
        elif len(self._names) == 1:
            given = [groups]
        else:
            given = list(groups) if isinstance(groups, (list, tuple)) else []
            if len(given) != len(self._names):
                raise ValueError(
                    f"Expected `groups` to be a dict of integer arrays by the name of the input, out of {self._names}, or a list of one "
                    f"for each. Received: groups={short(groups)}"
                )
        missing = [
            name
            for name, each, explained in zip(self._names, given, self._explained, strict=True)
            if explained and each is None
        ]
        if missing:
            raise ValueError(f"Expected `groups` to cover all inputs, {self._names}. Received: no groups for {missing}.")
        return [_integers(each) if explained else None for each, explained in zip(given, self._explained, strict=True)]


def group_scores(scores: Scores, target: Target, batch_size: int, shown: Callable, *more: Any) -> MaskedScores:
    """`MaskedScores` of masks by group; its further arguments are `Division.numbers` and those of `shown`.

    Args:
        scores: The scores of the model.
        target: The target to explain.
        batch_size: Copies per forward pass.
        shown: Maps the numbers of masks `(rows,)` and further arguments to a tensor `(rows, groups)`, from 0 to 1.
        *more: Signature of each further argument.
    """

    def masks(rows, inputs, numbers, *arguments):
        parts = ops.cast(shown(rows, *arguments), scores.dtype)
        return [ops.take(parts, each, axis=1) for each in numbers]

    signature = [((None,) * (len(spec.shape) - 1), "int32") for spec in scores.graph.input_specs]
    return MaskedScores(scores, target, batch_size, masks, signature, *more)


def beyond_rounding(found: np.ndarray, dtype: str) -> np.ndarray:
    """Booleans `(n,)`: whether scores `(n, count)`, computed in a type, differ by more than their rounding in different batches."""
    return np.ptp(found, axis=1) > 64 * np.finfo(dtype).eps * np.abs(found).max(axis=1)


def _blocks(places, layout: Layout, number):
    """Each entry of a table or a text, or equal blocks of an image or a series, with a channel axis of length 1 if there is one."""
    if layout.is_apart:
        return np.arange(math.prod(places)).reshape(places)
    counts = [min(number, size) for size in places]
    lines = [np.arange(size) * count // max(size, 1) for size, count in zip(places, counts, strict=True)]
    numbers = np.asarray(np.ravel_multi_index(tuple(np.meshgrid(*lines, indexing="ij")), counts))
    return layout.restored(numbers[np.newaxis, ..., np.newaxis])[0]


def _integers(given):
    try:
        array = np.asarray(given)
    except Exception:  # ragged lists, and whatever an object's own conversion raises
        array = np.array(None)
    if array.dtype.kind not in "iu" or not array.size or array.min() < 0:
        raise ValueError(
            "Expected `groups` to be a number of blocks along each axis, or an integer array with the number of the group of each entry, "
            f"0 or more. Received: groups={short(given)}"
        )
    return array


def _aligned(array, shape, layout, name):
    """The array with all axes of a sample."""
    channel, given = layout.channel, array.shape
    if channel is not None and array.ndim == len(shape) - 1:
        array = np.expand_dims(array, channel - 1)
    if array.ndim != len(shape) or any(own not in (1, size) for own, size in zip(array.shape, shape, strict=True)):
        raise ValueError(
            f"Expected `groups` for input '{name}' to be an array of the shape of a sample, {tuple(shape)}, in which axes may have length "
            f"1{'' if channel is None else ' and the channels may be left out'}. Received: an array of shape {given}."
        )
    # Only the axis of channels keeps its length of 1: values have all places.
    sizes = [own if axis == channel else size for axis, (own, size) in enumerate(zip(array.shape, shape, strict=True), 1)]
    return np.broadcast_to(array, sizes)


def _over_shared_axes(values, numbers):
    """Whether any of the entries holds that share a number because its axis has length 1."""
    axes = tuple(axis for axis, size in enumerate(numbers.shape, 1) if size == 1 and values.shape[axis] != 1)
    return values.any(axis=axes, keepdims=True) if axes else values


def _per_group(values, numbers, count):
    """The number of true entries `(n, count)` in each group."""
    flat = numbers.ravel()
    return np.stack([np.bincount(flat, each.ravel(), minlength=count) for each in values])
