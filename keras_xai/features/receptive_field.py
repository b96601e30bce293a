"""What part of the input a unit sees."""

from collections.abc import Callable, Sequence
from typing import Any, final

import keras
from keras import layers

from keras_xai.backend import traced
from keras_xai.data.structure import packed
from keras_xai.features.responses import Responses
from keras_xai.graph.steps import Step
from keras_xai.kinds import kind_of

# A half-open range of places along one axis.
_Range = tuple[int, int]

_WINDOWS = (
    *(layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D, layers.DepthwiseConv2D),
    *(layers.SeparableConv1D, layers.SeparableConv2D),
    *(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D),
    *(layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D),
)
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_REPEATED = (layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D)
_PADDED = (layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)
_CROPPED = (layers.Cropping1D, layers.Cropping2D, layers.Cropping3D)
_MERGED = (layers.Add, layers.Subtract, layers.Average, layers.Maximum, layers.Minimum, layers.Multiply)


def receptive_field(model: keras.Model, layer: str, position: Sequence[int]) -> Any:
    """The part of the input that a unit of a layer depends on, as slices, cut off at the input's border.

    It is followed back through the layers: exact through convolutions, poolings, upsampling by repetition, padding, cropping and all
    that acts on single entries or adds tensors up; of other layers, such as attention, every entry is taken to depend on the whole
    input. Where branches meet, it is the smallest box around what each of them sees.

    Source: [Araujo, Norris & Sim, 2019](https://distill.pub/2019/computing-receptive-fields), here from one position backwards, so
    that padding and borders are exact.

    Args:
        model: A built Sequential or functional model, whose inputs have known sizes.
        layer: The layer's path.
        position: Where the unit is in the layer's output, without its channel: `(row, column)` for maps.

    Returns:
        A tuple of slices for each input, in the structure of the model's inputs: one for each axis of a sample, the whole axis of
        channels included.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model has no such layer or the layer no such position, or if a size of the input is not known.

    Example:

    >>> import keras
    >>> from keras_xai.features import receptive_field
    >>> model = keras.Sequential([
    ...     keras.Input((32, 32, 3)),
    ...     keras.layers.Conv2D(4, 3, name="conv1"),
    ...     keras.layers.MaxPooling2D(2),
    ...     keras.layers.Conv2D(4, 3, name="conv2"),
    ... ])
    >>> receptive_field(model, "conv2", (1, 5))
    (slice(2, 10, None), slice(10, 18, None), slice(0, 3, None))
    """
    responses = Responses(model, layer)
    sizes = responses.shape[:-1]
    place = tuple(position)
    if len(place) != len(sizes) or not all(0 <= p < (size or p + 1) for p, size in zip(place, sizes, strict=True)):
        raise ValueError(f"Expected a position within {sizes} of '{layer}'. Received: position={position!r}")
    shapes = [tuple(spec.shape[1:]) for spec in responses.graph.input_specs]
    if any(size is None for shape in shapes for size in shape):
        raise ValueError(
            f"Expected a model whose inputs have known sizes, on which borders depend. Received: inputs of shape {shapes}."
        )
    return packed(list(ReceptiveFields(responses, shapes)(place)), responses.graph)


@final
class ReceptiveFields:
    """The receptive fields of the units of a layer.

    Args:
        responses: The layer.
        shapes: Of a sample of each input.
    """

    def __init__(self, responses: Responses, shapes: Sequence[Sequence[int]]):
        self._responses = responses
        self._known: dict[tuple[int, ...], tuple] = {}
        if len(responses.shape) == 1:  # a unit without a place sees all
            self._known[()] = tuple(tuple(slice(0, size) for size in shape) for shape in shapes)
            return
        self._shapes = _shapes(responses, shapes)
        self._steps = [step for step in responses.graph.steps if all(each in self._shapes for each in step.outputs)]

    def __call__(self, position: Sequence[int]) -> tuple:
        """For each input a tuple of slices, one for each axis of a sample.

        Args:
            position: Of the unit, without its channel.
        """
        place = tuple(int(each) for each in position)
        if place not in self._known:
            self._known[place] = self._found(place)
        return self._known[place]

    def _found(self, place):
        axis = self._responses.axis - 1
        start = [(each, each + 1) for each in place]
        start.insert(axis, (0, self._shapes[self._responses.identifier][axis]))
        needed = {self._responses.identifier: start}
        for step in reversed(self._steps):
            for output in step.outputs:
                if output in needed:
                    self._pass_back(step, output, needed)
        graph = self._responses.graph
        return tuple(
            # What the unit does not depend on at all is an empty box.
            tuple(slice(*ends) for ends in needed.get(identifier, [(0, 0) for _ in self._shapes[identifier]]))
            for identifier in graph.inputs
        )

    def _pass_back(self, step, output, needed):
        to = self._shapes[output]
        rule = _rule(step)
        for identifier in step.inputs:
            size = self._shapes[identifier]
            fits = rule is _embedded or len(size) == len(to)
            found = rule(needed[output], size, to) if rule and fits else [(0, each) for each in size]
            inside = [(max(start, 0), min(stop, each)) for (start, stop), each in zip(found, size, strict=True)]
            if any(start >= stop for start, stop in inside):
                continue  # only padding is seen
            if identifier in needed:
                pairs = zip(needed[identifier], inside, strict=True)
                inside = [(min(a, b), max(c, d)) for (a, c), (b, d) in pairs]
            needed[identifier] = inside


