"""Properties of all methods on random models: what is explained is the model, and nothing else is changed.

Each seed is a test of its own: `pytest tests/network/test_random_models.py -m "slow or not slow" -k seed37-`.
"""

import contextlib
import functools
import os
import re
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai import attribution
from keras_xai.attribution import IntegratedGradients
from keras_xai.network.scores import Scores
from keras_xai.openbox import OpenBox, UnsupportedLayerError
from tests.attribution.grid import OF_ATTENTION, VARIANTS
from tests.network.random_models import NUM_SAMPLES, classes_of, draw
from tests.public import concrete
from tests.state import state
from tests.tolerance import rounding

NUM_QUICK, NUM_SLOW = 25, 500
NUM_CLASSES, NUM_FOR_CLASSES = 80, 100
NUM_THREADS = 2
NUM_WITH_REFUSALS, NUM_EXPLAINED = 12, 2

# Fewer random samples than elsewhere: most of the time of these methods is spent outside of the package.
FEWER = {"LIME": 20, "SHAP partition": 20}
METHODS = {
    label: functools.partial(method, **options | ({"num_samples": FEWER[label]} if label in FEWER else {}))
    for name, method in concrete(attribution, attribution.Method).items()
    for label, options in VARIANTS.get(name, {name: {}}).items()
}

# What a method may answer to a model, where its error names no layer.
REASONS = {
    "CAM": "CAM needs|averages the feature maps",
    "GradCAM": "feature maps",
    "GradCAMPlusPlus": "feature maps",
    "ScoreCAM": "feature maps",
    "LayerCAM": "feature maps",
    "HiResCAM": "feature maps",
    "XGradCAM": "feature maps",
    "EigenCAM": "feature maps",
    "AblationCAM": "feature maps",
    "GuidedGradCAM": "feature maps|which has none before its scores",
    "GuidedBackprop": "which has none before its scores",
    "Deconvnet": "which has none before its scores",
    "LRP": "in which no layer takes a rule",
    "AttentionRollout": "model with attention",
    "GradientRollout": "model with attention",
}
# The others work on every model, and those of `PIECEWISE` on every piecewise-linear one.
PIECEWISE = ("LRP", "DecisionFeatures")
REFUSING = {*REASONS, *PIECEWISE, "DeepLIFT", "DeepSHAP"}

# A score that jumps may change without any derivative.
JUMP = "Expected a score that changes gradually from the baseline"
# A vector of zeros has no direction; methods that differentiate at a baseline of zeros say that it has no derivative there.
UNDEFINED_AT_ZERO = {layers.UnitNormalization, layers.Dot}

DIGITS = {"float32": "float32", "float64": "float64", "mixed_float16": "float16"}


def leaves(values):
    """The arrays of a nest, without those of inputs that are held fixed."""
    return [np.asarray(each) for each in keras.tree.flatten(values) if each is not None]


def size(*arrays):
    return max(1.0, *(np.abs(each).max(initial=0) for array in arrays for each in leaves(array)))


def target_of(drawn):
    """A target, by the seed: the predicted class, a class, or a class for each sample; of the first output of several."""
    units = drawn.twin.outputs[0].shape[-1]
    target = [None, units - 1, np.arange(NUM_SAMPLES) % units][drawn.seed % 3]
    if drawn.links[0] != "softmax" and units == 1 and target is not None:
        target = 1 if drawn.links[0] == "sigmoid" else 0
    return {"out_0": target} if len(drawn.twin.outputs) > 1 else target


def explained(drawn, x, target):
    """The score of the first output, for the target of an explanation, by the twin."""
    return chosen(drawn.scores(x)[0], target)


def chosen(scores, target):
    classes = target["out_0"] if isinstance(target, dict) else target
    return scores[:, 0] if scores.shape[1] == 1 else scores[np.arange(NUM_SAMPLES), classes]


def computed_in(drawn):
    """The type in which the scores of the package are computed."""
    return "float64" if drawn.policy == "float64" and not drawn.single else "float32"


def probabilities(scores, link):
    if link is None:
        return scores
    if link == "sigmoid":
        return 1 / (1 + np.exp(-scores))
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


@contextlib.contextmanager
def seeds_kept(model):
    """Context manager after which the seeds of random layers are as before: `predict` of a subclassed model may change them."""
    before = {variable.path: ops.convert_to_numpy(variable) for variable in model.non_trainable_variables}
    yield
    for variable in model.non_trainable_variables:
        variable.assign(before[variable.path])


def check_scores(drawn):
    """The scores equal those of the float64 twin, and what `predict` returns but for the type of the model."""
    scores = Scores(drawn.model)
    ours = scores.outputs(scores.run([ops.convert_to_tensor(each) for each in scores.typed(leaves(drawn.x))]))
    with seeds_kept(drawn.model):
        predicted = leaves(drawn.model.predict(drawn.x, verbose=0))
    own = DIGITS.get(drawn.policy)
    digits = np.finfo(own).eps if own else 2.0**-7  # of bfloat16
    for each, theirs, right, link in zip(ours, predicted, drawn.scores(drawn.x), drawn.links, strict=True):
        np.testing.assert_allclose(each, right, rtol=0, atol=rounding(computed_in(drawn), size(right), 100))
        right = probabilities(right, link)
        np.testing.assert_allclose(theirs.astype("float64"), right, rtol=0, atol=60 * digits * size(right))


