"""A method that the package has never seen is used everywhere after one class, written by the public API alone."""

import importlib.util
import pathlib
import types

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai import attribution
from keras_xai.attribution import GradientTimesInput, Method, Part
from keras_xai.callbacks import ExplanationLogger
from keras_xai.metrics import Deletion, MaxSensitivity, ModelParameterRandomization, compare_methods
from keras_xai.results import Explanation
from tests.attribution import grid
from tests.attribution.test_conformance import check_cell
from tests.public import concrete
from tests.slow import quickly

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


class LeaveOneOut(Method):
    """What the score loses when an entry becomes zero."""

    def _prepare(self, target):
        predicted = self.scores.predictor(target)
        score = self.scores.evaluator(target, self.batch_size)

        def explain(batch):
            indices = predicted(batch.inputs, batch.indices)
            whole = score(batch.inputs, indices)
            values = [np.zeros_like(x) for x in batch.inputs]
            for number, x in enumerate(batch.inputs):
                for place in np.ndindex(x.shape[1:]):
                    entry = (slice(None), *place)
                    changed = [each.copy() for each in batch.inputs]
                    changed[number][entry] = 0
                    values[number][entry] = whole - score(changed, indices)
            passes = (1 + sum(x[0].size for x in batch.inputs)) * len(whole) + batch.passes_to_predict
            return Part(values, indices, convergence_delta=None, num_forward_passes=passes)

        return explain


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((5,)), layers.Dense(6, "relu"), layers.Dense(3, "softmax")])


@pytest.fixture
def exported(monkeypatch):
    """As if the class were in the package: one name more in the exports."""
    monkeypatch.setattr(attribution, "LeaveOneOut", LeaveOneOut, raising=False)
    monkeypatch.setattr(attribution, "__all__", [*attribution.__all__, "LeaveOneOut"])


def test_its_values_are_exact_where_that_is_known(float64):
    linear = keras.Sequential([keras.Input((5,)), layers.Dense(3)])
    one, other = (method(linear)(X.astype("float64"), target=1) for method in (LeaveOneOut, GradientTimesInput))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-9, atol=1e-12)
    assert one.method == "LeaveOneOut" and one.num_forward_passes == 6
    curved = keras.Sequential([keras.Input((5,)), layers.Dense(6, "relu"), layers.Dense(3)])
    assert not np.allclose(LeaveOneOut(curved)(X, 1).values, GradientTimesInput(curved)(X, 1).values, atol=1e-3)


# Images take a forward pass for each of 64 pixels.
@pytest.mark.parametrize("name", quickly(grid.CASES, "1-D"))
def test_the_grid_takes_it(exported, name):
    check_cell(grid.rows()["LeaveOneOut"], name)


def test_tables_of_the_documentation_take_it(exported, monkeypatch):
    pytest.importorskip("sphinx")
    path = pathlib.Path(__file__).parents[2] / "docs" / "_ext" / "conformance.py"
    spec = importlib.util.spec_from_file_location("conformance", path)
    conformance = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conformance)
    assert "LeaveOneOut" in concrete(attribution, Method)
    monkeypatch.setattr(conformance, "METHODS", grid.rows())
    table, _ = conformance.ConformanceTable.run(types.SimpleNamespace(env=types.SimpleNamespace(note_reread=lambda: None)))
    assert "LeaveOneOut" in table.astext()


def test_metrics_compare_it(model):
    methods = [LeaveOneOut(model), GradientTimesInput(model)]
    randomized = {"random weights": lambda method: ModelParameterRandomization(model, method, seed=0)}
    found = compare_methods(
        model, X, methods, {"deletion": Deletion(model), "sensitivity": lambda each: MaxSensitivity(each, seed=0)} | randomized
    )
    assert found.table.index.tolist() == ["LeaveOneOut", "GradientTimesInput"]
    np.testing.assert_allclose(found.explanations["LeaveOneOut"].values, methods[0](X).values, atol=1e-6)
    assert np.isfinite(found.values["sensitivity"]["LeaveOneOut"]).all()
    assert found.table["cost"]["num_forward_passes"].tolist() == [7, 2]


def test_it_is_logged_drawn_and_saved(model, tmp_path):
    model.compile("sgd", "sparse_categorical_crossentropy")
    logger = ExplanationLogger(LeaveOneOut(model), X[:2], folder=tmp_path)
    model.fit(X, np.arange(6) % 3, epochs=1, callbacks=[logger], verbose=0)
    assert (tmp_path / "LeaveOneOut_epoch_0001.png").stat().st_size > 0
    explanation = LeaveOneOut(model)(X[:2])
    np.testing.assert_allclose(logger.latest.values, explanation.values, atol=1e-6)
    assert "LeaveOneOut" in {axes.get_title() for axes in explanation.plot().axes}
    explanation.save(tmp_path / "explanation.npz")
    assert Explanation.load(tmp_path / "explanation.npz") == explanation
