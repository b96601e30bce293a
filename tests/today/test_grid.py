"""The networks of today: each method works with checked values, or is refused for a documented reason with advice that works."""

import functools
import importlib.util

import numpy as np
import pytest
import tensorflow as tf
from keras import ops, tree

from keras_xai.attribution import GradientTimesInput, IntegratedGradients, Occlusion
from keras_xai.graph import trace
from tests.slow import quickly
from tests.today import networks
from tests.today.networks import (
    ALL,
    APPLICATIONS,
    METHODS,
    NETWORKS,
    REASONS,
    TASKS,
    documented,
    explain,
    functional_twin,
    lost,
    model_of,
    reason,
)

HUB = {"bert", "gpt2", "vit", "roberta", "distilbert", "gemma", "resnet", "efficientnet", "segformer", "retinanet"}
QUICK = ("bert", "gpt2", "vit", "lstm", "subclassed CNN")
QUICK_METHODS = ("GradientTimesInput", "IntegratedGradients", "LRP", "LIME", "Occlusion")
# One column for each way to read a model; the others are tested on the networks in `WHOLE`, and run on all by benchmarks/today_grid.py.
COLUMNS = ("GradientTimesInput", "Occlusion", "LRP", "DeepLIFT", "GradCAM", "OpenBox", "activations")
WHOLE = ("bert", "vit", "subclassed CNN")


def _cells(columns):
    """Cells of the table in the documentation."""
    return [
        pytest.param(name, column, id=f"{name}-{column}", marks=() if _is_quick(name, column) else pytest.mark.slow)
        for name, network in ALL.items()
        for column in documented(network)
        if column in columns and (column in COLUMNS or name in WHOLE or _is_quick(name, column))
    ]


# In float32 their changes are less than a thousandth of what they are the rounded sum of; see benchmarks/completeness.py for float64.
ROUNDED = {"siamese", "retinanet"}
REFUSED = "Received|because of|needs|are NaN|select one|one score per class|hidden layers"


def _is_quick(name, column):
    return name in QUICK and column in QUICK_METHODS


@functools.lru_cache(maxsize=4)
def _model(name):
    return model_of(ALL[name])


def model(name):
    if name in HUB and importlib.util.find_spec("keras_hub") is None:
        pytest.skip("needs keras-hub, an extra for tests")
    return _model(name)


@pytest.mark.parametrize("name, method", _cells(METHODS))
def test_cell(name, method):
    network, cell = ALL[name], documented(ALL[name])[method]
    if cell == "yes":
        # With random weights no score may rise with the maps of a deep network, of which these methods keep the positive part.
        clipped = name in APPLICATIONS and "CAM" in method
        explanation = explain(method, network, model(name))
        _check_values(network, explanation, may_vanish=clipped)
        if method in ("DeepLIFT", "DeepSHAP"):
            delta, change = lost(explanation)
            # Of a small change, what rounding adds to scores of about 1 is a larger part.
            assert (delta <= (1e-3 if name in ROUNDED else 1e-5) * np.maximum(change, 0.5)).all()
        return
    with pytest.raises(ValueError, match=REFUSED) as info:
        explain(method, network, model(name))
    assert reason(info.value) == cell
    _check_advice(name, str(info.value))


def _check_values(network, explanation, *, may_vanish=False):
    given = dict(tree.flatten_with_path(network.x))
    values = [each for _, each in _by_path(explanation.values, network.x)]
    held = {path[0] for (path, each) in _by_path(explanation.values, network.x) if each is None}
    assert held >= set(network.held) and set(explanation.held_fixed) == held
    for each, x in zip(values, given.values(), strict=True):
        if each is not None:
            assert each.shape in (x.shape, (*x.shape[:-1], 1))
            assert np.isfinite(each).all()
    assert may_vanish or any(each is not None and each.any() for each in values)


def _by_path(values, x):
    """The values of each input, `None` for one that is held fixed, in the order of the inputs."""
    if isinstance(x, dict):
        return [((key,), values[key]) for key in sorted(x)]
    return [((i,), each) for i, each in enumerate(values)] if isinstance(x, list) else [((), values)]


def _check_advice(name, message):
    """An error names the model or its layers, and something that works: a method, or an argument."""
    graph = trace(model(name))
    assert any(f"'{path}" in message for path in (model(name).name, *(step.path.split("/")[0] for step in graph.steps)))
    advised = {method for method in METHODS if method in message.rpartition("Use ")[2]}
    works = {column for column, cell in documented(ALL[name]).items() if cell == "yes"}
    assert advised & works or any(way in message for way in ("layer=", "`baseline`"))


@pytest.mark.parametrize("name, task", _cells(TASKS))
def test_task(name, task):
    cell = documented(ALL[name])[task]
    if cell == "yes":
        assert TASKS[task](ALL[name], model(name)) is not None
        return
    with pytest.raises(ValueError, match=REFUSED) as info:
        TASKS[task](ALL[name], model(name))
    assert reason(info.value) == cell