def check_complete(drawn, target):
    """Integrated gradients and their delta add up, by the twin, to the difference of scores; the delta is small."""
    explanation = IntegratedGradients(drawn.model, steps=16, tolerance=0.01, max_steps=20_000)(drawn.x, target)
    start = chosen(drawn.scores_from(explanation.baseline)[0], explanation.target)
    rise = explained(drawn, drawn.x, explanation.target) - start
    total = sum(each.reshape(NUM_SAMPLES, -1).astype("float64").sum(axis=1) for each in leaves(explanation.values))
    atol = rounding(computed_in(drawn), size(rise, explanation.values), 300)
    np.testing.assert_allclose(total + explanation.convergence_delta, rise, rtol=0, atol=atol)
    if drawn.continuous:
        np.testing.assert_allclose(total, rise, rtol=0.011, atol=atol)


def check_linear_pieces(drawn):
    """Pieces are exact at the samples and on the way to the edge of their regions; other models are refused by name."""
    output = 0 if len(drawn.twin.outputs) > 1 else None
    if not drawn.piecewise:
        with pytest.raises(UnsupportedLayerError) as caught:
            OpenBox(drawn.model, output=output)
        assert all(problem.path in str(caught.value) for problem in caught.value.problems)
        return
    local = OpenBox(drawn.model, output=output, dtype="float64")(drawn.x)
    rng = np.random.default_rng(drawn.seed)
    direction = keras.tree.map_structure(lambda each: rng.normal(size=each.shape), drawn.x)
    step = 0.9 * np.minimum(local.exit_distance(direction), 1)
    dtype = "float32" if drawn.single else "float64"
    for length in (0, step):
        moved = keras.tree.map_structure(
            lambda each, way, t=length: each + way * np.reshape(t, (-1, *[1] * (each.ndim - 1))), drawn.x, direction
        )
        right = drawn.scores(moved)[0]
        np.testing.assert_allclose(local.predict(moved), right, rtol=0, atol=rounding(dtype, size(right, moved), 300))


def names_a_layer(message, model):
    return any(re.search(rf"\b{re.escape(layer.name)}\b", message) for layer in model._flatten_layers())


def explain(label, drawn, target, model=None, **options):
    """A method and its explanation, which is `None` if it refuses the model by name."""
    model = model or drawn.model
    method = None
    try:
        method = METHODS[label](model, **options)
        return method, method(drawn.x, target)
    except ValueError as error:
        message = str(error)
        if "NaN or infinite" in message and not drawn.classes.isdisjoint(UNDEFINED_AT_ZERO):
            return method, None
        if JUMP in message and not drawn.continuous:
            return method, None
        assert label in REFUSING, message
        assert re.search(REASONS.get(label, "^$"), message) or names_a_layer(message.replace(f"'{model.name}'", ""), model), (
            message
        )
        assert not (drawn.piecewise and label in PIECEWISE) or re.search(REASONS.get(label, "^$"), message), message
        return method, None


# Indices are shares of the variance of scores, which may be small beside their rounding.
SHARES_OF_VARIANCE = {"SobolAttribution": 50}


def check_same(label, drawn, found, expected):
    times = 100 * SHARES_OF_VARIANCE.get(label, 1)
    for a, b in zip(leaves(found.values), leaves(expected.values), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=rounding(computed_in(drawn), size(b), times))


def observed(model):
    """What must not change. Every call of `ops.pad` uses up an automatic name, also in the user's own calls of the model."""
    found = state(model)
    return found | {"names": {name: count for name, count in found["names"].items() if name != "pad"}}


def check(seed, folder):
    """All properties of the model of a seed. Returns the label of the method if it worked, `None` if it refused."""
    drawn = draw(seed)
    target = target_of(drawn)
    before = observed(drawn.model)
    check_scores(drawn)
    check_complete(drawn, target)
    check_linear_pieces(drawn)
    label = list(METHODS)[drawn.seed % len(METHODS)]
    method, expected = explain(label, drawn, target)
    if expected is not None:
        for values, x in zip(keras.tree.flatten(expected.values), keras.tree.flatten(drawn.x), strict=True):
            if values is None:  # held fixed
                continue
            assert len(values) == NUM_SAMPLES and values.ndim == x.ndim
            assert np.isfinite(values).all()
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            for found in pool.map(lambda _: method(drawn.x, target), range(NUM_THREADS)):
                check_same(label, drawn, found, expected)
    after = observed(drawn.model)
    assert not {key: (before[key], after[key]) for key in before if after[key] != before[key]}
    if expected is not None:
        drawn.model.save(folder / "model.keras")
        _, found = explain(label, drawn, target, keras.models.load_model(folder / "model.keras"), batch_size=1)
        check_same(label, drawn, found, expected)
    return label if expected is not None else None


# "1/3" for the second third of the slow ones.
PART, PARTS = map(int, os.environ.get("KERAS_XAI_RANDOM_MODELS", "0/1").split("/"))
SEEDS = [
    pytest.param(seed, id=f"seed{seed}-", marks=() if seed < NUM_QUICK else pytest.mark.slow)
    for seed in range(NUM_SLOW)
    if seed < NUM_QUICK or seed % PARTS == PART
]


@pytest.mark.parametrize("seed", SEEDS)
def test_random_model(seed, tmp_path):
    check(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("label", sorted(REFUSING - {*OF_ATTENTION}))  # which no random model has between the same tokens
def test_methods_that_refuse_some_models_explain_others(label):
    """Else a method that refuses everything would pass the tests above."""
    worked = [seed for seed in range(NUM_WITH_REFUSALS) if explain(label, *_with_target(draw(seed)))[1] is not None]
    assert len(worked) >= NUM_EXPLAINED


def _with_target(drawn):
    return drawn, target_of(drawn)


@pytest.mark.slow
def test_layers_are_drawn():
    drawn = {cls for seed in range(NUM_FOR_CLASSES) for cls in classes_of(seed)}
    print(len(drawn), "layer classes:", sorted(cls.__name__ for cls in drawn))
    assert len(drawn) >= NUM_CLASSES
