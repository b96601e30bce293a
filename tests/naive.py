"""Slow, plain replicas, written without the package: what its results are held against."""

import itertools

import keras
import numpy as np
import scipy.special
import tensorflow as tf
from scipy.optimize import linprog

_DUAL = {1: np.inf, 2: 2, np.inf: 1}


def logits_model(model):
    """The model without its final softmax."""
    last = model.layers[-1]
    if isinstance(last, keras.layers.Softmax):
        return keras.Model(model.inputs, last.input)
    assert last.activation is keras.activations.softmax
    head = keras.layers.Dense(last.units, dtype=last.dtype_policy)
    plain = keras.Model(model.inputs, head(last.input))
    head.set_weights(last.get_weights())
    return plain


def evaluate(model, x):
    """The model's outputs in its own precision; `predict` would cast its input to `keras.config.floatx()`."""
    return np.concatenate([model(part, training=False).numpy() for part in np.array_split(x, -(-len(x) // 1000))])


def linear_piece(logits, x, step):
    """`(W, b)` of one sample from differences of the model's own outputs, which are exact where it is linear."""
    flat = x.reshape(-1)
    units = step * np.eye(flat.size)
    ahead = evaluate(logits, (flat + units).reshape(-1, *x.shape))
    behind = evaluate(logits, (flat - units).reshape(-1, *x.shape))
    weights = ((ahead - behind) / (2 * step)).T.reshape(-1, *x.shape)
    value = evaluate(logits, x[np.newaxis])[0]
    return weights, value - np.tensordot(weights.reshape(len(value), -1), flat, 1)


def certified_radius(model, x, norm):
    """`min |z| / ||a||` over the gates, and over the pairs of pooling candidates that involve the winner."""
    q = _DUAL[norm]
    with tf.GradientTape(persistent=True) as tape:
        point = tf.constant(x[np.newaxis])
        tape.watch(point)
        gates, pools = _constraints(model, point)
    least = np.inf
    for z in gates:
        rows = tape.jacobian(z, point).numpy().reshape(len(z), -1)
        least = min(least, _nearest(np.abs(z.numpy()), rows, q))
    for candidates in pools:  # (4, windows)
        rows = tape.jacobian(candidates, point).numpy().reshape(*candidates.shape, -1)
        values = candidates.numpy()
        for window in range(values.shape[1]):
            winner = values[:, window].argmax()
            gaps = values[winner, window] - values[:, window]
            least = min(least, _nearest(gaps, rows[winner, window] - rows[:, window], q))
    return least


def _nearest(values, rows, q):
    norms = np.linalg.norm(rows, ord=q, axis=1)
    moving = norms > 1e-12 * max(norms.max(), 1e-300)
    return (values[moving] / norms[moving]).min() if moving.any() else np.inf


def _constraints(model, x):
    gates, pools = [], []
    for layer in model.layers:
        activation = getattr(layer, "activation", None)
        if isinstance(layer, (keras.layers.ReLU, keras.layers.LeakyReLU)):
            gates.append(tf.reshape(x, [-1]))
            x = layer(x)
        elif activation is keras.activations.relu:
            x = _linear_part(layer, x)
            gates.append(tf.reshape(x, [-1]))
            x = tf.nn.relu(x)
        elif isinstance(layer, keras.layers.MaxPooling2D):
            pools.append(tf.stack([tf.reshape(x[:, i::2, j::2], [-1]) for i in range(2) for j in range(2)]))
            x = layer(x)
        elif activation is keras.activations.softmax or isinstance(layer, keras.layers.Softmax):
            break
        else:
            x = layer(x, training=False) if isinstance(layer, keras.layers.BatchNormalization) else layer(x)
    return gates, pools


def _linear_part(layer, x):
    if isinstance(layer, keras.layers.Dense):
        return x @ layer.kernel + layer.bias
    return tf.nn.conv2d(x, layer.kernel, layer.strides, layer.padding.upper()) + layer.bias


def facets(rows, values):
    """The rows without which `rows y + values >= 0` would hold for more y: one linear program for each."""
    rows = rows.reshape(len(rows), -1)
    scale = np.linalg.norm(rows, axis=1)
    unit = np.column_stack([rows, values]) / scale[:, np.newaxis]
    first = [i for i in range(len(unit)) if not any(np.allclose(unit[i], unit[j], rtol=0, atol=1e-12) for j in range(i))]
    kept = []
    for i in first:
        others = [j for j in first if j != i]
        if not others:
            kept.append(i)
            continue
        for bounds in ((None, None), (-1e6, 1e6)):  # SciPy before 1.15 cannot tell of some programs that they are unbounded
            result = linprog(unit[i, :-1], A_ub=-unit[others, :-1], b_ub=unit[others, -1], bounds=bounds, method="highs")
            if result.status in (0, 3):
                break
        assert result.status in (0, 3), result.message
        if result.status == 3 or result.fun + unit[i, -1] < -1e-7 * abs(unit[i, -1]):
            kept.append(i)
    return np.array(kept, int)


def all_states(count, values=(0, 1)):
    """All states of two-valued units, `(2 ** count, count)`."""
    return np.array(list(itertools.product(values, repeat=count)), "float64")


def log_likelihood(weights, visible, values=(0, 1)):
    """Logarithm of the probability of visible states under a machine, by summing over all states of both sides.

    Args:
        weights: Kernel, bias, visible bias.
        visible: States of the visible units, `(n, features)`.
        values: The two values of each unit.
    """
    kernel, bias, visible_bias = (np.asarray(weight, "float64") for weight in weights)
    hidden = all_states(kernel.shape[1], values)

    def log_sums(states):
        return scipy.special.logsumexp(states @ kernel @ hidden.T + hidden @ bias, axis=1) + states @ visible_bias

    return log_sums(visible) - scipy.special.logsumexp(log_sums(all_states(kernel.shape[0], values)))
