"""A result of each class, made by hand, with a name that is HTML."""

import numpy as np

from keras_xai.results import (
    AttentionMaps,
    Comparison,
    Counterfactuals,
    Diagnosis,
    Dreamed,
    EmbeddingMap,
    ExactIntegratedGradients,
    Examples,
    Explanation,
    ExtremeExamples,
    Facets,
    FeatureImportance,
    Fidelity,
    Generation,
    LayerDiagnosis,
    LayerPair,
    Maximized,
    NetworkComparison,
    Protocol,
    Reconstructions,
    Walls,
)
from keras_xai.results.comparison import comparison_table
from keras_xai.statistics.intervals import difference

NAME = "<script>alert('&')</script>"
ROWS = 6
RANGE = (np.zeros((1, 1, 1, 1)), np.ones((1, 1, 1, 1)))


def _rng():
    return np.random.default_rng(0)


def named(target, method=NAME):
    """A callable target of a name."""

    def function(scores):
        return scores[:, 0]

    function.__name__ = target
    return explanation(method=method, target=function)


def explanation(method=NAME, target=None, convergence_delta=True, **others):
    """Of images."""
    draw = _rng()
    fields = {
        "values": draw.normal(size=(ROWS, 8, 8, 1)).astype("float32"),
        "target": np.arange(ROWS) % 3 if target is None else target,
        "inputs": draw.uniform(size=(ROWS, 8, 8, 3)).astype("float32"),
        "convergence_delta": draw.normal(size=ROWS) if convergence_delta else None,
        "baseline": draw.uniform(size=(ROWS, 8, 8, 3)),
        "num_forward_passes": 2.5,
    }
    return Explanation(method=method, **fields | others)


def several_inputs():
    """Of a model of two inputs and two outputs, with a background of as many samples as are explained."""
    draw = _rng()
    arrays = {"a": draw.normal(size=(ROWS, 4)), NAME: draw.normal(size=(ROWS, 5, 2))}
    target = {"one": np.arange(ROWS), "other": np.zeros(ROWS, int)}
    return Explanation(arrays, target, arrays, None, [draw.normal(size=(ROWS, 4))], 1.0, "SHAP", shared_baseline=True)


def columns():
    """Of a table with named columns."""
    x = _rng().normal(size=(ROWS, 3))
    return explanation(
        values=x, inputs=x, baseline=None, convergence_delta=False, feature_names=[NAME, "b", "c"], derivatives=True
    )


def comparison():
    """Two methods by two metrics, one of which does not rate all samples."""
    explanations = {name: explanation(method=name) for name in (NAME, "Saliency")}
    values = {metric: {name: _rng().normal(size=ROWS) for name in explanations} for metric in ("Deletion", f"{NAME} metric")}
    values["Deletion"]["Saliency"][1] = np.nan
    table = comparison_table(explanations, values, {NAME: 0.25, "Saliency": 0.125})
    return Comparison(table, explanations, values, {metric: i == 0 for i, metric in enumerate(values)})


def layer(path, hit=0.5, count=20):
    """A layer whose samples contribute about `hit`."""
    draw = _rng()
    return LayerDiagnosis(
        path=path,
        depth=0.5,
        shape=(None, 3),
        vectors="all entries",
        length=12,
        explained=np.nan,
        points=draw.normal(size=(2, count, 2)),
        map_influence=hit + 0.1 * draw.normal(size=(2, count)),
        activation_influence=hit + 0.1 * draw.normal(size=count),
        trustworthiness=np.array([0.9, 0.8]),
        divergence=np.array([1.0, 1.1]),
        probe=draw.random(count) > 0.5,
    )


def diagnosis(name=NAME, hits=(0.4, 0.8)):
    """Two layers, one of them named by HTML."""
    layers = {path: layer(path, hit) for path, hit in zip(("conv", NAME), hits, strict=True)}
    return Diagnosis(name, layers, np.arange(20) % 2, ["a", NAME], np.arange(20), 6, Protocol(repeats=2), {"t-SNE": 1.5})


def networks():
    """Two networks, of which the second is behind."""
    one, other = diagnosis("one"), diagnosis(f"{NAME} two", (0.3, 0.5))
    pairs = tuple(pair(one.layers[path], other.layers[path]) for path in one.layers)
    return NetworkComparison(one, other, (one.name, other.name), pairs, True)


def pair(one=None, other=None):
    """Two layers."""
    one, other = one or layer("conv"), other or layer(NAME, 0.3)
    both = (one.map_influence, other.map_influence)
    return LayerPair(
        one, other, difference(*both, True), difference(one.activation_influence, other.activation_influence, True)
    )


