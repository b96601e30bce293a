"""Bad values of arguments by the name of the parameter, so that the table grows with the public functions.

Each is to be refused, by an error that names the argument and says what was received.
"""

import keras
import numpy as np
import pandas as pd
import scipy.sparse
import tensorflow as tf

from keras_xai.attribution import Saliency
from keras_xai.metrics import Sparseness
from tests.data.kinds import Batches, dataset


class Thing:
    """An object that is no argument of anything."""

    def __repr__(self):
        return "<Thing>"


class Endless(keras.utils.PyDataset):
    """Batches without a number."""

    def __init__(self, x):
        super().__init__()
        self._x = x

    @property
    def num_batches(self):
        return None

    def __getitem__(self, index):
        return self._x


def _second(array, value):
    changed = np.array(array)
    changed[1] = value
    return changed


# Of samples: what each does to samples that are right.
SAMPLES = {
    "NaN": lambda x: _second(x, np.nan),
    "infinity": lambda x: _second(x, np.inf),
    "rank less": lambda x: x[:, 0],
    "rank more": lambda x: x[..., None, None],
    "one sample": lambda x: x[0],
    "other size": lambda x: x[:, :-1],
    "strings": lambda x: x.astype(str),
    "complex": lambda x: x.astype(complex),
    "objects": lambda x: x.astype(object),
    "dates": lambda x: x.astype("datetime64[s]"),
    "no samples": lambda x: x[:0],
    "ragged list": lambda x: [x[0].tolist(), x[1][:-1].tolist()],
    "ragged": lambda x: tf.RaggedTensor.from_tensor(x.reshape(len(x), -1), lengths=[1] * len(x)),
    "sparse tensor": lambda x: tf.sparse.from_dense(x),
    "sparse matrix": lambda x: scipy.sparse.csr_matrix(x.reshape(len(x), -1)),
    "None": lambda x: None,
    "number": lambda x: 3,
    "word": lambda x: "samples",
    "set": lambda x: {1.0, 2.0},
    "thing": lambda x: Thing(),
    "function": lambda x: lambda: x,
    "other names": lambda x: {"zz": x},
    "two inputs": lambda x: [x, x],
    "empty list": lambda x: [],
    "table of words": lambda x: pd.DataFrame({"name": ["a"] * len(x)}),
    "endless": lambda x: dataset(x).repeat(),
    "endless PyDataset": Endless,
    "dataset without batches": lambda x: dataset(x).take(0),
    "dataset of single samples": lambda x: tf.data.Dataset.from_tensor_slices(x),
    "dataset of NaN": lambda x: dataset(_second(x, np.nan)),
    "dataset of words": lambda x: tf.data.Dataset.from_tensor_slices(["a", "b"]).batch(2),
    "generator of nothing": lambda x: iter(()),
    "generator of things": lambda x: iter([Thing()]),
    "batches of other sizes": lambda x: Batches(x[:, :-1]),
}
LABELS = {
    "one less": lambda y: y[:-1],
    "rank more": lambda y: np.stack([y, y], 1)[..., None],
    "NaN": lambda y: _second(y.astype("float32"), np.nan),
    "thing": lambda y: Thing(),
    "number": lambda y: 1,
    "complex": lambda y: y.astype(complex),
    "things": lambda y: np.array([Thing() for _ in y]),
    "ragged": lambda y: [[0], [1, 2]],
    "function": lambda y: lambda: y,
    "empty": lambda y: y[:0],
}
ARRAYS = {
    name: SAMPLES[name]
    for name in ("NaN", "strings", "complex", "objects", "ragged list", "None", "word", "thing", "empty list")
}

