"""Every metric again, as slowly and plainly as it can be written: one sample, one step and one place at a time.

Each takes the model, the method that made the explanation, the explanation, the masks of objects, and the options that the metric was made
with. Explanations are of images without equal values, so that the order of places is the only one.
"""

import keras
import numpy as np
from scipy.stats import spearmanr

from keras_xai import metrics


def probabilities(model, x, classes):
    """What the model says of classes, one for each sample."""
    return np.asarray(model(np.asarray(x)))[np.arange(len(x)), classes]


def curve(model, explanation, steps, baseline, *, insert=False):
    """The probability after each step of taking away, or putting in, the most relevant places first: `(n, steps + 1)`."""
    curves = []
    for x, values, target in zip(explanation.inputs, explanation.values, explanation.target, strict=True):
        order = np.argsort(-values.sum(axis=-1).ravel())
        images = []
        for count in np.linspace(0, len(order), steps + 1).round().astype(int):
            changed = np.full_like(x, baseline) if insert else x.copy()
            for place in order[:count]:
                row, column = divmod(place, x.shape[1])
                changed[row, column] = x[row, column] if insert else baseline
            images.append(changed)
        curves.append(probabilities(model, images, target))
    return np.array(curves)


def _area(curves, places):
    """By the trapezoidal rule."""
    shares = np.linspace(0, places, curves.shape[1]).round() / places
    return [sum((b + a) / 2 * w for a, b, w in zip(row, row[1:], np.diff(shares), strict=False)) for row in curves]


def deletion(model, method, explanation, masks, *, steps, baseline=0.0):
    return _area(curve(model, explanation, steps, baseline), masks[0].size)


def insertion(model, method, explanation, masks, *, steps, baseline=0.0):
    return _area(curve(model, explanation, steps, baseline, insert=True), masks[0].size)


def pixel_flipping(model, method, explanation, masks, *, steps, seed, region=1):
    found = []
    for i, (x, values, target) in enumerate(zip(explanation.inputs, explanation.values, explanation.target, strict=True)):
        draw = np.random.default_rng((seed, 0, i))
        noise = draw.uniform(x.min(axis=(0, 1), keepdims=True), x.max(axis=(0, 1), keepdims=True), size=x.shape).astype(
            x.dtype
        )
        corners = [(r, c) for r in range(0, x.shape[0], region) for c in range(0, x.shape[1], region)]
        total = {(r, c): values[r : r + region, c : c + region].sum() for r, c in corners}
        images = [x.copy()]
        for r, c in sorted(corners, key=lambda corner: -total[corner])[:steps]:
            changed = images[-1].copy()
            changed[r : r + region, c : c + region] = noise[r : r + region, c : c + region]
            images.append(changed)
        scores = probabilities(model, images, target)
        found.append(np.mean([scores[0] - score for score in scores]))
    return np.array(found)


def infidelity(model, method, explanation, masks, *, num_perturbations, seed, baseline=0.0, normalize=True):
    """For values that share out the score, of a model that ends in its scores."""
    found = []
    for i, (x, values, target) in enumerate(zip(explanation.inputs, explanation.values, explanation.target, strict=True)):
        images, said = [x], []
        for k in range(num_perturbations):
            draw = np.random.default_rng((seed, i, k))
            height, width = (draw.integers(1, side, endpoint=True) for side in x.shape[:2])
            top = draw.integers(0, x.shape[0] - height, endpoint=True)
            left = draw.integers(0, x.shape[1] - width, endpoint=True)
            changed, mask = x.copy(), np.zeros(x.shape[:2], bool)
            mask[top : top + height, left : left + width] = True
            changed[mask] = baseline
            images.append(changed)
            said.append(values[mask].sum())
        scores = np.asarray(model(np.stack(images)))[:, target]
        said, change = np.array(said), scores[0] - scores[1:]
        scale = max(0, said @ change / (said @ said)) if normalize else 1
        found.append(np.mean((scale * said - change) ** 2))
    return np.array(found)