def ends(seed=0):
    """Crops of images, some smaller than others."""
    draw = np.random.default_rng(seed)
    boxes = [[(slice(0, 3 + i % 2), slice(1, 4)) for i in range(2)] for _ in range(ROWS)]
    crops = [[draw.uniform(size=(8, 8, 3))[box] for box in row] for row in boxes]
    return Examples(
        draw.normal(size=(ROWS, 2)), np.arange(2 * ROWS).reshape(ROWS, 2), np.zeros((ROWS, 2, 2), int), crops, boxes
    )


def units():
    """Channels and single units."""
    return [(0,), (1,), (2, 3, 1), (3,), (4,), (5,)]


def facets():
    """Of the polytope of an image."""
    draw = _rng()
    distance = np.arange(1.0, ROWS + 1)
    reasons = tuple(f"unit {i} of {NAME} stays above 0" for i in range(ROWS))
    return Facets(
        draw.normal(size=(ROWS, 8, 8)), distance, distance, (NAME,) * ROWS, tuple((i,) for i in range(ROWS)), reasons
    )


def walls():
    """One sample has no wall."""
    distance = np.array([0.1, 0.2, np.inf, 0.3, 0.0, 0.5])
    layers = tuple(NAME if np.isfinite(each) else None for each in distance)
    return Walls(distance, _rng().normal(size=(ROWS, 4)), layers, tuple((i,) if layers[i] else None for i in range(ROWS)))


def counterfactuals():
    """One sample has none."""
    x = _rng().normal(size=(ROWS, 4))
    x[2] = np.nan
    label = np.array([0, 1, -1, 0, 1, 0])
    return Counterfactuals(x, label, np.where(label < 0, np.inf, 0.5), np.full(ROWS, 0.25), label == 0)


def generation():
    """Three tokens after four, one of them HTML."""
    values = _rng().normal(size=(3, 7))
    values[np.arange(7) >= np.arange(4, 7)[:, None]] = np.nan
    return Generation(
        values, np.arange(7), ["a", " b", NAME, " d", "$x$", "\n", " "], 4, -_rng().random(3), _rng().normal(size=3), NAME
    )


def attention_maps():
    """Two layers, of which one has a class token and patches of images, and a name that is HTML."""
    maps = {"first": _rng().dirichlet(np.ones(5), size=(ROWS, 2, 5)), NAME: _rng().dirichlet(np.ones(5), size=(ROWS, 3, 5))}
    return AttentionMaps(maps, images(ROWS, 8, 8, 3), {"first": None, NAME: (1, 2, 2)}, NAME)


def images(*shape):
    """Values between 0 and 1."""
    return _rng().uniform(size=shape)


RESULTS = {
    "AttentionMaps": attention_maps,
    "Explanation": explanation,
    "Explanation of several inputs": several_inputs,
    "Explanation of columns": columns,
    "Comparison": comparison,
    "LayerDiagnosis": lambda: layer(NAME),
    "Diagnosis": diagnosis,
    "LayerPair": pair,
    "NetworkComparison": networks,
    "EmbeddingMap": lambda: EmbeddingMap(images(ROWS, 2), NAME, 5.0, 1.0, 0.5),
    "Maximized": lambda: Maximized(images(ROWS, 8, 8, 3), np.arange(6.0), images(4, ROWS), units(), NAME, RANGE),
    "Dreamed": lambda: Dreamed(images(ROWS, 8, 8, 3), images(ROWS, 8, 8, 3), images(2, 3, ROWS), [NAME, "b"], RANGE),
    "Reconstructions": lambda: Reconstructions(
        images(ROWS, 4, 8, 8, 3) - 0.5,
        np.tile(np.arange(4), (ROWS, 1)),
        images(ROWS, 4),
        images(ROWS, 8, 8, 3),
        NAME,
        NAME,
        9,
        "map",
    ),
    "Examples": ends,
    "ExtremeExamples": lambda: ExtremeExamples(ends(), ends(1), units(), NAME, 100),
    "Walls": walls,
    "Facets": facets,
    "Counterfactuals": counterfactuals,
    "Generation": generation,
    "FeatureImportance": lambda: FeatureImportance(
        _rng().normal(size=(ROWS, 4)), 0.8, NAME, True, [NAME, *(str(i) for i in range(1, ROWS))]
    ),
    "Fidelity": lambda: Fidelity(0.9, 0.01, accuracy=0.8, auc=np.nan),
    "ExactIntegratedGradients": lambda: ExactIntegratedGradients(
        images(8, 8, 1), 2, 1.5, 1e-16, images(8, 8, 1), 1 - images(8, 8, 1), 3
    ),
}