_NOT_NUMBERS = ["three", "", np.nan, 1j, [1], (1, 2), {}, Thing(), b"1", np.array([1.0, 2.0])]
COUNTS = [0, -1, 1.5, True, np.inf, *_NOT_NUMBERS]
INDICES = [-(10**6), 10**6, 1.5, *_NOT_NUMBERS]
NUMBERS = [np.inf, -np.inf, *_NOT_NUMBERS]
FLAGS = ["no", 2, -1, np.nan, [True], Thing(), 1j]
CHOICES = ["zz", "", 3, np.nan, ["z"], {}, Thing(), b"z", np.array(["z", "z"])]
SEEDS = [-1, 1.5, True, *_NOT_NUMBERS]
VERBOSE = ["loud", "", 3, -1, 0.5, np.nan, [1], None, Thing(), np.array([0, 1])]
TEXTS = [3, np.nan, ["a", "b"], Thing(), b"title"]
NAMES = ["names", [], ["a"], 5, Thing(), {"a": 1}, [None] * 3, lambda: None, [["a", "b"]], np.nan]
FUNCTIONS = ["show", 3, Thing(), [len], lambda: None, lambda x: None, lambda x: 1 / 0, lambda x: "text", lambda x: x[:0]]
LAYER = ["zz", "", 3, np.nan, ["conv", "conv"], Thing(), b"conv", {}, ("zz",)]
LAYERS = ["zz", ["zz"], [], 3, [3], np.nan, Thing(), ["conv", "conv"], [None], {}, [["conv"]]]
MODELS = [
    None,
    "model",
    3,
    Thing,
    Thing(),
    keras.Model,
    lambda x: x,
    {},
    np.zeros(3),
    keras.layers.Dense(2),
    keras.Sequential([keras.layers.Dense(2)]),
]
PATHS = [None, 3, 1.5, ["a"], Thing(), "no/such/folder/file.npz", "folder/", ".", ""]
TARGETS = [
    "class",
    -1,
    99,
    1.5,
    True,
    np.nan,
    1j,
    [0],
    [[0, 1]],
    [],
    {},
    {"zz": 1},
    Thing(),
    [0.5] * 6,
    ["a"] * 6,
    [lambda scores: scores[:, 0]] * 3,
    lambda: None,
    lambda scores: None,
    lambda scores: scores,
    lambda scores: "text",
    lambda scores: 1 / 0,
    lambda scores: keras.ops.sum(scores),
    lambda scores: scores[:, 0] - keras.ops.mean(scores[:, 0]),
]
BASELINES = [
    "black",
    np.nan,
    np.inf,
    1j,
    [],
    [0.0, 1.0],
    {},
    {"zz": 0.0},
    Thing(),
    lambda x: x,
    np.full((6, 6, 1), np.nan),
]
VALUE_RANGES = [
    None,
    3,
    (1.0, 0.0),
    (0.0, np.nan),
    (0.0,),
    (0, 1, 2),
    "range",
    Thing(),
    ("a", "b"),
    (np.zeros((2, 3)), 1),
    (1j, 2),
]
METHODS = [None, "Saliency", 3, Saliency, Thing(), {}, lambda x: x]
METRICS = [None, [], [3], ["Sparseness"], [Sparseness], Thing(), {}, lambda x: 1, Sparseness]
THINGS = [3, "thing", Thing, Thing(), np.nan, [], lambda: None]
MAPPINGS = [3, "zz", {"zz": "zz"}, Thing(), np.nan, [1], {1: 2}]

