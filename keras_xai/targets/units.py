"""Units of a layer as targets."""

import dataclasses
from typing import Any, final

import numpy as np
from keras import ops

from keras_xai.data.checks import check_text, is_integer, short
from keras_xai.targets.target import ScoreTarget, set_field

_INDEX = "a channel, a tuple of a position and a channel, in which slices select several, or a function of the layer's output"


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Unit(ScoreTarget):
    """The output of a unit of a layer, or the mean output of several.

    Methods with `layer` and `unit` make this target, and `Explanation.target` holds it. It is a function of the layer's output.

    Args:
        layer: Path of the layer.
        index: A channel; a tuple `(*position, channel)` of integers and slices, by which several units are selected; or a function that
            maps the layer's output `(n, ...)` to a tensor `(n,)`. A channel of a map is that of all positions.
        channel_axis: The axis of the channels in the layer's output; `index` has them last in any case.

    Example:

    >>> import numpy as np
    >>> from keras_xai.targets.units import Unit
    >>> maps = np.arange(8.0).reshape(1, 2, 2, 2)
    >>> float(Unit("conv", 1)(maps)[0]), float(Unit("conv", (0, 1, 1))(maps)[0])
    (4.0, 3.0)
    """

    layer: str
    index: Any
    channel_axis: int = -1

    def __post_init__(self):
        check_text("layer", self.layer)
        if callable(self.index):
            return
        index = self.index if isinstance(self.index, tuple) else (self.index,)
        if not index or not all(map(_selects, index)):
            raise ValueError(f"Expected `unit` to be {_INDEX}. Received: unit={short(self.index)}")
        index = tuple(each if isinstance(each, slice) else int(each) for each in index)
        set_field(self, "index", index if len(index) > 1 or isinstance(index[0], slice) else index[0])

    def _parameters(self, shape, num_samples, link):
        if not callable(self.index):
            sizes = list(shape[1:])
            channels = sizes.pop(self.channel_axis - 1 if self.channel_axis > 0 else self.channel_axis) if sizes else None
            sizes.append(channels)
            index = self.index if isinstance(self.index, tuple) else (self.index,)
            if len(shape) < 2 or len(index) not in (1, len(sizes)) or not all(map(_fits, index, sizes[-len(index) :])):
                raise ValueError(
                    f"Expected `unit` to be {_INDEX}. The output of '{self.layer}' has the shape {tuple(sizes)} with the channels last. "
                    f"Received: unit={self.index!r}"
                )
        return np.zeros((num_samples, 0), "int32")

    def _score(self, scores, parameters, link):
        if callable(self.index):
            return self.index(scores), parameters
        maps = ops.moveaxis(scores, self.channel_axis, -1)
        chosen = maps[(slice(None), *self.index)] if _several(self.index) else maps[..., _last(self.index)]
        return ops.mean(ops.reshape(chosen, (ops.shape(scores)[0], -1)), axis=1), parameters

    def _options(self):
        return (self.layer, self.index if callable(self.index) else repr(self.index), self.channel_axis)

    def _label(self, sample, class_names):
        return f"{_named(self.index)} of {self.layer}"


def _several(index):
    return isinstance(index, tuple) and len(index) > 1


def _last(index):
    return index[0] if isinstance(index, tuple) else index


def _selects(entry):
    """Whether an entry is an index or a slice of indices."""
    if isinstance(entry, slice):
        return all(each is None or is_integer(each) for each in (entry.start, entry.stop, entry.step)) and entry.step != 0
    return is_integer(entry) and entry >= 0


def _fits(entry, size):
    """Whether the selected entries are within the axis."""
    if size is None:
        return True
    return len(range(size)[entry]) > 0 if isinstance(entry, slice) else entry < size


def _named(index):
    if callable(index):
        return getattr(index, "__name__", "a function")
    parts = [_written(each) for each in (index if isinstance(index, tuple) else (index,))]
    return f"unit {parts[0]}" if len(parts) == 1 else f"unit ({', '.join(parts)})"


def _written(entry):
    if not isinstance(entry, slice):
        return str(entry)
    ends = ["" if each is None else str(each) for each in (entry.start, entry.stop)]
    return ":".join([*ends, *([] if entry.step is None else [str(entry.step)])])
