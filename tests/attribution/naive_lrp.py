"""Layer-wise relevance propagation as slowly and plainly as it can be written: every affine map as one dense matrix, NumPy only."""

import functools

import keras
import numpy as np

from keras_xai.attribution import AlphaBeta, Epsilon, Flat, Gamma, ZBox, ZPlus


def matrix(function, shape):
    """An affine map of arrays `(n, *shape)` as `(weights, bias)`, found by feeding it one unit vector after the other."""
    size = int(np.prod(shape))
    units = np.eye(size).reshape(size, *shape)
    bias = np.asarray(function(np.zeros((1, *shape))))
    return (np.asarray(function(units)) - bias).reshape(size, -1), bias.ravel()


def linear(layer):
    """The layer without the activation that is fused into it."""
    if getattr(layer, "activation", None) is None:
        return layer
    copy = type(layer).from_config(layer.get_config() | {"activation": None})
    copy.build(layer.input.shape)
    copy.set_weights(layer.get_weights())
    return copy


def composed(*layers):
    """Layers in sequence as a function of arrays."""

    def function(x):
        for layer in layers:
            x = keras.ops.convert_to_numpy(layer(x))
        return x

    return function


def stabilized(z, epsilon):
    return np.where(z < 0, z - epsilon, z + epsilon)


def epsilon(x, weights, bias, message, *, eps=1e-6):
    z = x @ weights + bias
    return x * (weights @ (message / stabilized(z, eps)))


def zplus(x, weights, bias, message, *, eps=1e-6):
    addends = np.maximum(x[:, None] * weights, 0)
    return addends @ (message / (addends.sum(axis=0) + np.maximum(bias, 0) + eps))


def alpha_beta(x, weights, bias, message, *, alpha=2.0, beta=1.0, eps=1e-6):
    products = x[:, None] * weights
    speaking, against = np.maximum(products, 0), np.minimum(products, 0)
    share = alpha * speaking / (speaking.sum(axis=0) + np.maximum(bias, 0) + eps)
    below = against.sum(axis=0) + np.minimum(bias, 0)
    return (share - beta * against / stabilized(below, eps)) @ message


def gamma(x, weights, bias, message, *, gamma=0.25, eps=1e-6):
    relevance = np.zeros_like(x)
    for j, z in enumerate(x @ weights + bias):
        products = x * weights[:, j]
        if z > 0:
            addends, offset = products + gamma * np.maximum(products, 0), bias[j] + gamma * max(bias[j], 0)
        else:
            addends, offset = products + gamma * np.minimum(products, 0), bias[j] + gamma * min(bias[j], 0)
        relevance += addends * message[j] / stabilized(addends.sum() + offset, eps)
    return relevance


def flat(x, weights, bias, message, *, eps=1e-6):
    connected = (weights != 0).astype(float)
    return connected @ (message / (connected.sum(axis=0) + eps))


def zbox(x, weights, bias, message, *, low=-3.0, high=3.0, eps=1e-6):
    addends = x[:, None] * weights - low * np.maximum(weights, 0) - high * np.minimum(weights, 0)
    return addends @ (message / stabilized(addends.sum(axis=0), eps))


# Every public rule, with options, and its replica above.
RULES = {
    "epsilon": (Epsilon(), epsilon),
    "large epsilon": (Epsilon(0.3), functools.partial(epsilon, eps=0.3)),
    "gamma": (Gamma(), gamma),
    "zplus": (ZPlus(), zplus),
    "alpha beta": (AlphaBeta(), alpha_beta),
    "alpha beta 3": (AlphaBeta(3.0, 2.0), functools.partial(alpha_beta, alpha=3.0, beta=2.0)),
    "flat": (Flat(1e-12), functools.partial(flat, eps=1e-12)),
    "zbox": (ZBox(-3.0, 3.0), zbox),
}


def through(function, x, message, rule):
    """The relevance of a batch of inputs by a rule above, of an affine function of arrays."""
    weights, bias = matrix(function, x.shape[1:])
    rows = [rule(one.ravel(), weights, bias, back.ravel()) for one, back in zip(x, message, strict=True)]
    return np.reshape(rows, x.shape)


def through_max_pooling(layer, x, message):
    """The relevance of the input of a max pooling: all to the first winner of each window."""
    (height, width), (down, right) = layer.pool_size, layer.strides
    relevance = np.zeros_like(x)
    top = left = 0
    if layer.padding == "same":
        top = max((message.shape[1] - 1) * down + height - x.shape[1], 0) // 2
        left = max((message.shape[2] - 1) * right + width - x.shape[2], 0) // 2
    for n, i, j, channel in np.ndindex(*message.shape):
        places = [
            (n, a, b, channel)
            for a in range(i * down - top, i * down - top + height)
            for b in range(j * right - left, j * right - left + width)
            if 0 <= a < x.shape[1] and 0 <= b < x.shape[2]
        ]
        relevance[max(places, key=lambda place: x[place])] += message[n, i, j, channel]
    return relevance
