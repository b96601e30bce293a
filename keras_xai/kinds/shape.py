"""Layers that move, repeat or drop entries, and layers that are the identity at inference."""

from keras import KerasTensor, layers, ops

from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.kind import OnePiece
from keras_xai.kinds.ranges import along, by_place, shifted


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


class Noise(Unchanged):
    """Passes entries on unchanged; in training, perturbs them, which can change their signs."""

    def keeps_sign(self, step):
        return False


class Augmentation(Shape):
    """Passes entries on unchanged; in training, augments images randomly, with fill values that may be negative."""

    def keeps_sign(self, step):
        return False


class Padding(Shape):
    """Adds zeros around maps."""

    def receptive_range(self, step, wanted, shape, output_shape):
        return by_place(step, wanted, (shape, output_shape), shifted(step.operation.padding, -1))


class Cropping(Shape):
    """Crops maps at the border."""

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
    (layers.Flatten, Shape(), _IMAGE, {}),
    (layers.Reshape, Shape(), _IMAGE, {"target_shape": (4, -1)}),
    (layers.Permute, Shape(), _IMAGE, {"dims": (3, 1, 2)}),
    (layers.RepeatVector, Shape(), (4,), {"n": 3}),
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
    (layers.Dropout, Unchanged(), (4,), {"rate": 0.5}),
    (layers.SpatialDropout1D, Unchanged(), _SERIES, {"rate": 0.5}),
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

for _function, _example in (
    (ops.stack, Example((4,), lambda x: ops.stack([x, x], axis=1))),
    (ops.reshape, Example(_IMAGE, lambda x: ops.reshape(x, (-1, 12, 6)))),
    (ops.transpose, Example(_IMAGE, lambda x: ops.transpose(x, (0, 3, 1, 2)))),
    (ops.swapaxes, Example(_IMAGE, lambda x: ops.swapaxes(x, 1, 3))),
    (ops.moveaxis, Example(_IMAGE, lambda x: ops.moveaxis(x, 1, 3))),
    (ops.expand_dims, Example((4,), lambda x: ops.expand_dims(x, 1))),
    (ops.squeeze, Example((1, 4), lambda x: ops.squeeze(x, 1))),
    (ops.repeat, Example((4,), lambda x: ops.repeat(x, 2, axis=1))),
    (ops.tile, Example((4,), lambda x: ops.tile(x, (1, 2)))),
    (ops.flip, Example((4,), lambda x: ops.flip(x, axis=1))),
    (ops.roll, Example((4,), lambda x: ops.roll(x, 1, axis=1))),
    (ops.split, Example((4,), lambda x: ops.split(x, 2, axis=1)[1])),
    (ops.take, Example((4,), lambda x: ops.take(x, [2, 0], axis=1))),
    (KerasTensor.__getitem__, Example((4,), lambda x: x[:, 1:3])),
):
    register(_function, Shape(), _example)
