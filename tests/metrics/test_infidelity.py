"""Infidelity: zero where the explanation is exact, a loop elsewhere."""

import dataclasses

import numpy as np
import pytest

from keras_xai.attribution import GradientTimesInput, Saliency
from keras_xai.metrics import Infidelity
from tests.metrics import oracles
from tests.metrics.examples import convolutional, explained, linear

pytestmark = pytest.mark.onednn

IMAGES = np.random.default_rng(0).normal(size=(4, 6, 5, 2)).astype("float32")


@pytest.mark.parametrize("method, scale", [(Saliency, 1.0), (GradientTimesInput, 1.0), (Saliency, 0.0), (Saliency, -1.0)])
def test_exact_explanations_of_a_linear_model(method, scale):
    """The gradient and the contributions are exact, whatever replaces them; nothing, and the opposite, are far off."""
    model = linear(np.random.default_rng(1).normal(size=(6, 5, 2)))
    exact = method(model)(IMAGES)
    values = dataclasses.replace(exact, values=scale * exact.values)
    baseline = 0.7 if method is Saliency else 0.0
    for normalize in (True, False):
        found = Infidelity(model, seed=0, baseline=baseline, normalize=normalize)(values)
        if scale == 1:
            np.testing.assert_allclose(found, 0, atol=1e-8)
        else:
            assert (found > 0.1).all()


def test_contributions_are_those_to_the_difference_from_the_baseline():
    """With another baseline they are not exact: this is what tells values that share out from derivatives."""
    model = linear(np.random.default_rng(1).normal(size=(6, 5, 2)))
    assert (Infidelity(model, seed=0, baseline=0.7)(GradientTimesInput(model)(IMAGES)) > 0.1).all()


def test_a_loop_finds_the_same():
    model = convolutional(activation=None)
    explanation = GradientTimesInput(model)(IMAGES)
    for normalize in (False, True):
        options = {"num_perturbations": 9, "baseline": 0.3, "normalize": normalize}
        expected = oracles.infidelity(model, None, explanation, None, seed=5, **options)
        np.testing.assert_allclose(
            Infidelity(model, seed=5, batch_size=7, **options)(explanation), expected, rtol=1e-3, atol=1e-7
        )
        assert not np.allclose(oracles.infidelity(model, None, explanation, None, seed=6, **options), expected, rtol=1e-2)


def test_the_unit_of_values_does_not_count():
    model = convolutional()
    explanation = GradientTimesInput(model)(IMAGES)
    metric, plain = (Infidelity(model, num_perturbations=9, seed=0, normalize=normalize) for normalize in (True, False))
    scaled = explained(IMAGES, 1000 * explanation.values, explanation.target)
    np.testing.assert_allclose(metric(scaled), metric(explanation), rtol=1e-5)
    assert (plain(scaled) > 100 * plain(explanation)).all()


def test_empty_and_constant():
    model = convolutional()
    metric = Infidelity(model, num_perturbations=5, seed=0)
    assert np.isfinite(metric(explained(IMAGES, np.zeros_like(IMAGES)))).all()
    # Nothing changes where a sample is its own baseline, so that nothing is as right as can be.
    assert not metric(explained(np.zeros_like(IMAGES), np.zeros_like(IMAGES))).any()


def test_features_are_drawn_as_subsets():
    x = np.random.default_rng(1).normal(size=(3, 8)).astype("float32")
    model = linear(np.arange(8.0))
    np.testing.assert_allclose(Infidelity(model, seed=1)(GradientTimesInput(model)(x)), 0, atol=1e-8)


def test_bad_input():
    model = linear([1.0, 2.0])
    with pytest.raises(ValueError, match="`num_perturbations`.*Received: num_perturbations=0"):
        Infidelity(model, num_perturbations=0)
    with pytest.raises(ValueError, match="`baseline` to be a number"):
        Infidelity(model, baseline=np.zeros((4, 4)))(explained(np.ones((3, 2), "float32"), np.ones((3, 2))))
    with pytest.raises(ValueError, match="seed='a'"):
        Infidelity(model, seed="a")