_POINTS = {
    name: SAMPLES[name]
    for name in ("NaN", "infinity", "rank less", "strings", "complex", "objects", "None", "number", "word", "thing")
}
_ONE = {  # one sample
    "NaN": lambda x: np.full_like(x, np.nan),
    "other size": lambda x: x[:-1],
    "strings": lambda x: x.astype(str),
    "complex": lambda x: x.astype(complex),
    "None": lambda x: None,
    "number": lambda x: 3,
    "word": lambda x: "sample",
    "thing": lambda x: Thing(),
    "empty": lambda x: [],
}
_IMAGE = {name: _ONE[name] for name in ("strings", "complex", "None", "number", "word", "thing", "empty")} | {
    "ragged": lambda x: [[1.0], [1.0, 2.0]],
    "rank more": lambda x: np.asarray(x)[None, None, None],
}
_MASKS = {
    "one less": lambda m: m[:-1],
    "other size": lambda m: m[:, :-1],
    "strings": lambda m: np.full(m.shape, "a"),
    "complex": lambda m: m.astype(complex),
    "NaN": lambda m: np.full(m.shape, np.nan),
    "None": lambda m: None,
    "thing": lambda m: Thing(),
    "number": lambda m: 1,
    "ragged": lambda m: [[[1]], [[1], [1, 1]]],
    "empty": lambda m: m[:0],
}
_INDEX = [99, -99, 1.5, "zz", None, np.nan, 1j, Thing(), (0, 0), [[0]], {}, ["a"], [1.5], [99]]
_ENTRIES = [-99, 99, 1.5, "zz", np.nan, 1j, Thing(), [[0]], [], {}, ["a"], [0.5], [99], [[0], [1, 2]], None]  # of outputs
_GROUPS = [0, -1, 1.5, True, "a", np.nan, 1j, Thing(), [], {}, [["a"]], [[0.5]], [[0], [1, 2]], [[-1]], lambda: None]
_COORDINATES = [
    3,
    "box",
    None,
    Thing(),
    [],
    [1, 2, 3],
    [[0], [1, 2]],
    [0, 0, np.nan, 2],
    [1j] * 4,
    ["a"] * 4,
    [[[[0, 0, 2, 2]]]],
]
_TOKENS = [
    "words",
    "",
    [],
    [-1],
    [10],
    [0.5],
    [[1]],
    [[1], [1, 2]],
    3,
    Thing(),
    np.nan,
    ["a"],
    {},
]  # a model of 10 without a tokenizer
_SEQUENCES = [3, np.nan, Thing(), None]
_BOUNDS = [3, "ab", (1, 0), (np.nan, 1), (0,), (0, 1, 2), Thing(), ("a", "b"), (1j, 2), (np.zeros(2), 1)]

