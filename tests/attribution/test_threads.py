"""Methods are called from threads, and pickled at any time, without a difference."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from tensorflow.python.framework import ops as framework

from keras_xai.attribution import SHAP, DeepSHAP, GradientTimesInput, Saliency
from tests.attribution.grid import CASES, METHODS, case_of, model_of
from tests.public import concrete
from tests.slow import quickly
from tests.tolerance import rounding

CASE = CASES["functional"]
X = CASE.x[:2]
QUICK = ("DeepSHAP", "GradientSHAP", "SHAP kernel", "LRP")


def equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=rounding("float32", expected, 16))


@pytest.fixture
def model():
    return model_of(CASE)


@pytest.mark.parametrize("name", quickly([*METHODS], *QUICK))
def test_eight_threads_on_one_object(name):
    """Different targets and samples at once, on a method that has not been called before: what each alone gives."""
    case = case_of(name)
    model = model_of(case)
    jobs = [(X[[i % 2]] * (1 + i // 8), i % 4) for i in range(16)]
    serial = METHODS[name](model, case)
    expected = [serial(*job).values for job in jobs]
    assert np.abs(expected[0] - expected[1]).max() > 0  # samples make a difference, and targets
    assert np.abs(expected[0] - expected[2]).max() > 0 or not serial.depends_on_target
    method = METHODS[name](model, case)
    with ThreadPoolExecutor(8) as pool:
        found = [each.values for each in pool.map(lambda job: method(*job), jobs)]
    for each, other in zip(found, expected, strict=True):
        equal(each, other)


def test_callable_targets_in_threads(model):
    """Of which each has a program of its own."""
    targets = [lambda scores, k=k: scores[:, k] * (k + 1) for k in range(4)]
    method = GradientTimesInput(model)
    expected = [(k + 1) * method(X, k).values for k in range(4)]
    with ThreadPoolExecutor(8) as pool:
        found = [each.values for each in pool.map(lambda i: method(X, targets[i % 4]), range(24))]
    for i, each in enumerate(found):
        equal(each, expected[i % 4])


def test_nothing_of_the_process_is_left_changed(model):
    """SHAP in threads, and other methods made and traced while it draws from NumPy's global generator."""
    expected = GradientTimesInput(model)(X, 1).values
    registry = framework._gradient_registry._registry
    before = {name: dict(entry) for name, entry in registry.items()}
    state = np.random.get_state()[1].copy()  # noqa: NPY002

    def call(i):
        if i % 2:
            return (DeepSHAP(model) if i // 2 % 2 else SHAP(model, num_samples=140, seed=0))(X, 1)
        return GradientTimesInput(model)(X, 1)

    with ThreadPoolExecutor(8) as pool:
        found = [each.values for each in pool.map(call, range(12))]
    for each in found[::2]:
        equal(each, expected)
    equal(GradientTimesInput(model)(X, 1).values, expected)
    after = {name: entry for name, entry in registry.items() if not name.startswith("CustomGradient")}
    assert after == {name: entry for name, entry in before.items() if not name.startswith("CustomGradient")}
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    network = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, "softmax")])
    network.compile("sgd", "sparse_categorical_crossentropy")
    network.fit(np.ones((4, 6)), np.zeros(4), verbose=0)


@pytest.mark.parametrize("name", quickly([*METHODS], *QUICK, "GradientTimesInput", "IntegratedGradients"))
def test_pickled_before_and_after_a_call(name):
    case = case_of(name)
    method = METHODS[name](model_of(case), case)
    before = pickle.loads(pickle.dumps(method))
    expected = method(X, 1)
    after = pickle.loads(pickle.dumps(method))
    for loaded in (before, after):
        found = loaded(X, 1)
        assert found.method == expected.method
        equal(found.values, expected.values)
    result = pickle.loads(pickle.dumps(expected))
    assert result == expected


def test_the_loaded_model_has_the_weights_of_that_moment(model):
    method = Saliency(model)
    first = method(X, 1).values
    saved = pickle.dumps(method)
    for variable in model.trainable_variables:
        variable.assign(variable * 1.5)
    assert np.abs(method(X, 1).values - first).max() > 1e-3
    equal(pickle.loads(saved)(X, 1).values, first)
    one, other = pickle.loads(pickle.dumps([method, GradientTimesInput(model)]))
    assert one.variables[0] is other.variables[0]  # objects of one model have one when they are loaded


def test_every_method_is_in_the_grid():
    from keras_xai import attribution

    assert {name.split()[0] for name in METHODS} == set(concrete(attribution, attribution.Method))
