"""Layouts: what each axis of an array of samples is."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from keras import ops

# Letters of the places of a map, by number of places.
PLACES = {1: "T", 2: "HW", 3: "DHW", 4: "TDHW"}
# Letters of axes that are places, in the order in which an array is drawn and rated; P is a place of an unknown kind.
_ORDER = "PTDHW"
_LETTERS = f"NCFL{_ORDER}"


@final
@dataclasses.dataclass(frozen=True)
class Layout:
    """The meaning of each axis of an array, one letter per axis.

    N are the samples, C the channels, D, H and W depth, height and width, T the time, P other places, L tokens, F features. An array
    `"NHWC"` holds images, `"NCHW"` the same with channels first, `"NHW"` gray images without an axis of channels, `"NTC"` series, `"NT"`
    series of one channel, `"NL"` texts, `"NF"` a table.

    The channels-last form of an array has its places in the order of a picture and then its channels, one if it has none. Features and
    tokens have no channels, and their arrays stay as they are.

    Args:
        letters: The letters, the first of which is N.

    Raises:
        ValueError: If a letter is unknown, or there are two axes of channels, features beside other axes, or tokens beside places.
    """

    letters: str

    def __post_init__(self):
        if not isinstance(self.letters, str) or self.letters[:1] != "N" or not self._is_valid(self.letters[1:]):
            raise ValueError(
                "Expected a layout such as 'NHWC', 'NCHW', 'NHW', 'NTC', 'NT', 'NL' or 'NF': N for the samples, then at most one C for the "
                "channels, and places (D, H, W, T or P), tokens (L) or features (F). "
                f"Received: {self.letters!r}"
            )

    @staticmethod
    def _is_valid(axes):
        kinds = {letter if letter in "FL" else "place" for letter in axes if letter != "C"}
        distinct = [letter for letter in axes if letter not in "LP"]
        return (
            set(axes) <= set(_LETTERS) - {"N"}
            and len(kinds) == 1
            and len(distinct) == len(set(distinct))
            and not ("C" in axes and kinds <= {"F", "L"})
        )

    @classmethod
    def of_shape(cls, shape: Sequence, dtype: Any = "float32") -> "Layout":
        """The layout of an array of which only the shape is known: channels last, as in Keras.

        Args:
            shape: Its shape, with the samples.
            dtype: Its type: two axes of integers are tokens.
        """
        rank = len(shape)
        if rank <= 2:
            return cls("NL" if np.dtype(dtype).kind in "iu" else "NF")
        return cls(f"N{place_letters(rank - 2)}C")

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.letters)

    @property
    def channel(self) -> int | None:
        """The axis of the channels, `None` if there is none."""
        return self.letters.index("C") if "C" in self.letters else None

    @property
    def is_apart(self) -> bool:
        """Whether entries have no neighbors, like features of a table and tokens."""
        return set(self.letters[1:]) <= {"F", "L"}

    @property
    def is_tokens(self) -> bool:
        """Whether the entries are tokens."""
        return "L" in self.letters

    @property
    def places(self) -> tuple[int, ...]:
        """The axes of places, tokens or features, in the order of the channels-last form."""
        axes = [axis for axis in range(1, self.rank) if axis != self.channel]
        return tuple(axes if self.is_apart else sorted(axes, key=lambda axis: _ORDER.index(self.letters[axis])))

    @property
    def without_channels(self) -> "Layout":
        """The layout in which all axes are places, in their order."""
        return Layout(f"N{place_letters(self.rank - 1)}")

    def sizes(self, shape: Sequence) -> tuple:
        """The sizes of the places of an array of this layout, with the samples in its shape."""
        return tuple(shape[axis] for axis in self.places)

    def channels_last(self, x: Any) -> Any:
        """The channels-last form of an array or tensor `(n, ...)`, see the class."""
        if self.is_apart:
            return x
        order = (0, *self.places, *([] if self.channel is None else [self.channel]))
        if order != tuple(range(self.rank)):
            x = x.transpose(order) if isinstance(x, np.ndarray) else ops.transpose(x, order)
        return x[..., None] if self.channel is None else x

    def restored(self, x: Any) -> Any:
        """Undoes `channels_last`."""
        if self.is_apart:
            return x
        if self.channel is None:
            x = x[..., 0]
        order = (0, *self.places, *([] if self.channel is None else [self.channel]))
        back = tuple(int(axis) for axis in np.argsort(order))
        if back == tuple(range(self.rank)):
            return x
        return x.transpose(back) if isinstance(x, np.ndarray) else ops.transpose(x, back)

    def channels_last_shape(self, shape: Sequence) -> tuple:
        """The shape of the channels-last form of an array of a shape."""
        if self.is_apart:
            return tuple(shape)
        return (shape[0], *self.sizes(shape), 1 if self.channel is None else shape[self.channel])

    def place_count(self, shape: Sequence) -> int:
        """The number of places of a sample of an array of a shape."""
        return math.prod(self.sizes(shape))


def place_letters(count: int) -> str:
    """The letters of a number of places of unknown kind."""
    return PLACES.get(count, "P" * count)
