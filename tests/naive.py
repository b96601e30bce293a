"""Slow, plain replicas, written without the package: what its results are held against."""

import dataclasses
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


def certified_radii(model, x, norms):
    """For each norm `min |z| / ||a||` over the gates, and over the pairs of pooling candidates that involve the winner."""
    with tf.GradientTape(persistent=True) as tape:
        point = tf.constant(x[np.newaxis])
        tape.watch(point)
        gates, pools = _constraints(model, point)
    values, normals = [], []
    for z in gates:
        values.append(np.abs(z.numpy()))
        normals.append(tape.jacobian(z, point).numpy().reshape(len(z), -1))
    for candidates in pools:  # (4, windows)
        rows = tape.jacobian(candidates, point).numpy().reshape(*candidates.shape, -1)
        for window, entries in enumerate(candidates.numpy().T):
            winner = entries.argmax()
            values.append(entries[winner] - entries)
            normals.append(rows[winner, window] - rows[:, window])
    return [min(_nearest(*pair, _DUAL[norm]) for pair in zip(values, normals, strict=True)) for norm in norms]


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
    first = [i for i in range(len(unit)) if (np.abs(unit[:i] - unit[i]).max(axis=1) > 1e-12).all()]
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


_CURVED = {
    "tanh": np.tanh,
    "sigmoid": scipy.special.expit,
    "silu": lambda z: z * scipy.special.expit(z),
    "gelu": lambda z: z * scipy.special.ndtr(z),
}
_NUDGE = {"z": 1e-3, "zplus": 1e-7}  # what keeps the quotients finite that each rule needs


def fbi_penalty(model, x, y=None, *, rule="z", target="label", reduction="sum", training=False):
    """Equations 1 to 3 layer by layer, with the ratios as they are printed: arrays `(n,)` by the path of the layer."""
    network = LayerByLayer(model, x, rule, training)
    relevance = network.back(network.starts(target, y) * network.scores.value)
    differences = {path: np.abs(tensor.value - relevance[tensor]) for path, tensor in network.terms.items()}
    return {path: getattr(each.reshape(len(each), -1), reduction)(axis=1) for path, each in differences.items()}


class _Tensor:
    def __init__(self, value):
        self.value = value


@dataclasses.dataclass(eq=False)
class _Call:
    path: str
    layer: object
    role: str  # "weights", "norm", "activation", ...
    sources: list
    output: _Tensor
    back: object  # from the relevance of the output to that of each source


