"""What each method is meant to give, worked out naively with TensorFlow alone: the references of `attribution_peers.py`."""

import itertools
import math

import keras
import numpy as np
import tensorflow as tf


@tf.RegisterGradient("NaiveGuided")
def _guided(op, gradient):
    return tf.nn.relu(gradient) * tf.cast(op.outputs[0] > 0, gradient.dtype)


@tf.RegisterGradient("NaiveDeconvnet")
def _deconvnet(op, gradient):
    return tf.nn.relu(gradient)


def score(model, x, index):
    """The explained score of each sample: of the first output, where there are several."""
    outputs = model(x, training=False)
    return tf.cast(tf.nest.flatten(outputs)[0][:, index], "float32")


def linear(model):
    """A copy of a model whose last activations are left out: its scores are logits."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for head in [layer for layer in copy.layers if layer.name.endswith("_head")] or copy.layers[-1:]:
        head.activation = keras.activations.linear
    return copy


def gradient(model, x, index):
    return gradients_of(model, index)(x)


def gradients_of(model, index):
    """A function that gives the gradient at samples."""

    @tf.function
    def compiled(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = score(model, x, index)
        return tape.gradient(total, x)

    def function(x):
        return tf.nest.map_structure(lambda tensor: tensor.numpy(), compiled(tf.nest.map_structure(tf.constant, x)))

    return function


def modified_gradient(model, x, index, rule):
    """The gradient with another rule at each `Relu` of the graph, wherever it is: "NaiveGuided" or "NaiveDeconvnet"."""

    @tf.function
    def inside(x):
        with tf.compat.v1.get_default_graph().gradient_override_map({"Relu": rule}):
            total = score(model, x, index)
        return tf.nest.pack_sequence_as(x, tf.gradients(total, tf.nest.flatten(x)))

    return tf.nest.map_structure(lambda tensor: tensor.numpy(), inside(tf.nest.map_structure(tf.constant, x)))


def guided_where_fused(model, x, index):
    """Guided backpropagation that leaves out `ReLU` layers, and layers of nested models."""

    @tf.custom_gradient
    def relu(values):
        return tf.nn.relu(values), lambda gradient: tf.nn.relu(gradient) * tf.cast(values > 0, gradient.dtype)

    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for layer in copy.layers:
        if getattr(layer, "activation", None) is keras.activations.relu:
            layer.activation = relu
        if layer.name.endswith("_head") or layer is copy.layers[-1]:
            layer.activation = keras.activations.linear
    return gradient(copy, x, index)


def smooth_gradient(model, x, index, noise, absolute, samples=400):
    """The mean gradient under noise, a standard deviation for each sample and input."""
    random, gradients = np.random.default_rng(5), gradients_of(model, index)
    total = tf.nest.map_structure(np.zeros_like, x)
    for _ in range(samples):
        noisy = tf.nest.map_structure(lambda a, s: (a + s * random.normal(size=a.shape)).astype("float32"), x, noise)
        found = gradients(noisy)
        total = tf.nest.map_structure(lambda a, g: a + (np.abs(g) if absolute else g) / samples, total, found)
    return total


def integrated_gradients(model, x, index, baseline, steps):
    """By the trapezoidal rule."""
    gradients, total = gradients_of(model, index), tf.nest.map_structure(np.zeros_like, x)
    for step, fraction in enumerate(np.linspace(0, 1, steps, dtype="float32")):
        weight = (0.5 if step in (0, steps - 1) else 1) / (steps - 1)
        found = gradients(tf.nest.map_structure(lambda a, b, part=fraction: b + part * (a - b), x, baseline))
        total = tf.nest.map_structure(lambda a, g, part=weight: a + part * g, total, found)
    return tf.nest.map_structure(lambda a, b, g: (a - b) * g, x, baseline, total)


def find(model, path):
    for name in path.split("/"):
        model = model.get_layer(name)
    return model


def activations_and_gradients(model, path, x, index):
    """Of a layer anywhere in a model, by watching what its `call()` returns."""
    layer, kept = find(model, path), []
    original = layer.call
    with tf.GradientTape() as tape:

        def watched(*args, **kwargs):
            kept.append(original(*args, **kwargs))
            tape.watch(kept[-1])
            return kept[-1]

        layer.call = watched
        try:
            total = score(model, tf.nest.map_structure(tf.constant, x), index)
        finally:
            layer.call = original
    (activations,) = kept
    return activations.numpy().astype("float32"), tape.gradient(total, activations).numpy().astype("float32"), total.numpy()


def _space(values):
    return tuple(range(1, values.ndim - 1))


def grad_cam(activations, gradients, scores):
    weights = gradients.mean(_space(gradients), keepdims=True)
    return np.maximum((weights * activations).sum(-1), 0)


def grad_cam_plus_plus(activations, gradients, scores, normalized=False):
    """As in the paper; or, as in its authors' program, each channel's coefficients divided by their sum."""
    space = _space(gradients)
    below = 2 * gradients**2 + activations.sum(space, keepdims=True) * gradients**3
    alphas = np.divide(gradients**2, below, out=np.zeros_like(below), where=below != 0)
    if normalized:
        total = alphas.sum(space, keepdims=True)
        alphas = np.divide(alphas, total, out=np.zeros_like(alphas), where=total != 0)
    first = np.exp(scores).reshape(-1, *[1] * (gradients.ndim - 1)) * gradients
    weights = (alphas * np.maximum(first, 0)).sum(space, keepdims=True)
    return np.maximum((weights * activations).sum(-1), 0)


def scaled(maps):
    """Each sample's map divided by its largest value."""
    return maps / maps.max(tuple(range(1, maps.ndim)), keepdims=True)


