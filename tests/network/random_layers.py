"""The layer classes that `random_models` draws, with random settings.

Each entry makes a layer for a model `m`, of which it uses `rng`, `pick`, `chance`, `activation`, `format` and `channels`, and the shape of
a tensor without the batch axis.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from keras import layers

from tests.network import custom_layers


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """A layer class that can be drawn.

    Attributes:
        ranks: Ranks of the tensors that it takes, without the batch axis.
        make: Makes the layer, given a `_Model` and the shape.
        curved: Whether it is not piecewise linear.
    """

    ranks: tuple[int, ...]
    make: Callable
    curved: bool = False


def _conv(cls, depthwise=False, dilated=True):
    def make(m, _):
        strides = m.pick([1, 1, 2])
        options = {"strides": strides, "padding": m.pick(["valid", "same"]), "use_bias": m.chance(0.7), **m.format()}
        if dilated and strides == 1 and m.chance(0.2):
            options["dilation_rate"] = 2
        if cls is layers.Conv1D and not m.first and m.chance(0.2):
            options["padding"] = "causal"
        if depthwise:
            options["depth_multiplier"] = m.pick([1, 2])
        filters = () if depthwise and "Depthwise" in cls.__name__ else (m.pick([2, 3]),)
        return cls(*filters, m.pick([1, 2, 3]), activation=m.activation(), **options)

    return make


def _pool(cls):
    def make(m, shape):
        return cls(m.pick([2, 3]), strides=m.pick([None, 1, 2]), padding=m.pick(["valid", "same"]), **m.format())

    return make


def _plain(cls, formatted=True, **options):
    return lambda m, shape: cls(**options, **(m.format() if formatted else {}))


def _global(cls):
    return lambda m, shape: cls(keepdims=m.chance(0.3), **m.format())


# There is no orthogonal matrix in bfloat16.
_IN_ANY_TYPE = {"recurrent_initializer": "glorot_uniform"}


def _adaptive(cls):
    def make(m, shape):
        if min(shape[1:] if m.first else shape[:-1]) < 2:
            raise ValueError("TensorFlow does not compile a pooling to more places than there are")
        return cls(2, **m.format())

    return make


def _recurrent(cls):
    return lambda m, shape: cls(2, return_sequences=m.chance(0.5), go_backwards=m.chance(0.2), **_IN_ANY_TYPE)


def _bidirectional(m, shape):
    inner = m.pick([layers.LSTM, layers.GRU, layers.SimpleRNN])(2, return_sequences=m.chance(0.5), **_IN_ANY_TYPE)
    return layers.Bidirectional(inner, merge_mode=m.pick(["concat", "sum", "mul", "ave"]))


def _time_distributed(m, shape):
    options = [layers.Dense(2, activation=m.activation())]
    options += [layers.Conv1D(2, 2, activation="relu")] if len(shape) == 3 else []
    return layers.TimeDistributed(m.pick(options))


def _einsum(m, shape):
    axes = "bcd"[: len(shape)]
    return layers.EinsumDense(
        f"a{axes},{axes[-1]}z->a{axes[:-1]}z", (*shape[:-1], 3), activation=m.activation(), bias_axes="z"
    )


def _normalization(m, shape):
    count = shape[m.channels - 1 if m.first else -1]
    # Constants that half precision holds exactly: the layer rounds them when it is built.
    mean, variance = m.rng.integers(-8, 9, size=count) / 4, m.rng.choice([0.25, 1.0, 2.25], size=count)
    return layers.Normalization(axis=m.channels, mean=mean, variance=variance, invert=m.chance(0.2))


def _relu(m, shape):
    return layers.ReLU(
        max_value=m.pick([None, 1.5]), negative_slope=m.pick([0.0, 0.2]), threshold=m.pick([0.0, 0.0, 0.0, 0.3])
    )


def _reshape(m, shape):
    size = int(np.prod(shape))
    divisors = [k for k in range(1, size + 1) if size % k == 0]
    return layers.Reshape((m.pick(divisors), -1) if m.chance(0.7) else (-1,))


def _group(m, shape):
    channels = shape[m.channels - 1 if m.first else -1]
    return layers.GroupNormalization(m.pick([k for k in (1, 2, 3) if channels % k == 0]), axis=m.channels)


def _amounts(m, count, limit=1):
    return tuple((m.pick(range(limit + 1)), m.pick(range(limit + 1))) for _ in range(count))


def _spectral(m, shape):
    return layers.SpectralNormalization(layers.Dense(3, activation=m.activation()))


_ANY, _PLACES = (1, 2, 3, 4), (2, 3, 4)

UNARY: dict[type, Entry] = {
    layers.Dense: Entry(_ANY, lambda m, shape: layers.Dense(m.pick([2, 3, 4]), activation=m.activation())),
    layers.EinsumDense: Entry((1, 2, 3), _einsum),
    layers.Activation: Entry(_ANY, lambda m, shape: layers.Activation(m.activation())),
    layers.ReLU: Entry(_ANY, _relu),
    layers.LeakyReLU: Entry(_ANY, lambda m, shape: layers.LeakyReLU(m.pick([0.1, 0.4]))),
    layers.PReLU: Entry(_ANY, lambda m, shape: layers.PReLU()),
    layers.ELU: Entry(_ANY, lambda m, shape: layers.ELU(), curved=True),
    layers.Softmax: Entry(_ANY, lambda m, shape: layers.Softmax(), curved=True),
    layers.BatchNormalization: Entry(
        _ANY, lambda m, shape: layers.BatchNormalization(axis=m.channels, center=m.chance(0.8), scale=m.chance(0.8))
    ),
    layers.LayerNormalization: Entry(_ANY, lambda m, shape: layers.LayerNormalization(), curved=True),
    layers.RMSNormalization: Entry(_ANY, lambda m, shape: layers.RMSNormalization(), curved=True),
    layers.UnitNormalization: Entry(_ANY, lambda m, shape: layers.UnitNormalization(), curved=True),
    layers.GroupNormalization: Entry(_PLACES, _group, curved=True),
    layers.Normalization: Entry(_ANY, _normalization),
    layers.Rescaling: Entry(_ANY, lambda m, shape: layers.Rescaling(m.pick([0.5, -2.0]), offset=m.pick([0.0, -1.0]))),
    layers.Dropout: Entry(_ANY, _plain(layers.Dropout, False, rate=0.4)),
    layers.AlphaDropout: Entry(_ANY, _plain(layers.AlphaDropout, False, rate=0.4)),
    layers.GaussianDropout: Entry(_ANY, _plain(layers.GaussianDropout, False, rate=0.4)),
    layers.GaussianNoise: Entry(_ANY, _plain(layers.GaussianNoise, False, stddev=0.4)),
    layers.ActivityRegularization: Entry(_ANY, _plain(layers.ActivityRegularization, False, l1=0.1)),
    layers.Identity: Entry(_ANY, _plain(layers.Identity, False)),
    layers.SpatialDropout1D: Entry((2,), _plain(layers.SpatialDropout1D, False, rate=0.4)),
    layers.SpatialDropout2D: Entry((3,), _plain(layers.SpatialDropout2D, rate=0.4)),
    layers.SpatialDropout3D: Entry((4,), _plain(layers.SpatialDropout3D, rate=0.4)),
    layers.SpectralNormalization: Entry((1, 2), _spectral),
    layers.Flatten: Entry(_PLACES, _plain(layers.Flatten)),
    layers.Reshape: Entry(_ANY, _reshape),
    layers.Permute: Entry(_PLACES, lambda m, shape: layers.Permute(tuple(1 + int(i) for i in m.rng.permutation(len(shape))))),
    layers.RepeatVector: Entry((1,), lambda m, shape: layers.RepeatVector(m.pick([2, 3]))),
    layers.TimeDistributed: Entry((2, 3), _time_distributed),
    layers.LSTM: Entry((2,), _recurrent(layers.LSTM), curved=True),
    layers.GRU: Entry((2,), _recurrent(layers.GRU), curved=True),
    layers.SimpleRNN: Entry((2,), _recurrent(layers.SimpleRNN), curved=True),
    layers.RNN: Entry(
        (2,), lambda m, shape: layers.RNN(layers.GRUCell(2, **_IN_ANY_TYPE), return_sequences=m.chance(0.5)), curved=True
    ),
    layers.Bidirectional: Entry((2,), _bidirectional, curved=True),
    layers.Conv1D: Entry((2,), _conv(layers.Conv1D)),
    layers.Conv2D: Entry((3,), _conv(layers.Conv2D)),
    layers.Conv3D: Entry((4,), _conv(layers.Conv3D)),
    layers.Conv1DTranspose: Entry((2,), _conv(layers.Conv1DTranspose, dilated=False)),
    layers.Conv2DTranspose: Entry((3,), _conv(layers.Conv2DTranspose, dilated=False)),
    layers.Conv3DTranspose: Entry((4,), _conv(layers.Conv3DTranspose, dilated=False)),
    layers.DepthwiseConv1D: Entry((2,), _conv(layers.DepthwiseConv1D, depthwise=True)),
    layers.DepthwiseConv2D: Entry((3,), _conv(layers.DepthwiseConv2D, depthwise=True)),
    layers.SeparableConv1D: Entry((2,), _conv(layers.SeparableConv1D, depthwise=True)),
    layers.SeparableConv2D: Entry((3,), _conv(layers.SeparableConv2D, depthwise=True)),
    layers.ZeroPadding1D: Entry((2,), lambda m, shape: layers.ZeroPadding1D(_amounts(m, 1)[0], **m.format())),
    layers.ZeroPadding2D: Entry((3,), lambda m, shape: layers.ZeroPadding2D(_amounts(m, 2), **m.format())),
    layers.ZeroPadding3D: Entry((4,), lambda m, shape: layers.ZeroPadding3D(_amounts(m, 3), **m.format())),
    layers.Cropping1D: Entry((2,), lambda m, shape: layers.Cropping1D(_amounts(m, 1)[0])),
    layers.Cropping2D: Entry((3,), lambda m, shape: layers.Cropping2D(_amounts(m, 2), **m.format())),
    layers.Cropping3D: Entry((4,), lambda m, shape: layers.Cropping3D(_amounts(m, 3), **m.format())),
    layers.UpSampling1D: Entry((2,), lambda m, shape: layers.UpSampling1D(2)),
    layers.UpSampling2D: Entry(
        (3,), lambda m, shape: layers.UpSampling2D(2, interpolation=m.pick(["nearest", "bilinear"]), **m.format())
    ),
    layers.UpSampling3D: Entry((4,), _plain(layers.UpSampling3D, size=2)),
    layers.Resizing: Entry((3,), lambda m, shape: layers.Resizing(m.pick([3, 5]), m.pick([3, 6]), **m.format())),
    layers.CenterCrop: Entry((3,), lambda m, shape: layers.CenterCrop(2, 2, **m.format())),
    layers.RandomFlip: Entry((3,), _plain(layers.RandomFlip)),
    custom_layers.LeakyHinge: Entry(_ANY, _plain(custom_layers.LeakyHinge, False)),
    custom_layers.SineGate: Entry(_ANY, _plain(custom_layers.SineGate, False), curved=True),
    custom_layers.Rows: Entry(_PLACES, _plain(custom_layers.Rows, False)),
    custom_layers.ResidualBlock: Entry(_ANY, _plain(custom_layers.ResidualBlock, False)),
    custom_layers.SqueezeBlock: Entry(_PLACES, _plain(custom_layers.SqueezeBlock, False), curved=True),
}
for _rank in (1, 2, 3):
    for _name in ("Max", "Average"):
        _cls = getattr(layers, f"{_name}Pooling{_rank}D")
        UNARY[_cls] = Entry((_rank + 1,), _pool(_cls))
        _cls = getattr(layers, f"Global{_name}Pooling{_rank}D")
        UNARY[_cls] = Entry((_rank + 1,), _global(_cls))
        _cls = getattr(layers, f"Adaptive{_name}Pooling{_rank}D")
        UNARY[_cls] = Entry((_rank + 1,), _adaptive(_cls))