class LayerByLayer:
    """A network called layer by layer in NumPy, a fused activation as a layer of its own."""

    def __init__(self, model, x, rule, training):
        self.calls, self._rule, self._training = [], rule, training
        xs = [np.asarray(part) for part in (x if isinstance(x, (list, tuple)) else [x])]
        self.inputs = [_Tensor(part) for part in xs]
        self.scores = self._run(model, self.inputs, "")
        last = self.calls[-1]
        self.head = last.layer if last.layer in ("softmax", "sigmoid") else "linear"
        if self.head != "linear":
            self.calls.pop()
            (self.scores,) = last.sources
        names = [tensor.name for tensor in _function(model).inputs]
        self.terms = {name: part for name, part in zip(names, self.inputs, strict=True) if part.value.dtype.kind == "f"}
        weighted = [call for call in self.calls if call.role == "weights"]
        self.terms |= {call.path: self._activation_of(call) for call in weighted[:-1]}

    def starts(self, target, y):
        scores = self.scores.value
        if target == "all":
            return np.ones_like(scores)
        if scores.shape[1] == 1:
            return np.where((scores > 0) if target == "predicted" else np.reshape(y, (-1, 1)) == 1, 1.0, -1.0)
        if target == "predicted":
            return (scores > 0) * 1.0 if self.head == "sigmoid" else np.eye(scores.shape[1])[scores.argmax(axis=1)]
        return np.asarray(y, float) if np.shape(y) == scores.shape else np.eye(scores.shape[1])[np.ravel(y)]

    def back(self, relevance):
        """The relevance of each tensor."""
        found = {tensor: np.zeros(tensor.value.shape) for tensor in self.inputs}
        found |= {call.output: np.zeros(call.output.value.shape) for call in self.calls}
        found[self.scores] = relevance
        for call in reversed(self.calls):
            if call.back is not None:
                for source, share in zip(call.sources, call.back(found[call.output]), strict=True):
                    found[source] = found[source] + share
        return found

    def _activation_of(self, call):
        while call.role != "activation":
            users = [user for user in self.calls if call.output in user.sources]
            if len(users) != 1 or users[0].role not in ("norm", "activation"):
                break
            (call,) = users
        return call.output

    def _run(self, model, tensors, prefix):
        function = _function(model)
        known = dict(zip(map(id, function.inputs), tensors, strict=True))
        for depth in sorted(function._nodes_by_depth, reverse=True):
            for node in function._nodes_by_depth[depth]:
                if node.is_input:
                    continue
                sources, layer = [known[id(tensor)] for tensor in node.input_tensors], node.operation
                nested = isinstance(layer, keras.Model)
                run = self._run(layer, sources, f"{prefix}{layer.name}/") if nested else self._call(layer, sources, prefix)
                known[id(node.output_tensors[0])] = run
        return known[id(function.outputs[0])]

    def _call(self, layer, sources, prefix):
        earlier = sum(call.layer is layer and call.role != "activation" for call in self.calls)
        path = f"{prefix}{layer.name}" + (f":{earlier}" if earlier else "")
        xs = [source.value for source in sources]
        if isinstance(layer, (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.Softmax, keras.layers.Activation)):
            return self._activate(path, layer, sources)
        role, value, back = self._of_layer(layer, *xs)
        self.calls.append(_Call(path, layer, role, sources, _Tensor(value), back))
        fused = getattr(layer, "activation", keras.activations.linear) is not keras.activations.linear
        return self._activate(path, layer, [self.calls[-1].output]) if fused else self.calls[-1].output

    def _of_layer(self, layer, x, *others):
        layers = keras.layers
        if isinstance(layer, layers.Embedding):
            return "weights", np.asarray(layer.embeddings)[x], None
        if isinstance(layer, (layers.Flatten, layers.Reshape, layers.Dropout)):
            return "shape", x.reshape(len(x), *layer.compute_output_shape(x.shape)[1:]), lambda r: [r.reshape(x.shape)]
        if isinstance(layer, layers.Concatenate):
            ends = np.cumsum([each.shape[-1] for each in (x, *others)])[:-1]
            return "shape", np.concatenate((x, *others), axis=-1), lambda r: np.split(r, ends, axis=-1)
        if isinstance(layer, layers.Add):
            return "sum", x + sum(others), lambda r: self._share([x, *others], r)
        if isinstance(layer, layers.MaxPooling2D):
            return "pool", *self._max_pool(layer, x)
        if isinstance(layer, layers.BatchNormalization):
            return "norm", *self._normalize(layer, x)
        if isinstance(layer, layers.Rescaling):
            y = x * layer.scale + layer.offset
            return "shape", y, lambda r: [x * layer.scale * _ratio(r, y) if self._rule == "z" else r]
        matrix, bias = _matrix(layer, x.shape[1:])
        flat = x.reshape(len(x), -1)
        y = flat @ matrix + bias
        shape = (len(x), *layer.compute_output_shape(x.shape)[1:])
        role = "weights" if layer.weights else "pool"
        return role, y.reshape(shape), lambda r: [self._affine(flat, matrix, y, r.reshape(y.shape)).reshape(x.shape)]

    def _affine(self, x, matrix, y, relevance):
        if self._rule == "z":
            return x * (_ratio(relevance, y) @ matrix.T)
        parts = [(np.maximum(x, 0), np.maximum(matrix, 0)), (np.minimum(x, 0), np.minimum(matrix, 0))]
        share = relevance / (sum(a @ w for a, w in parts) + _NUDGE["zplus"])
        return sum(a * (share @ w.T) for a, w in parts)

    def _share(self, xs, relevance):
        if self._rule == "z":
            return [x * _ratio(relevance, sum(xs)) for x in xs]
        positive = [np.maximum(x, 0) for x in xs]
        return [part * (relevance / (sum(positive) + _NUDGE["zplus"])) for part in positive]

    def _normalize(self, layer, x):
        if self._training:
            mean, variance = x.mean(axis=tuple(range(x.ndim - 1))), x.var(axis=tuple(range(x.ndim - 1)))
        else:
            mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
        slope = np.asarray(layer.gamma) / np.sqrt(variance + layer.epsilon)
        y = (x - mean) * slope + np.asarray(layer.beta)
        return y, lambda r: [x * slope * _ratio(r, y) if self._rule == "z" else r]

    def _activate(self, path, layer, sources):
        z = sources[0].value
        name, a, slope = _activation(layer, z)

        def back(relevance):
            if self._rule == "zplus":
                return [relevance]
            if slope is None:
                return [z * relevance / (z + np.where(z < 0, -1, 1) * _NUDGE["z"])]
            return [z * slope * _ratio(relevance, a)]

        label = name if name in ("softmax", "sigmoid") else layer
        self.calls.append(_Call(path, label, "activation", sources, _Tensor(a), back))
        return self.calls[-1].output

    def _max_pool(self, layer, x):
        winners = {}
        y = np.empty((len(x), *layer.compute_output_shape(x.shape)[1:]))
        for p, q, rows, columns in _windows(layer.pool_size, layer.strides, layer.padding, x.shape[1:3], y.shape[1:3]):
            places = [(r, s) for _, r in rows for _, s in columns]
            for n, c in itertools.product(range(len(x)), range(x.shape[-1])):
                winner = _winner([x[n, r, s, c] for r, s in places])
                winners[n, p, q, c] = (n, *places[winner], c)
                y[n, p, q, c] = x[winners[n, p, q, c]]

        def back(relevance):
            share = np.zeros(x.shape)
            for place, winner in winners.items():
                share[winner] += relevance[place]
            return [share]

        return y, back