def test_table_has_the_cells_and_their_reasons():
    assert all({*QUICK_METHODS} <= documented(ALL[name]).keys() for name in QUICK)
    assert {cell for network in ALL.values() for cell in documented(network).values()} <= {"yes", *REASONS}


# Gradients and integrated gradients against a plain tape.


def _score(name, outputs):
    """The explained score, written by hand."""
    if name == "gpt2":
        return tf.nn.log_softmax(outputs[:, networks.LENGTH - 3])[:, 3]
    return outputs[:, 1]


class _Lookup:
    """Gradients of the score by the vectors that the embedding layer of a model returns, or by the input if it has none."""

    def __init__(self, name, embedding):
        self.name, self.model, self.x = name, model(name), NETWORKS[name].x
        self.layer = None if embedding is None else _layer(self.model, embedding)
        ids = self.x["token_ids"] if isinstance(self.x, dict) else self.x
        self.start, self.stop = (self.x * 0, self.x) if self.layer is None else (self.layer(ids * 0), self.layer(ids))
        self.start, self.stop = (ops.convert_to_numpy(each) for each in (self.start, self.stop))

    def gradient(self, point, monkeypatch):
        point = tf.convert_to_tensor(point)
        with tf.GradientTape() as tape, monkeypatch.context() as patch:
            tape.watch(point)
            if self.layer is not None:
                whole = self.layer.call
                patch.setattr(
                    self.layer, "call", lambda x, reverse=False: whole(x, reverse=True) if reverse else tf.identity(point)
                )
            given = point if self.layer is None else self.x
            return tape.gradient(_score(self.name, self.model(given, training=False)), point).numpy()

    def folded(self, values):
        return values if self.layer is None else values.sum(axis=-1)


def _layer(model, name):
    return next(each for each in model._flatten_layers() if each.name.startswith(name))


def _own(values):
    return values["token_ids"] if isinstance(values, dict) else values


BY_TAPE = {
    "bert": "token_embedding",
    "gpt2": "token_embedding",
    "vit": None,
    "bilstm": "embedding",
    "subclassed transformer": "embedding",
}


@pytest.mark.parametrize("name", quickly(BY_TAPE, "vit"))
def test_gradients_are_those_of_a_tape(name, monkeypatch):
    lookup, network = _Lookup(name, BY_TAPE[name]), NETWORKS[name]
    found = GradientTimesInput(model(name))(network.x, network.target)
    expected = lookup.folded(lookup.gradient(lookup.stop, monkeypatch) * lookup.stop)
    np.testing.assert_allclose(_own(found.values), expected, atol=1e-5 * max(1, np.abs(expected).max()))
    assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("name", quickly(BY_TAPE, "bert"))
def test_integrated_gradients_are_those_of_a_tape_and_complete(name, monkeypatch):
    lookup, network = _Lookup(name, BY_TAPE[name]), NETWORKS[name]
    nodes, weights = np.polynomial.legendre.leggauss(6)
    way = lookup.stop - lookup.start
    integral = sum(
        weight / 2 * lookup.gradient((lookup.start + (node + 1) / 2 * way).astype("float32"), monkeypatch)
        for node, weight in zip(nodes, weights, strict=True)
    )
    found = IntegratedGradients(model(name), steps=6)(network.x, network.target)
    expected = lookup.folded(integral * way)
    np.testing.assert_allclose(_own(found.values), expected, atol=1e-5 * max(1, np.abs(expected).max()))
    whole = IntegratedGradients(model(name), steps=128)(network.x, network.target)
    scores = np.abs(_score(name, model(name)(network.x, training=False)))
    assert (np.abs(whole.convergence_delta) <= 1e-3 * np.maximum(scores, 1)).all()


def test_occlusion_is_the_difference_of_two_scores():
    for name in ("bert", "gpt2"):
        x = NETWORKS[name].x
        found = Occlusion(model(name))(x, NETWORKS[name].target).values["token_ids"]
        hidden = {**x, "token_ids": x["token_ids"].copy()}
        hidden["token_ids"][:, 1] = 0
        expected = _score(name, model(name)(x, training=False)) - _score(name, model(name)(hidden, training=False))
        np.testing.assert_allclose(found[:, 1], expected, atol=1e-5)
        assert np.abs(expected).max() > 1e-4


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(each, marks=() if each in QUICK_METHODS else pytest.mark.slow)
        for each in METHODS
        if documented(NETWORKS["subclassed CNN"])[each] == "yes"
    ],
)
def test_a_subclassed_model_is_the_functional_one(method):
    network = NETWORKS["subclassed CNN"]
    one, other = (
        explain(method, network, each).values for each in (model("subclassed CNN"), functional_twin(model("subclassed CNN")))
    )
    np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())


@pytest.mark.slow
def test_the_advice_on_padding_works():
    network = NETWORKS["encoder"]
    values = METHODS["SHAP"](model("encoder"), num_samples=150, seed=0)(network.x, network.target, baseline=1).values
    assert np.isfinite(values).all() and values.any()