def _shapes(responses, shapes):
    """Shape of one sample of each tensor, by identifier."""
    found: dict[int, tuple[int, ...]] = {}

    def record(inputs):
        values = responses.scores.run(inputs, until=[responses.identifier])
        found.update((identifier, tuple(value.shape[1:])) for identifier, value in values.items())
        return inputs

    dtypes = [responses.scores.input_dtype(spec) for spec in responses.graph.input_specs]
    traced(record, [[((None, *shape), dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]])
    return found


def _rule(step: Step) -> Callable | None:
    """Maps ranges of a step's output to those of an input that they depend on; `None` where that is all of it."""
    operation: Any = step.operation
    kind = kind_of(step)
    if isinstance(operation, layers.Concatenate):
        axis = operation.axis % len(step.output_specs[0].shape) - 1
        return lambda ranges, size, to: [(0, size[i]) if i == axis else each for i, each in enumerate(ranges)]
    if kind.elementwise(step):
        return _same
    if isinstance(operation, layers.Multiply) or (isinstance(operation, _MERGED) and kind.role != "smooth"):
        return _same
    if isinstance(operation, layers.Embedding):
        return _embedded
    if isinstance(operation, layers.LayerNormalization):
        axes = operation.axis if isinstance(operation.axis, (list, tuple)) else [operation.axis]
        rank = len(step.output_specs[0].shape)
        return _along_last if [axis % rank for axis in axes] == [rank - 1] else None
    if kind.role == "smooth":
        return None  # also what overrides the `call` of a layer that is known
    if isinstance(operation, layers.Dense):
        return _along_last
    for classes, rule in (
        (_WINDOWS, _window),
        (_TRANSPOSED, _transposed),
        (_REPEATED, _repeated),
        (_PADDED, _padded),
        (_CROPPED, _cropped),
    ):
        if isinstance(operation, classes):
            return lambda ranges, size, to: _spatially(operation, rule, ranges, size, to)
    return None


def _same(ranges, size, to):
    """Entry by entry; an axis of length 1 is repeated."""
    return [(0, 1) if length == 1 else each for each, length in zip(ranges, size, strict=True)]


def _along_last(ranges, size, to):
    return [*ranges[:-1], (0, size[-1])]


def _embedded(ranges, size, to):
    """A token becomes a vector along an axis of its own."""
    return ranges[:-1]


def _spatially(operation, rule, ranges, size, to):
    """Applies a rule to each spatial axis; of channels, all are needed."""
    first = 1 if getattr(operation, "data_format", None) == "channels_first" else 0
    found: list[_Range] = [(0, each) for each in size]
    for i in range(len(size) - 1):
        axis = first + i
        found[axis] = rule(operation, i, ranges[axis], size[axis], to[axis])
    return found


def _entry(value: Any, place: int) -> Any:
    """A setting of one axis, where one number stands for all."""
    return value[place] if isinstance(value, (tuple, list)) else value


def _window(operation, place, wanted, size, to) -> _Range:
    taps = _entry(getattr(operation, "pool_size", None) or operation.kernel_size, place)
    dilation = _entry(getattr(operation, "dilation_rate", 1), place)
    reach = (taps - 1) * dilation + 1
    stride = _entry(operation.strides, place)
    before = 0
    if operation.padding == "same":
        before = max((to - 1) * stride + reach - size, 0) // 2
    elif operation.padding == "causal":
        before = reach - 1
    starts = (output * stride - before for output in range(*wanted))
    # Entry by entry: of a dilated window that begins in the padding, the first entry of the input need not be one.
    touched = [start + tap * dilation for start in starts for tap in range(taps)]
    within = [entry for entry in touched if 0 <= entry < size] or [0]
    return min(within), max(within) + 1


def _transposed(operation, place, wanted, size, to) -> _Range:
    if operation.output_padding is not None:
        return 0, size
    reach = _entry(operation.kernel_size, place)
    stride, dilation = _entry(operation.strides, place), _entry(operation.dilation_rate, place)
    reach = (reach - 1) * dilation + 1
    before = max(reach - stride, 0) // 2 if operation.padding == "same" else 0
    # Output o takes input i where o = stride * i + k - before, with k from 0 to reach - 1.
    return -((reach - 1 - wanted[0] - before) // stride), (wanted[1] - 1 + before) // stride + 1


def _repeated(operation, place, wanted, size, to) -> _Range:
    factor = _entry(operation.size, place)
    if getattr(operation, "interpolation", "nearest") != "nearest":
        return 0, size
    return wanted[0] // factor, (wanted[1] - 1) // factor + 1


def _padded(operation, place, wanted, size, to) -> _Range:
    before = _sides(operation.padding, place)
    return wanted[0] - before, wanted[1] - before


def _cropped(operation, place, wanted, size, to) -> _Range:
    before = _sides(operation.cropping, place)
    return wanted[0] + before, wanted[1] + before


def _sides(widths, place):
    """Of an axis, what is added or dropped in front: of one axis Keras keeps a pair, of several a pair for each."""
    entry = widths[place]
    return entry[0] if isinstance(entry, (tuple, list)) else entry