def _function(model):
    return getattr(model, "_functional", model)


def _ratio(relevance, activation):
    return np.divide(relevance, activation, out=np.zeros(activation.shape), where=activation != 0)


def _winner(candidates):
    return int(np.argmax(candidates))  # the first of equal ones


def _activation(layer, z):
    """Name, value and slope, which curved activations have not."""
    if isinstance(layer, (keras.layers.ReLU, keras.layers.LeakyReLU)):
        slope = np.where(z > 0, 1.0, float(np.float32(layer.negative_slope)))
        return "relu", z * slope, slope
    name = "softmax" if isinstance(layer, keras.layers.Softmax) else layer.activation.__name__
    if name in ("relu", "leaky_relu"):
        slope = np.where(z > 0, 1.0, 0.0 if name == "relu" else float(np.float32(0.2)))
        return name, z * slope, slope
    if name == "softmax":
        return name, scipy.special.softmax(z, axis=-1), None
    return name, _CURVED[name](z), None


def _windows(size, strides, padding, lengths, counts):
    """`(row, column, rows, columns)` of each window: its place, and pairs of place within and place in the image."""
    axes = []
    for window, stride, length, count in zip(size, strides, lengths, counts, strict=True):
        before = max((count - 1) * stride + window - length, 0) // 2 if padding == "same" else 0
        starts = [i * stride - before for i in range(count)]
        axes.append([[(k, start + k) for k in range(window) if 0 <= start + k < length] for start in starts])
    for p, q in itertools.product(range(counts[0]), range(counts[1])):
        yield p, q, axes[0][p], axes[1][q]


def _matrix(layer, shape):
    """The dense matrix and the bias of a layer that is affine, on images or vectors of `shape`."""
    layers = keras.layers
    out = layer.compute_output_shape((1, *shape))[1:]
    matrix, bias = np.zeros((*shape, *out)), 0.0
    if isinstance(layer, layers.Dense):
        matrix[...] = np.asarray(layer.kernel)
    elif isinstance(layer, (layers.GlobalAveragePooling2D, layers.GlobalAveragePooling1D)):
        matrix[...] = np.eye(shape[-1]) / np.prod(shape[:-1])
    elif isinstance(layer, layers.Conv2D):
        kernel = np.asarray(layer.kernel)
        for p, q, rows, columns in _windows(layer.kernel_size, layer.strides, layer.padding, shape[:2], out[:2]):
            for (i, r), (j, s) in itertools.product(rows, columns):
                matrix[r, s, :, p, q, :] = kernel[i, j]
    else:
        assert isinstance(layer, layers.AveragePooling2D)
        for p, q, rows, columns in _windows(layer.pool_size, layer.strides, layer.padding, shape[:2], out[:2]):
            for (_, r), (_, s) in itertools.product(rows, columns):
                matrix[r, s, :, p, q, :] = np.eye(shape[-1]) / (len(rows) * len(columns))
    if getattr(layer, "use_bias", False):
        bias = np.broadcast_to(np.asarray(layer.bias), out).ravel()
    return matrix.reshape(int(np.prod(shape)), -1), bias