def grad_cam_plus_plus_by_means(activations, gradients, scores):
    """With the mean of a channel's activations where the paper has their sum."""
    return grad_cam_plus_plus(activations / np.prod(activations.shape[1:-1]), gradients, scores)


def score_cam(model, activations, x, probability):
    """A pass for each channel. `probability` gives the scores of a batch; several inputs are masked as the library masks them."""
    from scipy.ndimage import zoom

    total = 0
    for channel in range(activations.shape[-1]):
        maps = activations[..., channel]
        image = x["image"] if isinstance(x, dict) else x
        factors = [1, *(b / a for a, b in zip(maps.shape[1:], image.shape[1:-1], strict=True))]
        mask = zoom(maps, factors, order=1, mode="nearest")
        low, high = mask.min(_space(image), keepdims=True), mask.max(_space(image), keepdims=True)
        masked = image * ((mask - low) / (high - low + 1e-7))[..., None]
        weight = probability(model, {**x, "image": masked} if isinstance(x, dict) else masked)
        total = total + weight.reshape(-1, *[1] * (maps.ndim - 1)) * maps
    return np.maximum(total, 0)


def occlusion(model, x, index, size):
    """Patches side by side set to zero, one at a time; the score's fall is written to each of the patch's places."""
    start, result = score(model, x, index).numpy(), np.zeros(x.shape[: 1 + len(size)], "float32")
    anchors = [range(0, length - patch + 1, patch) for length, patch in zip(x.shape[1:], size, strict=False)]
    for corner in itertools.product(*anchors):
        place = (slice(None), *(slice(a, a + patch) for a, patch in zip(corner, size, strict=True)))
        hidden = x.copy()
        hidden[place] = 0
        result[place] += (start - score(model, hidden, index).numpy()).reshape(-1, *[1] * len(size))
    return result


def players(x):
    """Of one sample, for each feature that may be absent, where it is: quadrants, four stretches of time, table cells."""
    if isinstance(x, dict):
        table = [{"table": np.arange(3) == cell} for cell in range(3)]
        return [{"image": where["image"]} for where in players_of_image(x["image"], "image")] + table
    return players_of_image(x, None)


def players_of_image(x, name):
    corners = np.indices(x.shape[:-1]) * 2 // np.array(x.shape[:-1]).reshape(-1, *[1] * (x.ndim - 1))
    if x.ndim == 2:
        corners = np.indices(x.shape[:-1]) * 4 // x.shape[0]
    segment = corners[0] * 2 + corners[1] if x.ndim == 3 else corners[0]
    return [{name: segment == number} for number in range(4)]


def masked(x, masks):
    """One sample in each of several states: where a mask is 0, its feature is set to zero."""
    everyone = players(x)
    rows = []
    for mask in masks:
        row = {key: value.copy() for key, value in x.items()} if isinstance(x, dict) else {None: x.copy()}
        for present, where in zip(mask, everyone, strict=True):
            for key, place in where.items():
                if not present:
                    row[key][place] = 0
        rows.append(row)
    stacked = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    return stacked if isinstance(x, dict) else stacked[None]


def coalitions(count):
    return np.array(list(itertools.product([0, 1], repeat=count)))


def values_of(model, x, index):
    """The score of each coalition of one sample's features."""
    masks = coalitions(len(players(x)))
    return dict(zip(map(tuple, masks), score(model, masked(x, masks), index).numpy(), strict=True))


def shapley(model, x, index):
    """Exactly, of one sample."""
    values, count = values_of(model, x, index), len(players(x))
    result = np.zeros(count)
    for mask, value in values.items():
        for player in np.flatnonzero(np.array(mask) == 0):
            joined = tuple(1 if place == player else bit for place, bit in enumerate(mask))
            weight = math.factorial(sum(mask)) * math.factorial(count - sum(mask) - 1) / math.factorial(count)
            result[player] += weight * (values[joined] - value)
    return result


def kernel_shap_without_ends(model, x, index):
    """A least-squares fit under the Shapley kernel that leaves out the full and the empty coalition, with a free intercept."""
    values, count = values_of(model, x, index), len(players(x))
    rows = np.array([mask for mask in values if 0 < sum(mask) < count])
    weights = [(count - 1) / (math.comb(count, sum(row)) * sum(row) * (count - sum(row))) for row in rows]
    return ridge(rows, np.array([values[tuple(row)] for row in rows]), np.array(weights), 0)


def lime(model, x, index, weight, alpha, samples):
    """A ridge regression on all states of one sample's features, as `samples` draws of them give on average."""
    values = values_of(model, x, index)
    rows = np.array(list(values))
    weights = np.array([weight(row, masked(x, [row])) for row in rows]) * samples / len(rows)
    return ridge(rows, np.array(list(values.values())), weights, alpha)


def ridge(rows, targets, weights, alpha):
    """The coefficients of a weighted ridge regression whose intercept is not penalized."""
    weights = np.asarray(weights, "float64")
    rows = rows - np.average(rows, axis=0, weights=weights)
    targets = targets - np.average(targets, weights=weights)
    left = (rows * weights[:, None]).T @ rows + alpha * np.eye(rows.shape[1])
    return np.linalg.solve(left, (rows * weights[:, None]).T @ targets)


def resized(maps, size):
    """Bicubic, as xplique documents it for its maps."""
    return tf.image.resize(maps[..., None], size, method="bicubic").numpy()