# By the name of the parameter; by the name of the function and the parameter where that means something else. A mapping has functions
# of the right value.
BAD = {
    "x": SAMPLES,
    "X": SAMPLES,
    "held_out": SAMPLES,
    "visible": SAMPLES,
    "images": SAMPLES,
    "direction": SAMPLES,
    "background": {name: SAMPLES[name] for name in SAMPLES if name != "None"},
    "y": LABELS,
    "labels": LABELS,
    "masks": _MASKS,
    "test": {name: lambda pair, change=change: (change(pair[0]), pair[1]) for name, change in SAMPLES.items()},
    "start": _ONE,
    "end": _ONE,
    "corner": _ONE,
    "second": _ONE,
    "third": _ONE,
    "points": _POINTS,
    "position": [3, (0,), (99, 99), ("a", "b"), (0.5, 0), None, Thing()],
    "model": MODELS,
    "layer": LAYER,
    "layers": LAYERS,
    "places": [0, 3, (3,), "ab", np.nan, (0, 2), (2.5, 2), [None, 2], Thing(), (100, 100), {}],
    "layout": [3, "zz", "NCC", "", np.nan, Thing(), ["a"], {}],
    "target": TARGETS,
    "baseline": BASELINES,
    "value_range": VALUE_RANGES,
    "method": METHODS,
    "methods": [*METHODS, []],
    "metrics": METRICS,
    "explanation": THINGS,
    "box": THINGS,
    "groups": THINGS,
    **{
        f"{name}.groups": [*_GROUPS, np.zeros((5, 4), int), np.zeros((4, 4, 1)), {"zz": np.zeros((4, 4), int)}]
        for name in ("FeatureAblation", "HSICAttribution", "ShapleyValueSampling", "SobolAttribution")
    },
    "SobolAttribution.num_samples": [*COUNTS, 1, 3, 12],
    "preservation_probability": [0, 1, -0.5, 2, *NUMBERS],
    "grid_size": COUNTS,
    "path": PATHS,
    **{
        f"{name}.path": [*PATHS[1:], "picture.docx"]  # without one nothing is saved
        for name in ("Explanation.plot", "color_bar", "heatmap", "parallel_coordinates", "picture")
    },
    "filepath": [],
    "folder": [3, 1.5, Thing(), ["a"]],
    "log_dir": [3, 1.5, Thing(), ["a"]],
    "index": _INDEX,
    "seed": SEEDS,
    "verbose": VERBOSE,
    "title": TEXTS,
    "caption": TEXTS,
    "text": TEXTS,
    "label": TEXTS,
    "response_label": TEXTS,
    "name": [],
    "class_names": NAMES,
    "feature_names": NAMES,
    "vocabulary": ["names", 5, Thing(), np.nan],
    "input_names": NAMES,
    "titles": NAMES,
    "show": FUNCTIONS,
    "preprocessing": [*CHOICES, ["tf"]],
    "sign": CHOICES,
    "cmap": CHOICES,
    "percentile": [0, 101, *NUMBERS],
    "columns": COUNTS,
    "bounds": _BOUNDS,
    "limits": [3, "ab", ((1, 0), (0, 1)), ((np.nan, 1), (0, 1)), (0, 1), Thing(), (("a", "b"), (0, 1))],
    "composite": THINGS,
    "product": THINGS,
    "trace.shapes": [3, "zz", [], [(4,), (4,)], [("a",)], [(-1,)], {}, Thing()],
    "softmax": THINGS,
    "RoleComposite.normalization": THINGS,
    "protocol": THINGS,
    "dream": THINGS,
    "ascent": THINGS,
    "tsne": THINGS,
    "page": THINGS,
    "dense": THINGS,
    "convolution": THINGS,
    "first": THINGS,
    "pooling": THINGS,
    "merge": THINGS,
    "scaling": THINGS,
    "mapping": MAPPINGS,
    "names": [3, ("a",), "ab", Thing(), np.nan, (1, 2)],
    "a": THINGS,
    "b": THINGS,
    "norm": [0, 3, "two", np.nan, None, [1], 1j, Thing(), True],
    "unit": [3, "zz", [1], (), (0, 0), 0.5, -1, np.nan, Thing(), lambda y: y],
    "units": [3, "zz", [99], [-99], [0.5], [], [(0, 0, 0, 0)], np.nan, Thing(), ["a"], [None]],
    "window": [0, -1, 1.5, "a", (99, 99), (1, 1, 1, 1), np.nan, Thing(), 1j],
    "stride": [0, -1, 1.5, "a", (1,), np.nan, Thing(), 1j],
    "segments": ["a", 0, np.zeros((2, 2)), np.full((4, 4), np.nan), Thing(), lambda x: None, lambda x: x[0]],
    "low": ["three", "", np.nan, np.inf, 1j, {}, Thing(), b"1"],
    "high": ["three", "", np.nan, -np.inf, 1j, {}, Thing(), b"1"],
    "every": [0, -1, 1.5, "a", np.nan, Thing(), (1,), (0, 1), (1, 2, 3), None],
    "plot_options": [3, "a", {"zz": 1}, Thing(), {"samples": "a"}],
    "monitor": [3, Thing(), []],
    "epoch": [-1, 1.5, "a", np.nan, Thing(), 1j],
    "PermutationImportance.metric": ["zz", 3, np.nan, Thing(), [], {}, ["accuracy"], lambda a, b: np.nan, keras.losses.Loss],
    "PermutationImportance.groups": [*_GROUPS, np.zeros((5, 4), int), np.zeros((4, 4, 1)), {"zz": np.zeros((4, 4), int)}],
    "metric": ["zz", 3, None, Thing(), np.nan],
    "momentum": [3, "ab", (0.5,), (0.5, 2.0), (np.nan, 0.5), Thing(), ("a", "b")],
    "learning_rate": ["zz", -1.0, np.nan, np.inf, [1], Thing(), None],
    "ends": ["zz", [], ["zz"], 3, Thing(), None],
    "loss": [],
    "tokens": [0, -1, 1.5, "zz", np.nan, [99], [-99], [0.5], [], [[0]], ["a"], Thing(), {}, True],
    "prompt": [*_TOKENS, None],
    "generated": _TOKENS,
    "explain_generation.baseline": [-1, 10, 1.5, "a", np.nan, Thing(), [1], {}],
    "class_index": _ENTRIES[:-1],
    "Region.class_index": _ENTRIES,
    "Margin.a": [*_ENTRIES[:-1], 1],
    "Margin.b": [*_ENTRIES[:-1], 0],
    "Output.index": [*_ENTRIES, (), (0, 0), (0.5,), ("a",), ([0], [1])],
    "Token.position": _ENTRIES,
    "token": _ENTRIES[:-1],
    "Box.box": [*_COORDINATES, [2, 2, 0, 0], [20, 20, 30, 30], [[0, 0, 2, 2]] * 3],
    "boxes": [*_COORDINATES, [0, 0, 2, 2], [[0, 0, 2, 2]] * 3],
    "mask": [
        3,
        "zz",
        Thing(),
        np.nan,
        [],
        [[2]],
        [True],
        [[True], [True, False]],
        [[False, False]],
        [[True] * 5],
        [["a"]],
        {},
    ],
    "to": [
        3,
        "zz",
        None,
        Thing(),
        np.nan,
        [],
        [1.0],
        [1.0, np.inf, 0.0],
        [0.0] * 3,
        ["a"] * 3,
        [1j] * 3,
        [[1.0], [1.0, 2.0]],
        {},
    ],
    "scores": {
        name: SAMPLES[name]
        for name in (
            *("rank more", "one sample", "strings", "complex", "objects", "dates", "ragged list", "ragged", "sparse tensor"),
            *("sparse matrix", "None", "number", "word", "set", "thing", "function", "empty list", "table of words"),
        )
    },
    "sample_weight": ["a", [1.0], np.full(8, "a"), Thing(), np.full(8, 1j)],
    "rule": [*CHOICES, None],
    "optimizer": [],
    "rules": [[], 3, [3], Thing(), [(3, 1)]],
    "activation": [],
    "visible_activation": [],
    "visible_bias_initializer": [],
    "output": ["zz", 99, -1, 1.5, np.nan, Thing(), [0]],
    "dtype": ["float16", "int32", 3, Thing(), "zz"],
    "outputs": ["zz", 99, [99], [-1], [0.5], [0, 0], [], Thing(), np.nan, [[[0]]]],
    "against": ["zz", 99, -1, 1.5, np.nan, Thing(), [0]],
    "t": ["a", np.nan, None, Thing(), 1j, [[0.5]]],
    "sizes": [3, [0], [99], [], ["a"], [1.5], Thing(), np.nan],
    "regions": ["a", 99, [99], [-99], [0.5], Thing(), None],
    "image": _IMAGE,
    "values": _IMAGE,
    "features": _IMAGE,
    "reconstructions": _IMAGE,
    "outline": [3, "a", Thing(), np.zeros((2, 2)), 1j],
    "kernel": _IMAGE,
    "shape": [3, (0, 4), (4,), ("a", "b"), None, Thing(), (4, 4, 4, 4), (4, 5)],
    "limit": [0, *NUMBERS],
    "figure": THINGS,
    "figures": _SEQUENCES,
    "cards": [3, [3], Thing(), None],
    "cases": [3, [3], Thing(), None],
    "bars": [3, [3], [("a", "b", "c")], [("a", 1)], Thing(), None],
    "words": [3, [3], [("a",)], [("a", [("b", "c")])], [("a", [3])], Thing(), None],
    "Card.value": TEXTS,
    "note": TEXTS,
    "Case.figure": [3, "zz", Thing()],
    "seconds": NUMBERS,
    "panels": [3, [3], Thing(), None],
    "rows": [3, [], [(1,), (1, 2)], Thing(), None, [3]],
    "header": [3, ("a",), Thing()],
    "level": [0, 1, 4, "a", np.nan, None, Thing()],
    "named": [3, {}, {"a": 3}, [1], Thing(), None],
    "named_activations": [3, {}, {"a": 3}, {"a": {}}, Thing(), None],
    "found": [3, [], {}, Thing(), None, "a"],
    "activations": [3, {}, {"a": 3}, Thing(), None, {"a": np.full((2, 3, 3, 1), "a")}],
    "curve": THINGS,
    "local": THINGS,
    "walls": THINGS,
    "samples": [0, -1, 99.5, [99], [[0]], "zz", [], None, np.nan, Thing(), 2.0, {}],
    "Explanation.plot.samples": [0, -1, 99.5, [99], [[0]], "zz", [], np.nan, Thing(), 2.0, {}],
    "kind": CHOICES,
    "form": CHOICES,
    "sample": [99, -99, 1.5, "a", None, np.nan, [0], Thing()],
    "query": [99, -99, 1.5, "a", np.nan, [0], Thing()],
    "repeat": [99, -99, 1.5, "a", None, np.nan, [0], Thing()],
    "response": ["a", 3, [1.0], Thing(), ["a", "b"], [np.nan, 1.0]],
    "region": [0, -1, "a", (1,), np.nan, Thing(), (99, 99), 1.5],
    "max_rounds": COUNTS[1:],
    "jitter": COUNTS[1:],
    "cache_bytes": COUNTS[1:],
    "flatten_regions.max_steps": COUNTS[1:],
    "overwrite": [],
    "zipped": [],
    "use_bias": [],
    "probability": FLAGS,
    "on": FLAGS,
    "for_good": FLAGS,
    "trainable": FLAGS,
    "optional": [],
    "protocol.samples": COUNTS,
    "Protocol.samples": COUNTS,
    "Dreamed.plot.samples": COUNTS,
    "TSNE.initialization": CHOICES,
    "Ascent.start": {
        "NaN": lambda x: np.full((4, 4, 1), np.nan),
        "word": lambda x: "a",
        "thing": lambda x: Thing(),
        "complex": lambda x: np.full((4, 4, 1), 1j),
    },
    "deep_dream.layers": [value for value in LAYERS if value is not Thing],
    "Ascent.norm": [-1, *NUMBERS],
    "AttnLRP.layers": MAPPINGS,
    "CPLRP.layers": MAPPINGS,
    "EpsilonPlus.layers": MAPPINGS,
    "EpsilonPlusFlat.layers": MAPPINGS,
    "EpsilonAlpha2Beta1.layers": MAPPINGS,
    "RoleComposite.layers": MAPPINGS,
    "fbi_penalty.target": CHOICES,
    "FBILoss.target": CHOICES,
    "FBIModel.target": CHOICES,
    "parallel_coordinates.samples": [3, [0, 1], ["a", "b"], [1], Thing(), None],
    "RBMDense.units": [],
    "pretrain.rule": THINGS,
    "pretrain.verbose": [value for value in VERBOSE if value is not None],
    "FBIWarmUp.verbose": ["loud", 3.5, np.nan, Thing()],
    "Line.integrated_gradients.target": [99, -1, 1.5, "a", np.nan, Thing(), [0, 1]],
    "LinearPieces.counterfactuals.target": [99, -1, 1.5, "a", np.nan, Thing(), [0, 1]],
    "LinearPieces.decision_features.target": [99, -1, 1.5, "a", np.nan, Thing(), [0, 1]],
    "Plane.plot.x": {name: SAMPLES[name] for name in SAMPLES if name != "None"},
    "Plane.plot.images": [3, [np.ones((2, 2))], Thing(), "abc"],
    "ExactIntegratedGradients.plot.images": [3, [np.ones((2, 2))], Thing(), "ab"],
    "EmbeddingMap.plot.images": [3, [np.ones((2, 2))], Thing(), "abcdef"],
    "maps_plot.images": [3, Thing(), "a", np.ones((2, 3))],
    "openbox_page.images": [3, Thing(), "a", np.ones((2, 3))],
    "decision_plot.images": _IMAGE,
    "neighborhood_hit.k": [value for value in COUNTS if not isinstance(value, (list, tuple))],
    "ReconstructionError.sparsity_target": NUMBERS,
    "AttentionMaps.plot.labels": NAMES,
    **{
        f"{name}.labels": [3, [0], Thing(), "a", [0.5] * 6, [0.5] * 8, [[0], [1, 2]], [None] * 6, [Thing()] * 8]
        for name in ("Explanation.plot", "Comparison.plot", "explanations_plot", "words_html")
    },
    "EmbeddingMap.plot.labels": [3, [0], Thing(), "a"],
    "parallel_coordinates.labels": [3, [0], Thing(), "a"],
    "openbox_page.labels": [3, [0], Thing(), "a"],
    "chance_hit.labels": [3, [], Thing(), [[0, 1]], None, "a"],
    "Polytope.label.index": _INDEX[:8],
    "Plane.find.points": _POINTS,
    **{
        f"{name}.__call__.baseline": [value for value in BASELINES if not (isinstance(value, list) and value)]
        for name in ("DeepSHAP", "GradientSHAP", "SHAP")
    },
    "Diagnosis.__getitem__.index": ["zz", *_INDEX],
    "GradCAM.layer": LAYER,
    "diagnose.y": LABELS,
    "Infidelity.baseline": BASELINES,
    "Panel.figures": _SEQUENCES,
    "Panel.title": [],
    "Panel.caption": [],
    "openbox_page.class_names": NAMES,
    "bgr": FLAGS,
    "max_passes": [value for value in COUNTS if value is not None],
    "layer.name": [],
    "Polytope.contains.x": SAMPLES,
    "tolerance": [-1, *NUMBERS],
    "PointingGame.tolerance": [-1, *NUMBERS],
    "within": [0, -1, *_NOT_NUMBERS],
    "radius": [0, -1, *NUMBERS],
    "RegionClassifier.table.radius": [0, -1, *_NOT_NUMBERS],
    "stabilizer": [0, -1, *NUMBERS],
    "epsilon": [0, -1, *NUMBERS],
    "threshold": [*NUMBERS],
    "measure": CHOICES,
    "mode": CHOICES,
    "order": CHOICES,
    "explainer": CHOICES,
    "keep": CHOICES,
    "maps": CHOICES,
    "normalization": CHOICES,
    "initialization": CHOICES,
    "reduction": CHOICES,
}
for _name in [
    "batch_size",
    "k",
    "num_samples",
    "num_bins",
    "num_bytes",
    "subset_size",
    "steps",
    "max_steps",
    "repeats",
    "components",
    "iterations",
    "octaves",
    "tile_size",
    "max_maps",
    "num_perturbations",
    "max_regions",
    "resolution",
    "num_units",
    "max_rounds",
    "num_groups",
    "num_regions",
    "num_chains",
    "epochs",
    "max_filters",
    "max_samples",
    "cells",
    "max_units",
    "max_new_tokens",
    "num_repeats",
    "top",
]:
    BAD.setdefault(_name, COUNTS)
