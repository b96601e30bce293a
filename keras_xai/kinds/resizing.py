"""Resizing and cropping of images by interpolation."""

from keras import layers, ops

from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.kind import OnePiece
from keras_xai.kinds.ranges import by_place, repeated
from keras_xai.kinds.windows import channels_back, channels_last

# Cubic interpolation and Lanczos kernels have negative weights.
_NONNEGATIVE = ("nearest", "bilinear")


class Interpolation(OnePiece):
    """Resizes or crops images by a matrix per axis: TensorFlow's resizing has no second derivatives and no float64."""

    role = "affine"

    def parts(self, step):
        return None

    def refusal(self, step):
        if getattr(step.operation, "pad_to_aspect_ratio", False):
            return "it pads to an aspect ratio, which is not supported; pad with a separate layer"
        return None if len(step.input_specs[0].shape) == 4 else "it resizes a single image, not a batch"

    def averages(self, step):
        return getattr(step.operation, "interpolation", "bilinear") in _NONNEGATIVE

    def freeze(self, step, pattern):
        data_format = step.operation.data_format

        def resized(inputs):
            x = channels_last(inputs[0], data_format)
            for axis, equation in ((1, "bhwc,hk->bkwc"), (2, "bhwc,wk->bhkc")):
                x = ops.einsum(equation, x, ops.cast(self._matrix(step, inputs[0], axis, data_format), x.dtype))
            return [channels_back(x, data_format)]

        return resized

    def tangent(self, step, inputs):
        return self.freeze(step, None)

    @staticmethod
    def _matrix(step, x, axis, data_format):
        """The results for images with ones in a single row (or column)."""
        sizes = channels_last(ops.zeros_like(x[:1]), data_format).shape[1:3]
        shape = [sizes[axis - 1], 1, 1, 1]
        shape[axis] = sizes[axis - 1]
        lines = ops.reshape(ops.eye(sizes[axis - 1]), shape) * ops.ones((1, *sizes, 1))
        (y,) = step(channels_back(lines, data_format))
        y = channels_last(y, data_format)
        return y[:, :, 0, 0] if axis == 1 else y[:, 0, :, 0]


class UpSampling(Interpolation):
    """Enlarges images by interpolation, with a matrix per axis."""

    def receptive_range(self, step, wanted, shape, output_shape):
        if step.operation.interpolation != "nearest":
            return super().receptive_range(step, wanted, shape, output_shape)
        return by_place(step, wanted, (shape, output_shape), repeated(step.operation.size))


_IMAGE = (6, 6, 2)

register(
    layers.UpSampling2D,
    UpSampling(),
    Example(_IMAGE, lambda x: layers.UpSampling2D(2)(x)),
    Example(_IMAGE, lambda x: layers.UpSampling2D((2, 3), interpolation="bilinear")(x)),
    Example(_IMAGE, lambda x: layers.UpSampling2D(2, interpolation="bicubic")(x)),
)
register(
    layers.Resizing,
    Interpolation(),
    Example(_IMAGE, lambda x: layers.Resizing(9, 4)(x)),
    Example(_IMAGE, lambda x: layers.Resizing(4, 5, interpolation="nearest", crop_to_aspect_ratio=True)(x)),
)
register(
    layers.CenterCrop,
    Interpolation(),
    Example(_IMAGE, lambda x: layers.CenterCrop(4, 3)(x)),
    Example(_IMAGE, lambda x: layers.CenterCrop(7, 9)(x)),
)
register(
    ops.image.resize,
    Interpolation(),
    Example(_IMAGE, lambda x: ops.image.resize(x, (9, 9))),
    Example(_IMAGE, lambda x: ops.image.resize(x, (3, 4), antialias=True)),
)
