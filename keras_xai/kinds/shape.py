"""Layers that move, repeat or drop entries, and layers that are the identity at inference."""

import numpy as np
from keras import KerasTensor, layers, ops

from keras_xai.graph.calls import Independent
from keras_xai.graph.nodes import operation_class
from keras_xai.kinds.axes import BY_USE, DECLARED, Named, by_format, indexed, permuted, reshaped
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.kind import OnePiece
from keras_xai.kinds.product import constants_are_nonnegative
from keras_xai.kinds.ranges import along, by_place, entrywise, moved, shifted
from keras_xai.kinds.secants import affine
from keras_xai.layers.layout import DeclaredLayout


class Shape(OnePiece):
    """Moves, joins, repeats, pads or drops entries, or passes them on unchanged."""

    role = "shape"

    def parts(self, step):
        return None

    def keeps_sign(self, step):
        return True


class Unchanged(Shape):
    """Passes entries on unchanged; some of these layers drop single entries in training."""

    def elementwise(self, step):
        return True


class Choice(Shape):
    """The entries of one of two tensors, chosen by a mask."""

    def axis_sources(self, step, position):
        same = step.input_specs[position].shape == step.output_specs[0].shape
        return super().axis_sources(step, position) if same else None


class Conditional(Choice):
    """A choice of entries by a condition, through which the chosen ones pass unchanged."""

    def refusal(self, step):
        return "it chooses entries by a condition that depends on the input" if step.takes_tensor(0) else None

    def relevance(self, step):
        return "shape"

    def secant(self, step):
        return affine(step, self.tangent)

    def keeps_sign(self, step):
        return constants_are_nonnegative(step)

    def receptive_range(self, step, wanted, shape, output_shape):
        return entrywise(wanted, shape)


class Given(OnePiece):
    """A tensor that does not depend on the input."""

    role = "shape"

    def parts(self, step):
        return None

    def axis_sources(self, step, position):
        return None


class Filled(Given):
    """A tensor of zeros or ones."""

    def nonnegative(self, step):
        return True


class Moved(Shape):
    """Moves entries to other axes."""

    def receptive_range(self, step, wanted, shape, output_shape):
        return moved(self.axis_sources(step, 0), wanted, shape, output_shape)


class Permutation(Moved):
    """Changes the order of the axes."""

    def axis_sources(self, step, position):
        return permuted(step, len(step.input_specs[0].shape) - 1)


class Reshaping(Moved):
    """Splits, merges, adds or drops axes."""

    def axis_sources(self, step, position):
        return reshaped(step.input_specs[0].shape[1:], step.output_specs[0].shape[1:])


class Flattening(Reshaping):
    """Merges all axes; in the channels-first format, it moves the channels to the end before, as its weights expect."""

    def axis_names(self, step):
        rank = len(step.input_specs[0].shape) - 1
        if self.data_format(step) != "channels_first" or rank < 2:
            return None  # channels last is the default, and says nothing
        return Named(by_format("channels_first", rank), [None], BY_USE)


class Declaration(Unchanged):
    """Passes entries on unchanged, and declares which axis is which."""

    def axis_names(self, step):
        names = [None if letter in "FL" else letter for letter in step.operation.layout[1:]]
        return Named(names, names, DECLARED)


class RepeatedVector(Shape):
    """Repeats a vector along a new axis of time."""

    def axis_sources(self, step, position):
        return [(), (0,)]


class Stack(Shape):
    """Joins tensors along a new axis."""

    def axis_sources(self, step, position):
        rank = len(step.output_specs[0].shape)
        new = step.operation.axis % rank - 1
        return [() if axis == new else (axis - (axis > new),) for axis in range(rank - 1)] if new >= 0 else None


class Indexing(Shape):
    """Takes a part of a tensor."""

    def axis_sources(self, step, position):
        args, _ = step.arguments
        return indexed(args[1], len(step.input_specs[0].shape) - 1) if len(args) == 2 else None


class SpatialDropout1D(Unchanged):
    """Passes series on unchanged; drops channels in training."""

    def data_format(self, step):
        return "channels_last"


class Noise(Unchanged):
    """Passes entries on unchanged; in training, perturbs them, which can change their signs."""

    def keeps_sign(self, step):
        return False


class Augmentation(Shape):
    """Passes entries on unchanged; in training, augments images randomly, with fill values that may be negative."""

    def keeps_sign(self, step):
        return False

    def axis_names(self, step):
        named = super().axis_names(step)  # less sure than a convolution, because its format does not matter at inference
        return named and Named(named.inputs, named.outputs, BY_USE)


class Padding(Shape):
    """Adds zeros around maps."""

    def receptive_range(self, step, wanted, shape, output_shape):
        return by_place(step, wanted, (shape, output_shape), shifted(step.operation.padding, -1))


class Cropping(Shape):
    """Crops maps at the border."""

    def data_format(self, step):
        return super().data_format(step) or "channels_last"  # a `Cropping1D` has none

    def receptive_range(self, step, wanted, shape, output_shape):
        return by_place(step, wanted, (shape, output_shape), shifted(step.operation.cropping, 1))


class PaddingWithConstant(Shape):
    """Pads a tensor, with a constant or its own entries."""

    def keeps_sign(self, step):
        values = step.arguments[1].get("constant_values")
        return values is None or values >= 0


class Concatenation(Shape):
    """Joins tensors along an axis."""

    def receptive_range(self, step, wanted, shape, output_shape):
        return along([step.operation.axis % len(step.output_specs[0].shape) - 1], wanted, shape)


