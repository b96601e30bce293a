"""Every metric again, as slowly and plainly as it can be written: one sample, one step and one place at a time.

Each takes the model, the method that made the explanation, the explanation, the masks of objects, and the options that the metric was made
with. Explanations are of images without equal values, so that the order of places is the only one.
"""

import itertools

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


def _shuffled(model, seed, *, one_stream=False):
    """Copies of the model that nothing else knows, with one more layer shuffled each, from the output down."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for turn, layer in enumerate(reversed([layer for layer in copy.layers if layer.weights])):
        if turn == 0 or not one_stream:
            draw = np.random.default_rng((seed, turn))
        weights = []
        # Keras lists the weights of a batch normalization, say, in the order in which the metric draws for them.
        for array in (variable.numpy() for variable in layer.weights):
            varies = len(np.unique(array)) > 1
            weights.append(draw.permutation(array.ravel()).reshape(array.shape) if varies else array)
        for variable, array in zip(layer.weights, weights, strict=True):
            variable.assign(array)
        yield copy


def model_parameter_randomization(model, method, explanation, masks, *, seed):
    """Layer by layer from the output down."""
    found = []
    for copy in _shuffled(model, seed):
        again = type(method)(copy)(explanation.inputs, explanation.target)
        found.append(_rank_correlations(explanation.values, again.values))
    return np.mean(found, axis=0)


def smooth_mprt(model, method, explanation, masks, *, num_samples, seed, noise=0.1):
    def smooth(of, values):
        for number in range(num_samples - 1):
            moved = []
            for i, x in enumerate(explanation.inputs):
                draw = np.random.default_rng((seed, 1, 0, number, i)).normal(size=x.shape)
                moved.append(x + noise * (x.max() - x.min()) * draw)
            values = values + type(method)(of)(np.array(moved, "float32"), explanation.target).values
        return values / num_samples

    before, found = smooth(model, explanation.values), []
    for copy in _shuffled(model, seed):
        again = type(method)(copy)(explanation.inputs, explanation.target)
        found.append(_rank_correlations(before, smooth(copy, again.values)))
    return np.mean(found, axis=0)


def efficient_mprt(model, method, explanation, masks, *, seed, num_bins=100):
    *_, shuffled = _shuffled(model, seed, one_stream=True)
    again = type(method)(shuffled)(explanation.inputs, explanation.target).values
    found = []
    for values, others in zip(explanation.values, again, strict=True):
        before, after = (_entropy_of_histogram(each.ravel(), num_bins) for each in (values, others))
        found.append(after / before - 1)
    return found


def _entropy_of_histogram(row, num_bins):
    counts = dict.fromkeys(range(num_bins), 0)
    for value in row:
        counts[min(int((value - row.min()) / (row.max() - row.min()) * num_bins), num_bins - 1)] += 1
    shares = [count / row.size for count in counts.values() if count]
    return -sum(share * np.log(share) for share in shares)


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


def complexity(model, method, explanation, masks):
    found = []
    for values in explanation.values:
        sizes = [abs(value) for value in values.sum(axis=-1).ravel()]
        found.append(-sum(size / sum(sizes) * np.log(size / sum(sizes)) for size in sizes if size))
    return found


def top_k_intersection(model, method, explanation, masks, *, k):
    found = []
    for values, mask in zip(explanation.values.sum(axis=-1), masks, strict=True):
        first = sorted(np.ndindex(mask.shape), key=lambda place, values=values: -values[place])[:k]
        found.append(sum(bool(mask[place]) for place in first) / k)
    return found


def local_lipschitz_estimate(model, method, explanation, masks, *, num_samples, seed, radius=0.02):
    found = []
    for i, (x, values, target) in enumerate(zip(explanation.inputs, explanation.values, explanation.target, strict=True)):
        largest = 0
        for number in range(num_samples):
            draw = np.random.default_rng((seed, 0, number, i)).uniform(-1, 1, x.shape)
            moved = (x + radius * (x.max() - x.min()) * draw).astype(x.dtype)
            again = method(moved[None], [target]).values[0]
            largest = max(largest, np.linalg.norm(again - values) / np.linalg.norm(moved - x))
        found.append(largest)
    return np.array(found)


def faithfulness_correlation(model, method, explanation, masks, *, num_perturbations, seed, subset_size=4):
    """By default a fifth of 20 places."""
    found = []
    for i, (x, values, target) in enumerate(zip(explanation.inputs, explanation.values, explanation.target, strict=True)):
        images, said = [x], []
        for k in range(num_perturbations):
            subset = np.random.default_rng((seed, i, k)).choice(x[..., 0].size, subset_size, replace=False)
            changed = x.copy()
            changed.reshape(-1, x.shape[-1])[subset] = 0
            images.append(changed)
            said.append(values.sum(axis=-1).ravel()[subset].sum())
        scores = np.asarray(model(np.stack(images)))[:, target]
        found.append(np.corrcoef(said, scores[0] - scores[1:])[0, 1])
    return np.array(found)


def monotonicity(model, method, explanation, masks, *, steps, num_samples, seed):
    found = []
    for i, (x, values, target) in enumerate(zip(explanation.inputs, explanation.values, explanation.target, strict=True)):
        sizes = np.abs(values.sum(axis=-1)).ravel()
        groups = np.array_split(np.argsort(-sizes), steps)
        losses = []
        for group in groups:
            images = [x]
            for draw in range(num_samples):
                noise = np.random.default_rng((seed, 0, i, draw)).uniform(x.min(axis=(0, 1)), x.max(axis=(0, 1)), size=x.shape)
                images.append(x.copy())
                for row, column in (divmod(place, x.shape[1]) for place in group):
                    images[-1][row, column] = noise[row, column]
            scores = probabilities(model, images, target)
            losses.append(np.mean((scores[1:] - scores[0]) ** 2))
        found.append(spearmanr([sizes[group].sum() for group in groups], losses)[0])
    return found


def imputed(x, removed):
    """By a dense linear system, an equation for each removed pixel of an image."""
    pixels = [tuple(pixel) for pixel in np.argwhere(removed)]
    matrix, right = np.eye(len(pixels)), np.zeros((len(pixels), x.shape[-1]))
    for number, (r, c) in enumerate(pixels):
        near = {(r + a, c + b): 1 / 6 if 0 in (a, b) else 1 / 12 for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)}
        near = {pixel: weight for pixel, weight in near.items() if 0 <= pixel[0] < len(x) and 0 <= pixel[1] < x.shape[1]}
        for pixel, weight in near.items():
            if removed[pixel]:
                matrix[number, pixels.index(pixel)] -= weight / sum(near.values())
            else:
                right[number] += weight / sum(near.values()) * x[pixel]
    return np.linalg.solve(matrix, right)


def road(model, method, explanation, masks, *, steps, seed, noise=0.01, order="morf"):
    found = []
    for i, (x, values, target) in enumerate(zip(explanation.inputs, explanation.values, explanation.target, strict=True)):
        ranked = np.argsort(values.sum(axis=-1).ravel() * (-1 if order == "morf" else 1))
        images = []
        for step in range(steps):
            removed = np.zeros(ranked.size, bool)
            removed[ranked[: ranked.size * (step + 1) // (steps + 1)]] = True
            removed = removed.reshape(x.shape[:2])
            draw = np.random.default_rng((seed, 0, i, step)).normal(size=x.shape)
            images.append(x.copy())
            images[-1][removed] = imputed(x, removed) + noise * np.ptp(x, axis=(0, 1)) * draw[removed]
        found.append(probabilities(model, images, target).mean())
    return np.array(found)


def irof(model, method, explanation, masks):
    from skimage.segmentation import slic

    found = []
    for x, values, target in zip(explanation.inputs, explanation.values, explanation.target, strict=True):
        scaled = (x.astype("float64") - x.min()) / (x.max() - x.min())
        numbers = slic(scaled, n_segments=50, compactness=30, sigma=1, start_label=0, channel_axis=-1)
        relevance, images = values.sum(axis=-1), [x.copy()]
        for number in sorted(set(numbers.ravel()), key=lambda number: -relevance[numbers == number].mean()):
            changed = images[-1].copy()
            changed[numbers == number] = x.mean(axis=(0, 1))
            images.append(changed)
        scores = np.exp(np.asarray(model(np.array(images)), "float64"))
        curve = scores[:, target] / scores.sum(axis=1)
        curve /= curve[0]
        found.append(1 - np.mean([(a + b) / 2 for a, b in itertools.pairwise(curve)]))
    return found


def sufficiency(model, method, explanation, masks):
    rows = [values.ravel() / np.linalg.norm(values) for values in explanation.values]
    predicted = np.asarray(model(explanation.inputs)).argmax(axis=1)
    found = []
    for i, row in enumerate(rows):
        nearest = min((j for j in range(len(rows)) if j != i), key=lambda j, row=row: np.linalg.norm(rows[j] - row))
        found.append(float(predicted[nearest] == predicted[i]))
    return found


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
    metrics.Complexity: complexity,
    metrics.EfficientMPRT: efficient_mprt,
    metrics.FaithfulnessCorrelation: faithfulness_correlation,
    metrics.IROF: irof,
    metrics.LocalLipschitzEstimate: local_lipschitz_estimate,
    metrics.Monotonicity: monotonicity,
    metrics.ROAD: road,
    metrics.SmoothMPRT: smooth_mprt,
    metrics.Sufficiency: sufficiency,
    metrics.TopKIntersection: top_k_intersection,
}
