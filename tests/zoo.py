"""Small networks on 8 x 8 x 1 images, one for each way in which real ones are built."""

import contextlib

import keras
import numpy as np
from keras import layers


@contextlib.contextmanager
def in_dtype(dtype):
    """Layers made inside compute in `dtype`."""
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        keras.config.set_floatx(floatx)


def in_float32(model, name):
    """The zoo's network `name` in float32, with the weights of `model`."""
    with in_dtype("float32"):
        copy = ZOO[name]()
        copy(np.zeros((1, 8, 8, 1), "float32"))  # builds the layers that serve as activations
    copy.set_weights(model.get_weights())
    return copy


def _functional(body):
    def build():
        x = keras.Input((8, 8, 1))
        return keras.Model(x, layers.Dense(10, activation="softmax")(body(x)))

    return build


def mlp():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(24),
            layers.LeakyReLU(0.1),
            layers.Dense(10, activation="softmax"),
        ]
    )


def cnn():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(6, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(10),
            layers.Softmax(),
        ]
    )


@_functional
def residual(x):
    x = layers.Conv2D(6, 3, padding="same")(x)
    y = layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same", activation="relu")(x))
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    return layers.GlobalAveragePooling2D()(layers.Conv2D(12, 3, activation="relu")(x))


@_functional
def concatenate(x):
    a = layers.Conv2D(4, 1, activation="relu")(x)
    b = layers.Conv2D(4, 3, padding="same", activation=layers.PReLU(shared_axes=(1, 2)))(x)
    c = layers.MaxPooling2D(2, strides=1, padding="same")(x)
    x = layers.Concatenate()([a, b, c])
    return layers.Flatten()(layers.AveragePooling2D(2)(x))


@_functional
def depthwise(x):
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    return layers.Flatten()(layers.SeparableConv2D(8, 3, activation="relu6")(x))


@_functional
def shared(x):
    convolution = layers.Conv2D(6, 3, padding="same", activation="relu", name="shared")
    widen = layers.Conv2D(1, 1)
    y = convolution(x)
    return layers.Flatten()(layers.Maximum()([y, convolution(widen(y))]))


@_functional
def nested(x):
    block = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(2)], name="block"
    )
    inner = keras.Input((8, 8, 1))
    backbone = keras.Model(inner, layers.Flatten()(block(2.0 * inner)), name="backbone")
    return layers.Dense(16, activation="hard_tanh")(backbone(x))


@_functional
def series(x):
    x = layers.Conv1D(12, 3, padding="same", activation="relu")(layers.Reshape((8, 8))(x))
    x = layers.MaxPooling1D(2)(x)
    return layers.GlobalMaxPooling1D()(layers.Conv1D(24, 2, activation="relu")(x))


@_functional
def transpose(x):
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation="relu")(x)
    return layers.Flatten()(layers.UpSampling2D()(layers.AveragePooling2D(2)(x)))


ZOO = {
    "mlp": mlp,
    "cnn": cnn,
    "residual": residual,
    "concatenate": concatenate,
    "depthwise": depthwise,
    "shared": shared,
    "nested": nested,
    "series": series,
    "transpose": transpose,
}