for _name in [
    "alpha",
    "beta",
    "gamma",
    "noise",
    "perplexity",
    "step_size",
    "smoothness",
    "rotation",
    "zoom",
    "total_variation",
    "norm_power",
    "octave_scale",
    "weight",
    "margin",
    "ridge",
    "weight_cost",
    "sparsity_target",
    "sparsity_cost",
]:
    BAD.setdefault(_name, [-2, *NUMBERS])
for _name in [
    "bias",
    "times_input",
    "training",
    "per_layer",
    "normalize",
    "absolute",
    "concept_influence",
    "orthonormal",
    "by_layer",
    "mark_inputs",
    "sampling",
    "fit_visible_bias",
    "strongest",
    "jit_compile",
]:
    BAD.setdefault(_name, FLAGS)


def bad_values(site, parameter):
    """The bad values of a parameter of a function, as pairs of a label and a function of the right value; `None` if unknown."""
    *_, owner = site.split(".", 1)
    values = BAD.get(f"{owner}.{parameter}", BAD.get(f"{owner.removesuffix('.__call__')}.{parameter}", BAD.get(parameter)))
    if values is None:
        return None
    if isinstance(values, dict):
        return list(values.items())
    return [(f"{number}: {_short(value)}", lambda right, value=value: value) for number, value in enumerate(values)]


