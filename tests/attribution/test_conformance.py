"""The conformance grid: every method on every sort of model works, or says why it does not."""

import functools
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend.common import global_state
from tensorflow.python.framework import ops

from tests.attribution.grid import CASES, METHODS, REFUSED, model_of
from tests.slow import quickly

CELLS = [(method, case) for method in METHODS for case in CASES]


@functools.cache
def model(name):
    return model_of(CASES[name])


def state(model):
    """What must not change: the model, bit by bit, and everything global that a method might touch."""
    weights = [keras.ops.convert_to_numpy(variable).tobytes() for variable in model.variables]
    nodes = [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model._flatten_layers()]
    return {
        "weights": weights,
        "nodes": nodes,
        "config": model.to_json(),
        "trainable": [layer.trainable for layer in model._flatten_layers()],
        "numpy": [np.asarray(part).tobytes() for part in np.random.get_state()[1:2]],  # noqa: NPY002  the global state is meant
        "random": random.getstate(),
        "keras": str(global_state.get_global_attribute("global_seed_generator")),
        "names": dict(global_state.get_global_attribute("object_name_uids") or {}),
        "policy": keras.config.dtype_policy().name,
        "floatx": keras.config.floatx(),
        "losses": len(model.losses),
        "registry": gradient_registry(),
        "eager": tf.config.functions_run_eagerly(),
    }


def gradient_registry():
    """The derivatives that TensorFlow knows. It adds one of its own for each custom gradient that it compiles."""
    return {name: ops.gradient_registry.lookup(name) for name in ops.gradient_registry.list() if "Custom" not in name}


def leaves(values):
    return keras.tree.flatten(values)


def few(x):
    """The first samples, which will do to see that a method works."""
    return keras.tree.map_structure(lambda values: values[:2], x)


# All methods on models of any structure; on models that differ in other ways, one of each way in which methods read a model.
STRUCTURES = ("functional", "nested", "several inputs", "several outputs")
OF_EACH_WAY = ("IntegratedGradients", "LRP", "GradCAM", "Occlusion", "SHAP deep")


def _is_quick(method, name):
    # The model of the column "final softmax" is that of "reloaded" before it was saved.
    return name in STRUCTURES or (method in OF_EACH_WAY and name != "final softmax")


@pytest.mark.parametrize(
    "method, name",
    [pytest.param(*cell, marks=() if _is_quick(*cell) else pytest.mark.slow, id="-".join(cell)) for cell in CELLS],
)
def test_cell(method, name):
    case = CASES[name]
    before = state(model(name))
    if (method, name) in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[method, name]):
            METHODS[method](model(name), case)(few(case.x), case.target)
        assert state(model(name)) == before
        return
    explanation = METHODS[method](model(name), case)(few(case.x), case.target)
    assert state(model(name)) == before
    assert len(explanation) == 2
    assert type(explanation.values) is type(case.x)
    for values, x in zip(leaves(explanation.values), leaves(few(case.x)), strict=True):
        assert values.shape in (x.shape, (*x.shape[:-1], 1))
        assert np.isfinite(values).all()
    assert any(values.any() for values in leaves(explanation.values))
    assert explanation.num_forward_passes > 0


# How samples are divided into batches does not depend on what the model is made of.
BATCHED = [(method, name) for method, name in CELLS if name in ("functional", "several inputs", "1-D")]


@pytest.mark.slow
@pytest.mark.parametrize("method, name", BATCHED, ids=[f"{method}-{name}" for method, name in BATCHED])
def test_the_size_of_batches_changes_nothing(method, name):
    if (method, name) in REFUSED:
        return
    case = CASES[name]
    first, *others = (
        METHODS[method](model(name), case, batch_size=batch_size)(case.x, case.target) for batch_size in (64, 7, 1)
    )
    for other in others:
        for one, two in zip(leaves(first.values), leaves(other.values), strict=True):
            np.testing.assert_allclose(two, one, atol=1e-5 * max(1, np.abs(one).max()))


@pytest.mark.parametrize("method", quickly(METHODS, *OF_EACH_WAY))
def test_nothing_changes_after_a_failure(method):
    case = CASES["functional"]
    broken = model_of(case)
    broken.get_layer("head").kernel.assign(np.full((4, 4), np.nan))
    before = state(broken)
    with pytest.raises(ValueError, match="NaN"):
        METHODS[method](broken, case)(case.x, case.target)
    assert state(broken) == before
    other = model("functional")
    with tf.GradientTape() as tape:
        point = tf.constant(case.x)
        tape.watch(point)
        score = tf.reduce_sum(other(point))
    assert np.isfinite(tape.gradient(score, point)).all()


def test_every_public_method_is_in_the_grid():
    from keras_xai import attribution

    methods = {
        name
        for name in attribution.__all__
        if isinstance(getattr(attribution, name), type)
        and issubclass(getattr(attribution, name), attribution.Method)
        and name != "Method"
    }
    assert methods == {name.split(" ")[0] for name in METHODS}
