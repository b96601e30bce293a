"""What every metric must do, whatever it measures: found in the exports, made by the names of its arguments."""

import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai import metrics
from keras_xai.attribution import GradientTimesInput
from tests.metrics.extremes import EXTREMES
from tests.metrics.oracles import ORACLES
from tests.public import section
from tests.state import state

NUM_SAMPLES = 6
# Options with which a metric takes less time, and draws the same in each test, where it has them.
OPTIONS = {"steps": 4, "num_perturbations": 3, "num_samples": 2, "k": 5, "seed": 0}
_RNG = np.random.default_rng(0)
_IMAGES = _RNG.normal(size=(NUM_SAMPLES, 5, 4, 2)).astype("float32")
_SERIES = _RNG.normal(size=(NUM_SAMPLES, 7, 2)).astype("float32")
_TABLE = _RNG.normal(size=(NUM_SAMPLES, 6)).astype("float32")
_TOKENS = _RNG.integers(1, 9, size=(NUM_SAMPLES, 6)).astype("int32")


@dataclasses.dataclass(frozen=True)
class Case:
    """A sort of data: what makes a model for it, and samples."""

    build: Callable[[], keras.Model]
    x: Any

    @functools.cached_property
    def model(self):
        keras.utils.set_random_seed(0)
        model = self.build()
        for variable in model.variables:
            variable.assign(np.random.default_rng(1).normal(0.1, 0.4, size=variable.shape))
        return model

    @functools.cached_property
    def method(self):
        return GradientTimesInput(self.model)

    @property
    def explanation(self):
        return self.method(self.x)

    @functools.cached_property
    def masks(self):
        return keras.tree.map_structure(_mask, self.x)


def _mask(x):
    """An object in the first half of the places."""
    mask = np.zeros(x.shape[:-1] if x.ndim > 2 else x.shape, bool)
    mask[:, : mask.shape[1] // 2 + 1] = True
    return mask


def _image():
    x = keras.Input((5, 4, 2))
    y = layers.Conv2D(3, 2, activation="relu")(x)
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(y)))


def _series():
    x = keras.Input((7, 2))
    return keras.Model(x, layers.Dense(3, "softmax")(layers.Flatten()(layers.Conv1D(3, 2, activation="relu")(x))))


def _table():
    return keras.Sequential([keras.Input((6,)), layers.Dense(5, "relu"), layers.Dense(3, "softmax")])


def _tokens():
    x = keras.Input((6,), dtype="int32")
    return keras.Model(x, layers.Dense(3, "softmax")(layers.Flatten()(layers.Embedding(9, 4)(x))))


def _several():
    image, table = keras.Input((5, 4, 2), name="image"), keras.Input((6,), name="table")
    joined = layers.Concatenate()([layers.Flatten()(image), layers.Dense(4, "relu")(table)])
    return keras.Model({"image": image, "table": table}, layers.Dense(3, "softmax")(joined))


CASES = {
    "image": Case(_image, _IMAGES),
    "series": Case(_series, _SERIES),
    "table": Case(_table, _TABLE),
    "tokens": Case(_tokens, _TOKENS),
    "several inputs": Case(_several, {"image": _IMAGES, "table": _TABLE}),
}

# What is refused, by metric and sort of data: a part of the error's message.
_NEIGHBORS = "since `ROAD` imputes removed positions from their neighbors"
_PERTURBED = "samples of real numbers, which can be perturbed slightly"
REFUSED = {
    (metrics.ROAD, "table"): _NEIGHBORS,
    (metrics.ROAD, "tokens"): _NEIGHBORS,
    (metrics.ROAD, "several inputs"): _NEIGHBORS,
    (metrics.LocalLipschitzEstimate, "tokens"): _PERTURBED,
    (metrics.SmoothMPRT, "tokens"): _PERTURBED,
    (metrics.MaxSensitivity, "tokens"): _PERTURBED,
    (metrics.NeighborSimilarity, "tokens"): "samples of real numbers",
}


def options_of(metric):
    """The options of `OPTIONS` that a metric has."""
    return {name: value for name, value in OPTIONS.items() if name in inspect.signature(metric).parameters}


def make(metric, case, method=None, **options):
    """A metric for a case, which is given the model, the method and the masks if its arguments have these names."""
    known = {"model": case.model, "method": case.method if method is None else method, "masks": case.masks}
    given = {name: value for name, value in known.items() if name in inspect.signature(metric).parameters}
    return metric(**given, **options_of(metric), **options)


def check_cell(metric, name):
    """A metric on one sort of data: it works, or says why it does not, and changes nothing."""
    case = CASES[name]
    explanation = case.explanation
    kept, before = copy.deepcopy(explanation), state(case.model)
    if (metric, name) in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[metric, name]):
            make(metric, case)(explanation)
        assert state(case.model) == before
        return
    values = make(metric, case)(explanation)
    assert values.shape == (NUM_SAMPLES,) and values.dtype == "float64" and np.isfinite(values).all()
    assert isinstance(metric.higher_is_better, bool)
    np.testing.assert_array_equal(make(metric, case)(explanation), values)
    assert state(case.model) == before
    assert explanation == kept
    if "batch_size" in inspect.signature(metric).parameters:
        np.testing.assert_allclose(make(metric, case, batch_size=4)(explanation), values, rtol=1e-4, atol=1e-6)


def check_documentation(metric):
    """A section in `docs/methods/metrics.md` that says what every section says."""
    text = section("methods/metrics.md", metric.__name__)
    assert text is not None, f"docs/methods/metrics.md has no section {metric.__name__}"
    for part in ("**Question.**", "**Source.**", "**Cost.**", "**When it misleads.**"):
        assert part in text, f"the section {metric.__name__} lacks {part}"


def check_oracle(metric):
    """The values are those of the naive replica, and those of a replica that is told another explanation are not."""
    assert metric in ORACLES, f"tests/metrics/oracles.py has no oracle of {metric.__name__}"
    case = CASES["image"]
    explanation = case.explanation
    found = make(metric, case)(explanation)
    others = dataclasses.replace(explanation, values=np.roll(explanation.values**3, 7, axis=(1, 2)))
    right, wrong = (
        ORACLES[metric](case.model, case.method, each, case.masks, **options_of(metric)) for each in (explanation, others)
    )
    np.testing.assert_allclose(found, right, rtol=2e-3, atol=1e-6)
    assert not np.allclose(found, wrong, rtol=2e-2, atol=1e-5)


def check_extremes(metric):
    """A perfect explanation is rated better than the worst one, for each sample."""
    assert metric in EXTREMES, f"tests/metrics/extremes.py has no perfect and no worst explanation for {metric.__name__}"
    best, worst = (made(explanation) for made, explanation in EXTREMES[metric](metric))
    assert (best > worst if metric.higher_is_better else best < worst).all(), f"perfect {best}, worst {worst}"


def check_comparison(compared):
    """`compare_methods` takes all metrics, and says of each what it says alone."""
    for name, case in CASES.items():
        taken = [metric for metric in compared if (metric, name) not in REFUSED]
        by_name = {
            metric.__name__: functools.partial(
                lambda method, metric, case: make(metric, case, method), metric=metric, case=case
            )
            for metric in taken
        }
        found = metrics.compare_methods(case.model, case.x, [case.method], by_name)
        assert {column for column, _ in found.table.columns} == {*by_name, "cost"}
        for metric in taken:
            assert found.higher_is_better[metric.__name__] is metric.higher_is_better
            alone = make(metric, case)(found.explanations["GradientTimesInput"])
            np.testing.assert_allclose(found.values[metric.__name__]["GradientTimesInput"], alone, rtol=1e-5)
