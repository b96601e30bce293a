"""A valid call of every public function, class and method, found by their names and completed by the names of their parameters."""

import dataclasses
import functools
import inspect
import tempfile

import keras
import numpy as np
from keras import layers

import keras_xai
from keras_xai import (
    attribution,
    callbacks,
    diagnosis,
    explaining,
    features,
    losses,
    metrics,
    openbox,
    pretraining,
    report,
    results,
    targets,
)
from keras_xai.graph import trace
from keras_xai.layers import RBMDense
from keras_xai.pretraining.plan import plan
from keras_xai.pretraining.trainer import RBMTrainer
from tests.results.examples import RESULTS

SHAPE = (4, 4, 1)
COUNT = 8
X = np.random.default_rng(0).normal(size=(COUNT, *SHAPE)).astype("float32")
TABLE = np.random.default_rng(1).uniform(size=(COUNT, 4)).astype("float32")
Y = np.arange(COUNT) % 3
MASKS = np.zeros((COUNT, *SHAPE[:2]), bool)
MASKS[:, :2] = True

# What others call, with what this package or Keras hands over, or what takes the arguments of a method of Keras.
OTHERS = {
    "graph.Graph": "is returned by `trace`",
    "graph.Step": "is returned by `trace`",
    "kinds": "are written for a layer, and get its steps",
    "attribution.AffineMap": "is handed to rules",
    "attribution.Batch": "is handed to methods",
    "attribution.Part": "is what a method returns, checked where it is",
    "attribution.Product": "is made by rules",
    "attribution.shared": "is called by rules",
    "openbox.UnsupportedLayerError": "is raised",
    "openbox.OpenBox.features": "gets the batches of `samples`",
    "openbox.OpenBox.samples": "is called by what is written for boxes",
    "openbox.RegionGroups.scores": "gets what `points` returns",
    "targets.ScoreTarget.label": "is called by pictures",
    "targets.ScoreTarget.parameters": "is called by methods",
    "targets.ScoreTarget.resolved": "gets what `score` returns",
    "targets.ScoreTarget.score": "gets what `parameters` returns",
    "targets.ScoreTarget.taken": "gets the rows of a batch",
}
METHODS_OF_OTHERS = {
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "measure", "pull", "share", "rule", "to_fields", "from_fields",
    "call", "build", "compile", "compute_loss", "train_step", "test_step", "make_train_function", "make_test_function", "fit",
    "export", "get_config", "from_config", "loss", "prepare", "begin_epoch", "penalty", "stages", "embed", "points", "assign",
    "machine", "free_energy", "gibbs", "reconstruct", "check", "load_weights", "save_weights",
    "compile_from_config", "compute_output_shape",
}  # fmt: skip


@functools.cache
def images():
    """A classifier of images with one convolution."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input(SHAPE, name="images"),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(3, activation="softmax", name="scores"),
        ],
        name="network",
    )


@functools.cache
def transformer():
    """A classifier of images of four patches, with attention."""
    keras.utils.set_random_seed(0)
    x = keras.Input(SHAPE, name="images")
    y = layers.Reshape((4, 4))(layers.Conv2D(4, 2, strides=2, name="conv")(x))
    y = layers.Add()([y, layers.MultiHeadAttention(2, 2, name="attention")(y, y)])
    return keras.Model(
        x, layers.Dense(3, activation="softmax", name="scores")(layers.GlobalAveragePooling1D()(y)), name="network"
    )


@functools.cache
def table():
    """A classifier of tables of four columns."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((4,), name="table"), layers.Dense(6, "relu", name="hidden"), layers.Dense(3, "softmax", name="scores")],
        name="network",
    )


