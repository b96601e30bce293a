"""Learning rules of restricted Boltzmann machines as printed in their papers, in NumPy, with slopes by hand."""

import numpy as np

from keras_xai.pretraining import ContrastiveDivergence, PersistentContrastiveDivergence, ReconstructionError

# The mean of a unit as a function of its weighted sum, and the slope of that.
ACTIVATIONS = {
    "sigmoid": (lambda s: 1 / (1 + np.exp(-s)), lambda s: 1 / (2 + np.exp(s) + np.exp(-s))),
    "relu": (lambda s: np.maximum(s, 0), lambda s: (s > 0).astype(float)),
    "tanh": (np.tanh, lambda s: 1 - np.tanh(s) ** 2),
    "linear": (lambda s: s, np.ones_like),
}


def contrastive_divergence(x0, weights, activation, k=1):
    """What one step adds to kernel, bias and visible bias, for a learning rate of 1, as printed in the paper."""
    kernel, bias, visible_bias = weights
    f, _ = ACTIVATIONS[activation]
    y = f(x0 @ kernel + bias)
    for _ in range(k):
        x = f(y @ kernel.T + visible_bias)
        y = f(x @ kernel + bias)
    return toward(x0, x, weights, activation)


def toward(x0, x, weights, activation):
    """What makes data x0 more probable and samples x of the machine less, each set by its mean."""
    kernel, bias, _ = weights
    f, _ = ACTIVATIONS[activation]
    y0, y = f(x0 @ kernel + bias), f(x @ kernel + bias)
    return x0.T @ y0 / len(x0) - x.T @ y / len(x), y0.mean(axis=0) - y.mean(axis=0), x0.mean(axis=0) - x.mean(axis=0)


def reconstruction_error(x0, weights, activation):
    """The same for the paper's own rule."""
    kernel, bias, visible_bias = weights
    f, slope = ACTIVATIONS[activation]
    y0 = f(x0 @ kernel + bias)
    visible_sums = y0 @ kernel.T + visible_bias
    x1 = f(visible_sums)
    hidden_sums = x1 @ kernel + bias
    of_y = (f(hidden_sums) - y0) * slope(hidden_sums)
    of_x = (x1 - x0) * slope(visible_sums)
    return -(x1.T @ of_y + of_x.T @ y0) / len(x0), -of_y.mean(axis=0), -of_x.mean(axis=0)


# For each rule: what it adds, of the data, the weights, the activation and the rule after its step, whose chains have moved on.
REPLICAS = {
    ContrastiveDivergence: lambda x, weights, activation, rule: contrastive_divergence(x, weights, activation, rule.k),
    PersistentContrastiveDivergence: lambda x, weights, activation, rule: toward(
        x, rule.get_weights()[0], weights, activation
    ),
    ReconstructionError: lambda x, weights, activation, rule: reconstruction_error(x, weights, activation),
}