def _short(value):
    text = getattr(value, "__name__", None) or repr(value)
    return " ".join(text.split())[:40]


# Cases that are right, and why: by the function, the parameter, and a part of the label.
_FINE = {
    ("plot", "feature_names", "['a']"): "of images, which have no features to name",
    ("plot", "class_names", "['a']"): "of layers, whose units are no classes",
    ("plot", "show", "7: <lambda>"): "a text is drawn",
    ("plot", "path", "0: None"): "nothing is saved",
    ("callbacks.NeighborhoodHit", "x", "other size"): "convolutions are computed at any size",
    ("diagnosis.diagnose", "x", "other size"): "convolutions are computed at any size",
    ("features.deep_dream", "images", "other size"): "images may have any size",
    ("openbox.", "X", "objects"): "scikit-learn takes numbers in arrays of objects",
    ("openbox.OpenBox.convert", "x", "objects"): "scikit-learn takes numbers in arrays of objects",
    ("openbox.Polytope.contains", "x", "other names"): "a polytope knows the shapes of the inputs, not their names",
    ("attribution.LIME", "segments", "<lambda>"): "features are drawn from the background",
}


def is_fine(site, parameter, label):
    """Whether an argument that looks bad is right."""
    return any(part in site and parameter == name and end in label for part, name, end in _FINE)