def max_sensitivity(model, method, explanation, masks, *, num_samples, seed, radius=0.02):
    found = []
    for i, (x, values, target) in enumerate(zip(explanation.inputs, explanation.values, explanation.target, strict=True)):
        reach = radius * (x.max() - x.min())
        moved = [
            x + reach * np.random.default_rng((seed, 0, number, i)).uniform(-1, 1, x.shape) for number in range(num_samples)
        ]
        again = [method(each[None].astype(x.dtype), [target]).values[0] for each in moved]
        found.append(max(np.linalg.norm(each - values) for each in again) / np.linalg.norm(values))
    return np.array(found)


def _rank_correlations(first, second):
    return [spearmanr(a.ravel(), b.ravel())[0] for a, b in zip(first, second, strict=True)]


def model_parameter_randomization(model, method, explanation, masks, *, seed):
    """Layer by layer from the output down, in a copy of the model that nothing else knows."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    found = []
    for layer in reversed([layer for layer in copy.layers if layer.weights]):
        draw, weights = np.random.default_rng((seed, len(found))), []
        # Keras lists the weights of a batch normalization, say, in the order in which the metric draws for them.
        for array in (variable.numpy() for variable in layer.weights):
            varies = len(np.unique(array)) > 1
            weights.append(draw.permutation(array.ravel()).reshape(array.shape) if varies else array)
        for variable, array in zip(layer.weights, weights, strict=True):
            variable.assign(array)
        again = type(method)(copy)(explanation.inputs, explanation.target)
        found.append(_rank_correlations(explanation.values, again.values))
    return np.mean(found, axis=0)


def random_logit(model, method, explanation, masks, *, seed):
    classes = model.output_shape[-1]
    others = [
        (target + np.random.default_rng((seed, i)).integers(1, classes)) % classes
        for i, target in enumerate(explanation.target)
    ]
    return _rank_correlations(explanation.values, method(explanation.inputs, others).values)


def pointing_game(model, method, explanation, masks):
    found = []
    for values, mask in zip(explanation.values.sum(axis=-1), masks, strict=True):
        found.append(float(mask[max(np.ndindex(mask.shape), key=lambda place, values=values: values[place])]))
    return found


def relevance_mass(model, method, explanation, masks):
    found = []
    for values, mask in zip(explanation.values.sum(axis=-1), masks, strict=True):
        positive = {place: values[place] for place in np.ndindex(mask.shape) if values[place] > 0}
        found.append(sum(value for place, value in positive.items() if mask[place]) / sum(positive.values()))
    return found


def relevance_rank(model, method, explanation, masks):
    found = []
    for values, mask in zip(explanation.values.sum(axis=-1), masks, strict=True):
        first = sorted(np.ndindex(mask.shape), key=lambda place, values=values: -values[place])[: int(mask.sum())]
        found.append(sum(bool(mask[place]) for place in first) / len(first))
    return found


def neighbor_similarity(model, method, explanation, masks):
    x, values, found = explanation.inputs, explanation.values, []
    for i in range(len(x)):
        distances = [np.inf if i == j else np.linalg.norm(x[i] - x[j]) for j in range(len(x))]
        a, b = values[i].ravel(), values[int(np.argmin(distances))].ravel()
        found.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    return found


def sparseness(model, method, explanation, masks):
    """The other definition of the Gini index, by a loop over pairs: half the relative mean difference."""
    sizes = [np.abs(values.sum(axis=-1)).ravel() for values in explanation.values]
    return [np.mean([abs(a - b) for a in row for b in row]) / (2 * row.mean()) for row in sizes]


ORACLES = {
    metrics.Deletion: deletion,
    metrics.Insertion: insertion,
    metrics.PixelFlipping: pixel_flipping,
    metrics.Infidelity: infidelity,
    metrics.MaxSensitivity: max_sensitivity,
    metrics.ModelParameterRandomization: model_parameter_randomization,
    metrics.RandomLogit: random_logit,
    metrics.PointingGame: pointing_game,
    metrics.RelevanceMass: relevance_mass,
    metrics.RelevanceRank: relevance_rank,
    metrics.NeighborSimilarity: neighbor_similarity,
    metrics.Sparseness: sparseness,
}