_SERIES, _IMAGE, _VOLUME = (8, 2), (6, 6, 2), (4, 4, 4, 2)

for _class, _kind, _shape, _arguments in (
    (layers.Flatten, Flattening(), _IMAGE, {}),
    (layers.Reshape, Reshaping(), _IMAGE, {"target_shape": (4, -1)}),
    (layers.Permute, Permutation(), _IMAGE, {"dims": (3, 1, 2)}),
    (layers.RepeatVector, RepeatedVector(), (4,), {"n": 3}),
    (layers.ZeroPadding1D, Padding(), _SERIES, {}),
    (layers.ZeroPadding2D, Padding(), _IMAGE, {"padding": ((1, 0), (0, 2))}),
    (layers.ZeroPadding3D, Padding(), _VOLUME, {}),
    (layers.Cropping1D, Cropping(), _SERIES, {}),
    (layers.Cropping2D, Cropping(), _IMAGE, {"cropping": ((1, 0), (0, 2))}),
    (layers.Cropping3D, Cropping(), _VOLUME, {}),
    # Layers that are active in training only.
    (layers.RandomFlip, Augmentation(), _IMAGE, {}),
    (layers.RandomRotation, Augmentation(), _IMAGE, {"factor": 0.1}),
    (layers.RandomTranslation, Augmentation(), _IMAGE, {"height_factor": 0.1, "width_factor": 0.1}),
    (layers.RandomZoom, Augmentation(), _IMAGE, {"height_factor": 0.1}),
    (layers.RandomContrast, Augmentation(), _IMAGE, {"factor": 0.1}),
    (layers.RandomBrightness, Augmentation(), _IMAGE, {"factor": 0.1}),
    (layers.Identity, Unchanged(), (4,), {}),
    (DeclaredLayout, Declaration(), _IMAGE, {"layout": "NHWC"}),
    (layers.Dropout, Unchanged(), (4,), {"rate": 0.5}),
    (layers.SpatialDropout1D, SpatialDropout1D(), _SERIES, {"rate": 0.5}),
    (layers.SpatialDropout2D, Unchanged(), _IMAGE, {"rate": 0.5}),
    (layers.SpatialDropout3D, Unchanged(), _VOLUME, {"rate": 0.5}),
    (layers.ActivityRegularization, Unchanged(), (4,), {"l1": 0.1}),
    (layers.AlphaDropout, Noise(), (4,), {"rate": 0.5}),
    (layers.GaussianDropout, Noise(), (4,), {"rate": 0.5}),
    (layers.GaussianNoise, Noise(), (4,), {"stddev": 0.5}),
):
    register(_class, _kind, Example(_shape, lambda x, cls=_class, arguments=_arguments: cls(**arguments)(x)))

register(
    layers.Concatenate,
    Concatenation(),
    Example((4,), lambda x: layers.Concatenate()([layers.Dense(3, "relu")(x), layers.Dense(3)(x)])),
    Example(_IMAGE, lambda x: layers.Concatenate(axis=2)([x, x])),
)
register(
    ops.concatenate,
    Concatenation(),
    Example((4,), lambda x: ops.concatenate([x, x], axis=-1)),
)
register(
    ops.pad,
    PaddingWithConstant(),
    Example((4,), lambda x: ops.pad(x, ((0, 0), (1, 2)))),
    Example((4,), lambda x: ops.pad(x, ((0, 0), (1, 2)), constant_values=-1.0)),
)

register(ops.where, Conditional(), Example((4,), lambda x: ops.where(np.array([True, False, True, True]), x, -1.0)))
register(
    Independent, Given(), Example((4,), lambda x: ops.add(Independent()(ops.convert_to_tensor([[1.0, -2.0, 3.0, 0.5]]), x), x))
)
for _function in (ops.zeros_like, ops.ones_like):
    register(operation_class(_function), Filled(), Example((4,), lambda x, function=_function: ops.subtract(x, function(x))))
register(ops.stack, Stack(), Example((4,), lambda x: ops.stack([x, x], axis=1)))
register(KerasTensor.__getitem__, Indexing(), Example((4,), lambda x: x[:, 1:3]))
for _function, _example in (
    (ops.transpose, Example(_IMAGE, lambda x: ops.transpose(x, (0, 3, 1, 2)))),
    (ops.swapaxes, Example(_IMAGE, lambda x: ops.swapaxes(x, 1, 3))),
    (ops.moveaxis, Example(_IMAGE, lambda x: ops.moveaxis(x, 1, 3))),
):
    register(_function, Permutation(), _example)
for _function, _example in (
    (ops.reshape, Example(_IMAGE, lambda x: ops.reshape(x, (-1, 12, 6)))),
    (ops.expand_dims, Example((4,), lambda x: ops.expand_dims(x, 1))),
    (ops.squeeze, Example((1, 4), lambda x: ops.squeeze(x, 1))),
):
    register(_function, Reshaping(), _example)
for _function, _example in (
    (ops.repeat, Example((4,), lambda x: ops.repeat(x, 2, axis=1))),
    (ops.tile, Example((4,), lambda x: ops.tile(x, (1, 2)))),
    (ops.flip, Example((4,), lambda x: ops.flip(x, axis=1))),
    (ops.roll, Example((4,), lambda x: ops.roll(x, 1, axis=1))),
    (ops.split, Example((4,), lambda x: ops.split(x, 2, axis=1)[1])),
    (ops.take, Example((4,), lambda x: ops.take(x, [2, 0], axis=1))),
):
    register(_function, Shape(), _example)
