"""The conformance grid: every method on every sort of model works, or says why it does not."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xai import attribution
from tests.attribution.grid import CASES, METHODS, OF_ATTENTION, REFUSED, WITH_ATTENTION, case_of, model_of
from tests.public import DOCS, concrete, snake_case, unexported
from tests.slow import quickly
from tests.state import state

CELLS = [(method, case) for method in METHODS for case in CASES]


@functools.cache
def model(name):
    return model_of(CASES[name])


def leaves(values):
    return keras.tree.flatten(values)


def few(x):
    """The first samples, which will do to see that a method works."""
    return keras.tree.map_structure(lambda values: values[:2], x)


# All methods on models of any structure; on models that differ in other ways, one of each way in which methods read a model.
STRUCTURES = ("functional", "nested", "several inputs", "several outputs")
OF_EACH_WAY = ("IntegratedGradients", "LRP", "GradCAM", "Occlusion", "DeepLIFT", "DeepSHAP")


def _is_quick(method, name):
    # The model of the column "final softmax" is that of "reloaded" before it was saved.
    return (
        name in STRUCTURES
        or (method in OF_EACH_WAY and name != "final softmax")
        or (method in OF_ATTENTION and name == WITH_ATTENTION)
    )


@pytest.mark.parametrize(
    "method, name",
    [pytest.param(*cell, marks=() if _is_quick(*cell) else pytest.mark.slow, id="-".join(cell)) for cell in CELLS],
)
def test_cell(method, name):
    check_cell(METHODS[method], name, REFUSED.get((method, name)))


def check_cell(make, name, refused=None):
    """A method on one sort of model: it works, or says why it does not, and changes nothing."""
    case = CASES[name]
    before = state(model(name))
    if refused:
        with pytest.raises(ValueError, match=refused):
            make(model(name), case)(few(case.x), case.target)
        assert state(model(name)) == before
        return
    explanation = make(model(name), case)(few(case.x), case.target)
    assert state(model(name)) == before
    assert len(explanation) == 2
    assert type(explanation.values) is type(case.x)
    held = sum(values is None for values in leaves(explanation.values))
    assert held == len(explanation.held_fixed) < len(leaves(case.x))
    for values, x in zip(leaves(explanation.values), leaves(few(case.x)), strict=True):
        if values is None:
            continue
        assert values.shape in (x.shape, (*x.shape[:-1], 1))
        assert np.isfinite(values).all()
    assert any(values is not None and values.any() for values in leaves(explanation.values))
    assert explanation.num_forward_passes > 0
    assert (explanation.base_score is None) == (explanation.convergence_delta is None)


# How samples are divided into batches does not depend on what the model is made of.
BATCHED = [(method, name) for method, name in CELLS if name in ("functional", "several inputs", "1-D", WITH_ATTENTION)]


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
            if one is None:
                assert two is None
                continue
            # Sobol indices are shares of a variance that is small beside the rounding of the scores.
            allowed = 1e-4 if method == "SobolAttribution" else 1e-5
            np.testing.assert_allclose(two, one, atol=allowed * max(1, np.abs(one).max()))


@pytest.mark.parametrize("method", quickly(METHODS, *OF_EACH_WAY, *OF_ATTENTION))
def test_nothing_changes_after_a_failure(method):
    case = case_of(method)
    broken = model_of(case)
    head = broken.get_layer("head")
    head.kernel.assign(np.full(head.kernel.shape, np.nan))
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


def documentation(name):
    """What the documentation of a method lacks."""
    page = DOCS / "methods" / f"{snake_case(name)}.md"
    if not page.is_file():
        return [f"there is no page docs/methods/{page.name}"]
    missing = [part for part in ("**Question.**", "**Source.**", "**When it misleads.**") if part not in page.read_text()]
    if f"]({page.name})" not in (page.parent / "index.md").read_text():
        missing.append("a row of the table in docs/methods/index.md")
    return missing


@pytest.mark.parametrize("name", concrete(attribution, attribution.Method))
def test_every_method_has_a_page(name):
    assert documentation(name) == []


def test_a_method_without_a_page_is_noticed():
    assert documentation("SaliencyTwo") == ["there is no page docs/methods/saliency_two.md"]


def test_every_method_is_exported_and_so_in_the_grid(monkeypatch):
    assert unexported(attribution, attribution.Method, "keras_xai.attribution") == []
    monkeypatch.setattr(attribution, "__all__", [name for name in attribution.__all__ if name != "LIME"])
    assert unexported(attribution, attribution.Method, "keras_xai.attribution") == ["LIME"]
