"""Layers that move, repeat or drop entries, and layers that do nothing at inference."""

from keras import KerasTensor, layers, ops

from keras_xai.kinds.kind import Example, OnePiece, register


class Shape(OnePiece):
    """Moves, joins, repeats, pads or drops entries, or passes them on as they are."""

    role = "shape"

    def parts(self, step):
        return None


class Unchanged(Shape):
    """Passes entries on as they are; some of these layers drop or disturb single ones in training."""

    def elementwise(self, step):
        return True


_SERIES, _IMAGE, _VOLUME = (8, 2), (6, 6, 2), (4, 4, 4, 2)

for _class, _shape, _arguments in (
    (layers.Flatten, _IMAGE, {}),
    (layers.Reshape, _IMAGE, {"target_shape": (4, -1)}),
    (layers.Permute, _IMAGE, {"dims": (3, 1, 2)}),
    (layers.RepeatVector, (4,), {"n": 3}),
    (layers.ZeroPadding1D, _SERIES, {}),
    (layers.ZeroPadding2D, _IMAGE, {}),
    (layers.ZeroPadding3D, _VOLUME, {}),
    (layers.Cropping1D, _SERIES, {}),
    (layers.Cropping2D, _IMAGE, {}),
    (layers.Cropping3D, _VOLUME, {}),
    # What acts in training only.
    (layers.RandomFlip, _IMAGE, {}),
    (layers.RandomRotation, _IMAGE, {"factor": 0.1}),
    (layers.RandomTranslation, _IMAGE, {"height_factor": 0.1, "width_factor": 0.1}),
    (layers.RandomZoom, _IMAGE, {"height_factor": 0.1}),
    (layers.RandomContrast, _IMAGE, {"factor": 0.1}),
    (layers.RandomBrightness, _IMAGE, {"factor": 0.1}),
):
    register(_class, Shape(), Example(_shape, lambda x, cls=_class, arguments=_arguments: cls(**arguments)(x)))

for _class, _shape, _arguments in (
    (layers.Identity, (4,), {}),
    (layers.Dropout, (4,), {"rate": 0.5}),
    (layers.SpatialDropout1D, _SERIES, {"rate": 0.5}),
    (layers.SpatialDropout2D, _IMAGE, {"rate": 0.5}),
    (layers.SpatialDropout3D, _VOLUME, {"rate": 0.5}),
    (layers.AlphaDropout, (4,), {"rate": 0.5}),
    (layers.GaussianDropout, (4,), {"rate": 0.5}),
    (layers.GaussianNoise, (4,), {"stddev": 0.5}),
    (layers.ActivityRegularization, (4,), {"l1": 0.1}),
):
    register(_class, Unchanged(), Example(_shape, lambda x, cls=_class, arguments=_arguments: cls(**arguments)(x)))

register(
    layers.Concatenate,
    Shape(),
    Example((4,), lambda x: layers.Concatenate()([layers.Dense(3, "relu")(x), layers.Dense(3)(x)])),
)

for _function, _example in (
    (ops.concatenate, Example((4,), lambda x: ops.concatenate([x, x], axis=-1))),
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
    (ops.pad, Example((4,), lambda x: ops.pad(x, ((0, 0), (1, 2))))),
    (ops.split, Example((4,), lambda x: ops.split(x, 2, axis=1)[1])),
    (ops.take, Example((4,), lambda x: ops.take(x, [2, 0], axis=1))),
    (KerasTensor.__getitem__, Example((4,), lambda x: x[:, 1:3])),
):
    register(_function, Shape(), _example)
