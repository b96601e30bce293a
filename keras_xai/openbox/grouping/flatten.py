"""`flatten_regions`: a network with one hidden layer, built from the groups of a deeper one."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_xai.backend import scopes_kept
from keras_xai.data.checks import Verbose, check_count, check_instance
from keras_xai.data.reader import count_of
from keras_xai.openbox.grouping.arguments import check_labels, check_settings
from keras_xai.openbox.grouping.fidelity import compare
from keras_xai.openbox.grouping.groups import RegionGroups
from keras_xai.openbox.grouping.logistic import fit_hidden, fit_linear, softmax
from keras_xai.openbox.grouping.merging import NUM_NEIGHBORS, Points, nearest
from keras_xai.results.fidelity import Fidelity

_STEPS_WHILE_CHOOSING = 20  # enough to select the next unit; the final fit is longer
_LEAST_NORM = 1e-9


def flatten_regions(
    groups: RegionGroups,
    x: Any,
    y: Any = None,
    *,
    num_units: int | None = None,
    max_steps: int = 200,
    ridge: float = 1.0,
    verbose: Verbose = "auto",
) -> "Flattened":
    """Builds a network with one hidden ReLU layer that approximates the groups.

    A sum of ReLUs has one kink plane per unit. The groups suggest two kinds of planes:

    - Walls: the boundary between two neighboring groups is where their classifiers agree best, so that their difference vanishes. This
      gives one plane per class; the first right singular vector of the difference is used, which is the only one if the groups are regions
      on both sides of one unit's wall.
    - Decision planes of each group: one per class, or a single one for two classes.

    `num_units` planes are chosen by forward selection from the walls, from the decision planes and from both together; each step adds the
    unit that explains most of the residual. The output layer is a logistic regression on the network's probabilities (or on `y`). Finally
    all weights are optimized, and the best of the three results is kept. The procedure is deterministic.

    The result approximates the network as measured by `fidelity`: in general, no network with one hidden layer is equivalent to a deeper
    one.

    Args:
        groups: The result of `merge_regions` or `prune_regions`, for a model, or a layer, with one input.
        x: Samples to fit to, as in `OpenBox`.
        y: Class indices `(n,)` to fit to instead of the network's probabilities.
        num_units: Maximum number of hidden units; by default the number of groups.
        max_steps: Maximum number of L-BFGS steps that optimize the planes; 0 keeps the planes of the groups.
        ridge: Penalty `ridge / 2` on the squared weights of the output layer, added to the sum of the samples' cross-entropies.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Returns:
        `Flattened`.

    Raises:
        ValueError: If an argument is invalid, the model has several inputs, or no plane is found because all groups are constant.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.openbox import OpenBox, flatten_regions, merge_regions
    >>> keras.utils.set_random_seed(0)
    >>> model = keras.Sequential([
    ...     keras.Input((2,)),
    ...     keras.layers.Dense(8, activation="relu"),
    ...     keras.layers.Dense(8, activation="relu"),
    ...     keras.layers.Dense(3, activation="softmax"),
    ... ])
    >>> x = np.random.default_rng(0).normal(size=(300, 2))
    >>> flat = flatten_regions(merge_regions(OpenBox(model, dtype="float64"), x, 6, verbose=0), x, verbose=0)
    >>> flat.model.count_params() <= 6 * (2 + 1) + 3 * (6 + 1)
    True
    >>> flat.fidelity(x).agreement > 0.9
    True

    Reference:

    - [Sudjianto et al., 2020](https://arxiv.org/abs/2011.04041) flatten a network to one hidden layer with as many units as merged groups.
      Walls between groups, forward selection and any number of classes are added here.
    """
    from keras_xai.openbox.grouping.groups import RegionGroups

    check_instance("groups", groups, RegionGroups, "what `merge_regions` or `prune_regions` returns")
    if isinstance(groups.regions.example, (list, tuple, dict)):
        raise ValueError("Expected groups of a model with one input. Received: groups of a model with several.")
    num_units = len(groups) if num_units is None else num_units
    check_count("num_units", num_units)
    check_settings(ridge, max_steps, "max_steps")
    labels = check_labels(y, groups.box.num_outputs, count_of(x))
    points = groups.points(x, verbose)
    labels = check_labels(labels, groups.box.num_outputs, len(points.scores))
    return flattened(groups, points, labels, num_units=num_units, max_steps=max_steps, ridge=ridge)


def flattened(groups, points, labels=None, *, num_units, max_steps=200, ridge=1.0) -> "Flattened":
    """The same for samples whose regions are already known."""
    z = groups.regions.standardize(points.features)
    num_classes = groups.weights.shape[1]
    targets = points.probabilities if labels is None else np.eye(num_classes)[labels]
    walls, decisions = _walls(groups, points), _decision_planes(groups)
    results = []
    for planes in (walls, decisions, walls + decisions):
        if planes:
            directions, origins = _both_sides(planes)
            chosen, outputs = _select(z, targets, directions, num_units, ridge)
            fitted = fit_hidden(z, targets, planes=directions[chosen], weights=outputs, ridge=ridge, max_iterations=max_steps)
            results.append((*fitted, tuple(origins[i] for i in chosen)))
    if not results:
        raise ValueError(
            "Expected groups whose classifiers are not all constant. Received: groups without any decision plane."
        )
    hidden, outputs, _, origins = min(results, key=lambda result: result[2])
    return Flattened(_build(groups, hidden, outputs), origins, groups)


@dataclasses.dataclass(frozen=True, eq=False)
class Flattened:
    """A surrogate network with one hidden layer.

    Attributes:
        model: `keras.Model`, uncompiled, with a final softmax or sigmoid. It takes `box(x).x`: the samples, or the features of the layer
            that the box starts from. It can be trained further and saved.
        origins: For each hidden unit, the plane that initialized it: `("wall", group, group)` or `("decision", group, class)`.
        groups: The groups that it was built from.
    """

    model: keras.Model
    origins: tuple[tuple[str, int, int], ...]
    groups: RegionGroups

    def fidelity(self, x: Any, y: Any = None, *, verbose: Verbose = "auto") -> Fidelity:
        """Returns the fidelity to the network on some samples, and the accuracy on labels `y`, class indices."""
        num_outputs = self.groups.box.num_outputs
        labels = check_labels(y, num_outputs, count_of(x))
        points = self.groups.points(x, verbose)
        return self.measure(points, check_labels(labels, num_outputs, len(points.scores)))

    def measure(self, points: Points, y: np.ndarray | None) -> Fidelity:
        """The same for samples whose regions are already known."""
        features = points.features.reshape(-1, *self.model.input_shape[1:])
        probabilities = np.asarray(self.model.predict(features, verbose=0), "float64")
        if probabilities.shape[1] == 1:
            probabilities = np.concatenate([1 - probabilities, probabilities], axis=1)
        return compare(probabilities, points.probabilities, y)


def _walls(groups, points):
    """Planes between groups with nearby samples, with their origins."""
    z = groups.regions.standardize(points.features)
    labels = groups.assign(points)[0]
    near = labels[nearest(z, z, NUM_NEIGHBORS + 1)]
    pairs = {(min(a, b), max(a, b)) for a, row in zip(labels.tolist(), near.tolist(), strict=True) for b in row if a != b}
    planes = []
    for a, b in sorted(pairs):
        difference = groups.weights[a] - groups.weights[b]
        if np.any(difference):
            planes.append((np.linalg.svd(difference, full_matrices=False)[2][0], ("wall", a, b)))
    return _proper(planes)


def _decision_planes(groups):
    classes = range(groups.weights.shape[1])
    return _proper(
        [
            (weights[c], ("decision", group, c))
            for group, weights in enumerate(groups.weights)
            for c in (classes if len(classes) > 2 else [1])
        ]
    )


def _proper(planes):
    """Planes scaled to unit normals; planes with zero normals are dropped."""
    norms = [np.linalg.norm(plane[:-1]) for plane, _ in planes]
    least = _LEAST_NORM * max(norms, default=0)
    return [(plane / norm, origin) for (plane, origin), norm in zip(planes, norms, strict=True) if norm > least]


def _both_sides(planes):
    directions = np.stack([plane for plane, _ in planes])
    return np.concatenate([directions, -directions]), [origin for _, origin in planes] * 2


def _select(z, targets, directions, num_units, ridge):
    """Forward selection of hidden units: indices of their planes, and the output weights `(C, m + 1)`."""
    hidden = np.maximum(z @ directions.T, 0)
    rest = hidden - hidden.mean(axis=0)  # the part not spanned by the intercept and the units chosen so far
    norms = np.linalg.norm(hidden, axis=0)
    scale = max(norms.max(), 1e-300)
    outputs = np.zeros((targets.shape[1], 1))
    chosen: list[int] = []
    inputs = np.ones((len(z), 1))
    outputs = fit_linear(inputs, targets, around=outputs, ridge=0.0)
    while len(chosen) < num_units:
        lacking = targets - softmax(inputs @ outputs.T)
        lengths = np.linalg.norm(rest, axis=0)
        useful = lengths > 1e-6 * scale
        gains = np.where(useful, np.sum((rest.T @ lacking) ** 2, axis=1) / np.where(useful, lengths, 1) ** 2, -1)
        best = int(gains.argmax())
        if not useful[best]:
            break
        chosen.append(best)
        direction = rest[:, best] / lengths[best]
        rest = rest - np.outer(direction, direction @ rest)
        inputs = np.concatenate([hidden[:, chosen], np.ones((len(z), 1))], axis=1)
        start = np.insert(outputs, -1, 0, axis=1)
        outputs = _fit_outputs(inputs, targets, start, ridge, _STEPS_WHILE_CHOOSING)
    return chosen, _fit_outputs(inputs, targets, outputs, ridge, 200)


def _fit_outputs(inputs, targets, start, ridge, max_iterations):
    around = np.zeros_like(start)
    return fit_linear(inputs, targets, around=around, ridge=ridge, start=start, max_iterations=max_iterations)


@scopes_kept()
def _build(groups, hidden, outputs):
    """The network as a Keras model in terms of the features."""
    kernel, bias = groups.regions.original(hidden)
    single = groups.regions.single
    last = outputs[1:] - outputs[:1] if single else outputs
    shape = groups.regions.example.shape[1:]
    x = inputs = keras.Input(shape)
    if len(shape) != 1:
        x = keras.layers.Flatten()(x)
    # Random initial weights would use up global random numbers.
    x = keras.layers.Dense(len(kernel), activation="relu", kernel_initializer="zeros", name="hidden")(x)
    end = "sigmoid" if single else "softmax"
    x = keras.layers.Dense(len(last), activation=end, kernel_initializer="zeros", name="classes")(x)
    model = keras.Model(inputs, x)
    model.set_weights([kernel.T, bias, last[:, :-1].T, last[:, -1]])
    return model