@functools.cache
def language_model():
    """A causal model of ten tokens, which looks at one token."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((None,), dtype="int32", name="tokens"), layers.Embedding(10, 4), layers.Dense(10)])


def machines():
    """A network to pretrain, a new one for each call."""
    return keras.Sequential([keras.Input((4,), name="table"), RBMDense(3, "sigmoid", name="first"), layers.Dense(2)])


@functools.cache
def box():
    return openbox.OpenBox(table(), dtype="float64", batch_size=4)


@functools.cache
def pieces():
    return box()(TABLE, verbose=0)


@functools.cache
def groups():
    return openbox.merge_regions(box(), TABLE, 2, verbose=0)


@functools.cache
def explanation():
    return attribution.Saliency(images())(X)


@functools.cache
def pieces_of_images():
    return openbox.OpenBox(images())(X, verbose=0)


@functools.cache
def trainer():
    """That of the first machine."""
    stage, *_ = plan(trace(machines()), pretraining.ContrastiveDivergence(), 1)
    return RBMTrainer(stage, 4, 0)


def folder():
    return tempfile.mkdtemp()


# Outputs of models, by their rank.
SCORES = {rank: np.random.default_rng(2).normal(size=(COUNT, *[1, 2][4 - rank :], 3)).astype("float32") for rank in (2, 3, 4)}

# Right values of arguments without a default, by the name of the parameter.
GIVEN = {
    "model": images,
    "x": lambda: X,
    "X": lambda: TABLE,
    "y": lambda: Y,
    "images": lambda: X,
    "layer": lambda: "conv",
    "layers": lambda: ["conv"],
    "units": lambda: [0],
    "method": lambda: attribution.Saliency(images()),
    "methods": lambda: [attribution.Saliency(images())],
    "metrics": lambda: [metrics.Sparseness()],
    "masks": lambda: MASKS,
    "explanation": explanation,
    "box": box,
    "groups": groups,
    "num_groups": lambda: 2,
    "num_regions": lambda: 2,
    "start": lambda: TABLE[0],
    "end": lambda: TABLE[1],
    "corner": lambda: TABLE[0],
    "second": lambda: TABLE[1],
    "third": lambda: TABLE[2],
    "direction": lambda: np.ones_like(TABLE),
    "index": lambda: 0,
    "labels": lambda: Y,
    "path": lambda: f"{folder()}/file.npz",
    "filepath": lambda: f"{folder()}/file.keras",
    "held_out": lambda: TABLE,
    "loss": lambda: "sparse_categorical_crossentropy",
    "text": lambda: "words",
    "title": lambda: "words",
    "caption": lambda: "words",
    "label": lambda: "words",
    "rows": lambda: [("a", "b")],
    "figure": lambda: report.heatmap(np.ones((3, 3))),
    "figures": lambda: [report.heatmap(np.ones((3, 3)))],
    "cards": lambda: [report.Card("words", "words")],
    "cases": lambda: [report.Case("words")],
    "bars": lambda: [("words", 0.5, "words")],
    "value": lambda: "words",
    "panels": lambda: [report.Panel("words", [report.heatmap(np.ones((3, 3)))], "words")],
    "image": lambda: X[0],
    "values": lambda: X[0],
    "kernel": lambda: np.ones((16, 5)),
    "shape": lambda: (4, 4),
    "limit": lambda: 1.0,
    "position": lambda: (0, 0),
    "points": lambda: np.random.default_rng(0).normal(size=(COUNT, 2)),
    "low": lambda: -1.0,
    "high": lambda: 1.0,
    "dense": attribution.Epsilon,
    "convolution": attribution.ZPlus,
    "local": pieces,
    "walls": lambda: pieces().nearest_wall(verbose=0),
    "named": lambda: {"a": explanation()},
    "found": lambda: features.reconstruct(images(), X, layer="conv", verbose=0),
    "activations": lambda: features.activations(images(), X, ["conv"], verbose=0)["conv"],
    "named_activations": lambda: {"a": features.activations(images(), X, ["conv"], verbose=0)},
    "reconstructions": lambda: X,
    "curve": lambda: openbox.fidelity_curve(box(), TABLE, sizes=[1, 2], verbose=0),
    "features": lambda: X[..., 0],
    "samples": lambda: [2, 3],
    "rules": lambda: [(pretraining.ContrastiveDivergence(), 1)],
    "visible": lambda: TABLE,
    "a": lambda: RESULTS["Diagnosis"](),
    "b": lambda: RESULTS["Diagnosis"](),
    "regions": lambda: [0],
    "on": lambda: True,
    "t": lambda: [0.5],
    "vectors": lambda: TABLE,
    "num_bytes": lambda: 2**31,
    "num_samples": lambda: 100,
    "layout": lambda: "NHWC",
    "prompt": lambda: [1, 2, 3],
    "class_index": lambda: 0,
    "boxes": lambda: [[0, 0, 2, 2], [4, 4, 8, 8]],
    "to": lambda: [1.0, 2.0, 3.0],
    "token": lambda: 1,
    "scores": lambda: SCORES[2],
}


def _of_tokens():
    tokens = np.array([[1, 2, 3, 0]] * COUNT)
    return attribution.Explanation(np.ones(tokens.shape), np.arange(COUNT) % 2, tokens, None, None, 1.0, "words")


_QUICK_TSNE = features.TSNE(perplexity=2, iterations=255)
# Where the common value does not fit, or the default takes long: by the name of the function.
SPECIAL = {
    "attribution.AttentionRollout": {"model": transformer},
    "attribution.GradientRollout": {"model": transformer},
    "features.attention_maps": {"model": transformer, "layers": lambda: ["attention"]},
    "attribution.LIME": {"model": table, "background": lambda: TABLE, "num_samples": lambda: 20, "seed": lambda: 0},
    "metrics.MaxSensitivity.__call__": {},
    "attribution.SHAP": {"num_samples": lambda: 40, "seed": lambda: 0},
    "attribution.SmoothGrad": {"num_samples": lambda: 2, "seed": lambda: 0},
    "attribution.VarGrad": {"num_samples": lambda: 2, "seed": lambda: 0},
    "attribution.PermutationImportance": {"metric": lambda: "accuracy", "num_repeats": lambda: 1, "groups": lambda: 2},
    "attribution.PermutationImportance.__call__": {"y": lambda: Y},
    "attribution.RISE": {"num_samples": lambda: 4, "seed": lambda: 0},
    "attribution.SobolAttribution": {"num_samples": lambda: 2, "groups": lambda: 2, "seed": lambda: 0},
    "attribution.HSICAttribution": {"num_samples": lambda: 4, "groups": lambda: 2, "seed": lambda: 0},
    "attribution.FeatureAblation": {"groups": lambda: 2},
    "attribution.ShapleyValueSampling": {"num_samples": lambda: 2, "groups": lambda: 2, "seed": lambda: 0},
    "attribution.IntegratedGradients": {"steps": lambda: 2},
    "callbacks.FreeEnergyGap": {"x": lambda: TABLE},
    "callbacks.PseudoLikelihood": {"x": lambda: TABLE},
    "callbacks.NeighborhoodHit": {"y": lambda: Y, "k": lambda: 2},
    "diagnosis.diagnose": {
        "y": lambda: Y,
        "k": lambda: 2,
        "protocol": lambda: diagnosis.Protocol(tsne=_QUICK_TSNE, repeats=1, components=3),
    },
    "diagnosis.neighborhood_hit": {"k": lambda: 2},
    "explaining.explain": {
        "model": table,
        "x": lambda: TABLE[:2],
        "y": lambda: Y[:2],
        "background": lambda: TABLE,
        "feature_names": lambda: list("abcd"),
        "seconds": lambda: 1e-3,
    },
    "features.tsne_map": {"perplexity": lambda: 2, "seed": lambda: 0},
    "features.deep_dream": {
        "value_range": lambda: (-9, 9),
        "dream": lambda: features.Dream(octaves=1, steps=1, jitter=0),
        "seed": lambda: 0,
    },
    "features.maximize_activation": {"ascent": lambda: features.Ascent(steps=1), "layer": lambda: "conv", "seed": lambda: 0},
    "features.extreme_examples": {"layer": lambda: "conv", "k": lambda: 2},
    "losses.fbi_penalty": {"y": lambda: Y},
    "losses.FBILoss.__call__": {"y": lambda: Y},
    "metrics.Infidelity": {"seed": lambda: 0, "num_perturbations": lambda: 2},
    "metrics.MaxSensitivity": {"seed": lambda: 0, "num_samples": lambda: 2},
    "metrics.ModelParameterRandomization": {"seed": lambda: 0},
    "metrics.PixelFlipping": {"seed": lambda: 0},
    "metrics.RandomLogit": {"seed": lambda: 0},
    "metrics.ROAD": {"steps": lambda: 2, "seed": lambda: 0},
    "metrics.FaithfulnessCorrelation": {"seed": lambda: 0, "num_perturbations": lambda: 3, "subset_size": lambda: 4},
    "metrics.Monotonicity": {"steps": lambda: 2, "seed": lambda: 0, "num_samples": lambda: 1},
    "metrics.LocalLipschitzEstimate": {"seed": lambda: 0, "num_samples": lambda: 2},
    "metrics.EfficientMPRT": {"seed": lambda: 0},
    "metrics.SmoothMPRT": {"seed": lambda: 0, "num_samples": lambda: 2},
    "metrics.Deletion": {"steps": lambda: 2},
    "metrics.Insertion": {"steps": lambda: 2},
    "pretraining.pretrain": {"model": machines, "x": lambda: TABLE, "epochs": lambda: 1, "verbose": lambda: 0},
    "layers.RBMDense": {"units": lambda: 3},
    "layers.to_dense": {"model": machines},
    "openbox.OpenBox": {"model": table},
    "openbox.Plane.plot": {"x": lambda: TABLE, "y": lambda: np.arange(len(TABLE)) % 3},
    "openbox.LinearPieces.nearest_facets": {"k": lambda: 1},
    "callbacks.ExplanationLogger": {"folder": folder},
    "results.Explanation.load": {"path": lambda: _saved(RESULTS["Explanation"]())},
    "results.Explanation.to_dataframe": {"form": lambda: "long"},  # of images
    "results.Result.load": {"path": lambda: _saved(RESULTS["Explanation"]())},
    "report.maps_plot": {"activations": lambda: features.activations(images(), X, ["conv"], verbose=0), "images": lambda: X},
    "report.reconstructions_plot": {"x": lambda: X},
    "report.words_html": {"explanation": _of_tokens},
    "report.color_bar": {"limit": lambda: 1.0},
    "report.parallel_coordinates": {"values": lambda: TABLE[:2]},
    "report.depth_plot": {"named": lambda: {"a": RESULTS["Diagnosis"]()}},
    "report.openbox_page": {"local": lambda: pieces_of_images(), "walls": lambda: pieces_of_images().nearest_wall(verbose=0)},
    "report.decision_plot": {"images": lambda: X[..., 0]},
    "results.EmbeddingMap.plot": {"images": lambda: np.ones((6, 4, 4, 1)), "labels": lambda: [0, 1] * 3},
    "metrics.compare_methods": {"methods": lambda: [attribution.Occlusion(images())]},
    "results.Facets.plot": {"image": lambda: np.ones((8, 8))},
    "openbox.RegionGroups.plot": {"x": lambda: TABLE[:, :2], "y": lambda: Y % 2},
    "openbox.RegionGroups.fidelity": {"y": lambda: Y},
    "openbox.Flattened.fidelity": {"y": lambda: Y},
    "openbox.merge_regions": {"y": lambda: Y},
    "openbox.OpenBox.convert": {"y": lambda: Y},
    "openbox.fidelity_curve": {"sizes": lambda: [1, 2], "y": lambda: Y, "test": lambda: (TABLE, Y)},
    "openbox.flatten_regions": {"max_steps": lambda: 2, "y": lambda: Y},
    "openbox.RegionClassifier.load": {"path": lambda: _saved_classifier()},
    "openbox.RegionClassifier.table": {"y": lambda: Y},
    "attribution.explain_generation": {
        "method": lambda: attribution.Saliency(language_model()),
        "generated": lambda: [4, 5],
    },
    "targets.Box": {"box": lambda: [0, 0, 2, 2]},
    "targets.Box.__call__": {"scores": lambda: SCORES[3]},
    "targets.Margin": {"a": lambda: 0, "b": lambda: 1},
    "targets.Region": {"mask": lambda: [[True, False]]},
    "targets.Region.__call__": {"scores": lambda: SCORES[4]},
    "targets.Token": {"position": lambda: 0},
    "targets.Token.__call__": {"scores": lambda: SCORES[3]},
}
TABULAR = ("openbox.",)  # whose samples are those of the table


def _saved(result):
    path = f"{folder()}/file.npz"
    result.save(path)
    return path


def _saved_classifier():
    path = f"{folder()}/classifier.npz"
    openbox.RegionClassifier(box(), verbose=0).fit(TABLE).save(path)
    return path


@functools.cache
def line():
    return box().line(TABLE[0], TABLE[1], verbose=0)


@functools.cache
def plane():
    return box().plane(*TABLE[:3], verbose=0)


@functools.cache
def groups_of_two_inputs():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), layers.Dense(5, "relu"), layers.Dense(3)])
    return openbox.merge_regions(openbox.OpenBox(model), TABLE[:, :2], 1, verbose=0)


# Whose methods are called.
INSTANCES = {
    "attribution.LIME": lambda: attribution.LIME(images(), num_samples=20, seed=0),
    "attribution.SHAP": lambda: attribution.SHAP(images(), num_samples=40, seed=0),
    "explaining.ExplanationReport": lambda: explaining.explain(table(), TABLE[:2], seconds=1e-3, verbose=0),
    "openbox.LinearPieces": pieces,
    "openbox.Line": line,
    "openbox.Plane": plane,
    "openbox.Polytope": lambda: pieces().polytope(0, bounds=(-1, 2)),
    "openbox.RegionGroups": groups,
    "openbox.RegionGroups.plot": groups_of_two_inputs,
    "openbox.Flattened": lambda: openbox.flatten_regions(groups(), TABLE, max_steps=2, verbose=0),
    "openbox.RegionClassifier": lambda: openbox.RegionClassifier(box(), verbose=0).fit(TABLE),
    "openbox.OpenBox": box,
    "layers.RBMDense": lambda: machines().layers[0],
    "report.Page": lambda: report.Page("words"),
    "results.Result": RESULTS["Explanation"],
    "results.Rows": RESULTS["Explanation"],
}


# Of which users also call the class itself.
MADE = (
    "attribution.LIME",
    "attribution.SHAP",
    "layers.RBMDense",
    "openbox.OpenBox",
    "openbox.RegionClassifier",
    "report.Page",
)


@dataclasses.dataclass(frozen=True)
class Site:
    """A public function, class or method.

    Attributes:
        name: Package, name, and for a method its name.
        function: The function, class or name of the method.
        parameters: Its parameters by name.
        owner: Makes the object whose method it is.
    """

    name: str
    function: object
    parameters: dict
    owner: object = None

    def arguments(self):
        """The arguments of a valid call, by name."""
        own = SPECIAL.get(self.name) or SPECIAL.get(self.name.removesuffix(".__call__")) or {}
        found = {}
        for name, parameter in self.parameters.items():
            if name in own:
                found[name] = own[name]()
            elif parameter.default is inspect.Parameter.empty:
                found[name] = self._given(name)
        if "verbose" in self.parameters and "verbose" not in found:
            found["verbose"] = 0
        return found

    def _given(self, name):
        if name in ("x", "start") and self.name.startswith(TABULAR):
            return TABLE if name == "x" else TABLE[0]
        return GIVEN[name]()

    def call(self, owner, arguments):
        """The result; what takes its arguments first and looks at them later is made to."""
        return completed(self._result(owner, arguments))

    def _result(self, owner, arguments):
        target = self.function if self.owner is None else getattr(owner, self.function)
        positional = [
            arguments.pop(name)
            for name, each in self.parameters.items()
            if each.kind is inspect.Parameter.POSITIONAL_ONLY and name in arguments
        ]
        return target(*positional, **arguments)


def completed(result):
    """Uses what looks at some of its arguments only when it is used."""
    if isinstance(result, (callbacks.FreeEnergyGap, callbacks.PseudoLikelihood)):
        result.set_model(trainer())
        result.measure()
    elif isinstance(result, callbacks.FBIWarmUp):
        pass
    elif isinstance(result, keras.callbacks.Callback):
        result.set_model(images())
        result.on_train_begin()
        result.on_epoch_end(0, {})
        result.on_train_end()
    elif isinstance(result, (attribution.LIME, attribution.SHAP)):
        result(TABLE[:2] if len(result.scores.graph.input_specs[0].shape) == 2 else X[:1])
    elif isinstance(result, attribution.PermutationImportance):
        result(X, Y)
    elif isinstance(result, losses.FBILoss):
        result(images(), X, Y)
    elif isinstance(result, metrics.Metric):
        result(explanation())
    elif isinstance(result, targets.ScoreTarget):
        result(SCORES[{targets.Box: 3, targets.Token: 3, targets.Region: 4}.get(type(result), 2)])
    elif isinstance(result, attribution.Composite):
        attribution.LRP(images(), composite=result)
    elif isinstance(result, openbox.RegionClassifier):
        result.fit(TABLE)
    return result


def _parameters(function):
    taken = dict(inspect.signature(function).parameters)
    return {
        name: each
        for name, each in taken.items()
        if name not in ("self", "cls") and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    }


def _methods(thing):
    """The public methods that a class, or a base in this package, defines."""
    for name in dir(thing):
        if (name.startswith("_") and name not in ("__call__", "__getitem__")) or name in METHODS_OF_OTHERS:
            continue
        function = inspect.getattr_static(thing, name)
        is_class_method = isinstance(function, classmethod)
        function = function.__func__ if isinstance(function, (classmethod, staticmethod)) else function
        if inspect.isfunction(function) and function.__module__.startswith("keras_xai"):
            yield name, function, is_class_method


def sites():
    """All sites, by name."""
    found = {}
    shared = set()  # methods of base classes, once
    for package in keras_xai.__all__:
        module = getattr(keras_xai, package)
        for name in module.__all__:
            thing, label = getattr(module, name), f"{package}.{name}"
            if package in OTHERS or label in OTHERS or isinstance(thing, type(keras_xai)):
                continue
            if inspect.isfunction(thing):
                found[label] = Site(label, thing, _parameters(thing))
                continue
            is_result = issubclass(thing, results.Result)
            if is_result and getattr(results, name, None) is thing:
                label = f"results.{name}"
            by_hand = is_result or (label in INSTANCES and label not in MADE)
            if not by_hand and not inspect.isabstract(thing) and not label.startswith("kinds."):
                found[label] = Site(label, thing, _parameters(thing))
            if inspect.isabstract(thing):
                continue
            for method, function, _ in _methods(thing):
                is_of_base = function.__qualname__.partition(".")[0] != thing.__name__
                if (
                    (is_of_base and is_result and function in shared)
                    or not _parameters(function)
                    or f"{label}.{method}" in OTHERS
                    or f"{package}.{function.__qualname__}" in OTHERS
                ):
                    continue
                shared.add(function)
                at = f"{label}.{method}"
                found[at] = Site(at, method, _parameters(function), owner=_owner(at, label, name, thing))
    return found


def _owner(at, label, name, thing):
    if at in INSTANCES or label in INSTANCES:
        return INSTANCES.get(at) or INSTANCES[label]
    if name in RESULTS:
        return RESULTS[name]
    constructor = Site(label, thing, _parameters(thing))
    return lambda: constructor.call(None, constructor.arguments())
