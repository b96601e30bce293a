"""Receptive ranges: half-open ranges of an input, one per axis, on which ranges of an output depend.

Shapes and axes are those of one sample, without the batch dimension. A range may extend beyond the border.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

Range = tuple[int, int]


def whole(shape: Sequence[int]) -> list[Range]:
    """The whole input."""
    return [(0, size) for size in shape]


def entrywise(wanted: Sequence[Range], shape: Sequence[int]) -> list[Range]:
    """The same entries; an axis of length 1 is broadcast."""
    if len(wanted) != len(shape):
        return whole(shape)
    return [(0, 1) if size == 1 else each for each, size in zip(wanted, shape, strict=True)]


def along(axes: Collection[int], wanted: Sequence[Range], shape: Sequence[int]) -> list[Range]:
    """All entries along the given axes, and the same entries along the others."""
    if len(wanted) != len(shape):
        return whole(shape)
    return [(0, shape[axis]) if axis in axes else each for axis, each in enumerate(wanted)]


def moved(
    sources: Sequence[Sequence[int]] | None, wanted: Sequence[Range], shape: Sequence, output_shape: Sequence
) -> list[Range]:
    """The same entries along axes that are moved, and all entries along axes that are split or merged.

    Args:
        sources: For each axis of the output the axes of the input that it is made of.
        wanted: Ranges of the output.
        shape: Of a sample of the input.
        output_shape: Of a sample of the output.
    """
    found = whole(shape)
    for axis, made_of in enumerate(sources or ()):
        if len(made_of) == 1 and shape[made_of[0]] == output_shape[axis]:
            found[made_of[0]] = wanted[axis]
    return found


def by_place(step: Any, wanted: Sequence[Range], shapes: tuple, rule: Callable[[int, Range, int, int], Range]) -> list[Range]:
    """Applies a rule to each spatial axis; all channels are included.

    Args:
        step: The step, whose operation may have a `data_format`.
        wanted: Ranges of the output.
        shapes: `(shape, output_shape)` of the input and of the output.
        rule: Maps the number of a spatial axis, the range of the output along it, and the sizes of input and output to the range of the
            input.
    """
    shape, output_shape = shapes
    found = whole(shape)
    if len(shape) != len(output_shape):
        return found
    first = 1 if getattr(step.operation, "data_format", None) == "channels_first" else 0
    for place in range(len(shape) - 1):
        axis = first + place
        found[axis] = rule(place, wanted[axis], shape[axis], output_shape[axis])
    return found


def entry(setting: Any, place: int) -> int:
    """A setting of one spatial axis; a single number applies to all."""
    return setting[place] if isinstance(setting, (tuple, list)) else setting


def window(operation: Any, size: Any) -> Callable[[int, Range, int, int], Range]:
    """The rule of convolutions and poolings.

    Args:
        operation: An operation with `strides` and `padding`, and possibly a `dilation_rate`.
        size: Size of the window.
    """

    def rule(place, wanted, length, output_length):
        taps, dilation = entry(size, place), entry(getattr(operation, "dilation_rate", 1), place)
        reach = (taps - 1) * dilation + 1
        stride = entry(operation.strides or size, place)
        before = 0
        if operation.padding == "same":
            before = max((output_length - 1) * stride + reach - length, 0) // 2
        elif operation.padding == "causal":
            before = reach - 1
        starts = (output * stride - before for output in range(*wanted))
        # Entry by entry: for a dilated window that begins in the padding, the first input entry need not be a window entry.
        touched = [start + tap * dilation for start in starts for tap in range(taps)]
        within = [each for each in touched if 0 <= each < length] or [0]
        return min(within), max(within) + 1

    return rule


def adaptive_window(place: int, wanted: Range, length: int, output_length: int) -> Range:
    """The rule of adaptive poolings, which divide an axis into a given number of windows."""
    return wanted[0] * length // output_length, -(-wanted[1] * length // output_length)


def transposed_window(operation: Any) -> Callable[[int, Range, int, int], Range]:
    """The rule of transposed convolutions.

    Args:
        operation: An operation with `kernel_size`, `strides`, `dilation_rate`, `padding` and `output_padding`.
    """

    def rule(place, wanted, length, output_length):
        if operation.output_padding is not None:
            return 0, length
        stride = entry(operation.strides, place)
        reach = (entry(operation.kernel_size, place) - 1) * entry(operation.dilation_rate, place) + 1
        before = max(reach - stride, 0) // 2 if operation.padding == "same" else 0
        # Output o depends on input i where o = stride * i + k - before, with k from 0 to reach - 1.
        return -((reach - 1 - wanted[0] - before) // stride), (wanted[1] - 1 + before) // stride + 1

    return rule


def repeated(size: Any) -> Callable[[int, Range, int, int], Range]:
    """The rule of upsampling by repetition, `size` times along each axis."""

    def rule(place, wanted, length, output_length):
        factor = entry(size, place)
        return wanted[0] // factor, (wanted[1] - 1) // factor + 1

    return rule


def shifted(widths: Sequence, sign: int) -> Callable[[int, Range, int, int], Range]:
    """The rule of cropping (`sign` 1) and padding (-1) at both ends.

    Args:
        widths: Keras stores a pair for one axis, and a pair per axis for several.
        sign: Direction in which the input is shifted.
    """

    def rule(place, wanted, length, output_length):
        front = sign * entry(widths[place], 0)
        return wanted[0] + front, wanted[1] + front

    return rule
