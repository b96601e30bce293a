"""Kinds of units: derivatives, means of samples, biases."""

import keras
import numpy as np
import pytest

from keras_xai.layers.units import Bernoulli, Gaussian, Rectified, Sign, unit_of

UNITS = {"sigmoid": Bernoulli, "linear": Gaussian, "relu": Rectified, "tanh": Sign}
SUMS = np.array([-30.0, -3.0, -1.0, -0.2, 0.1, 0.7, 2.0, 30.0])


@pytest.mark.parametrize("name", UNITS)
def test_units_are_found_by_activation(name):
    assert type(unit_of(keras.activations.get(name))) is UNITS[name]


@pytest.mark.parametrize("activation", ["gelu", "softmax", lambda x: x, keras.layers.ReLU()])
def test_other_activations_are_refused(activation):
    with pytest.raises(ValueError, match="sigmoid, linear, relu, tanh"):
        unit_of(keras.activations.get(activation))


@pytest.mark.parametrize("name", UNITS)
def test_the_activation_is_the_derivative_of_the_potential(name, float64):
    unit, step = UNITS[name](), 1e-4  # of squares of 30, a smaller one would leave little but rounding
    rise = keras.ops.convert_to_numpy(unit.potential(SUMS + step) - unit.potential(SUMS - step))
    np.testing.assert_allclose(rise / (2 * step), unit.activation(SUMS), atol=1e-8)


@pytest.mark.parametrize("name", UNITS)
def test_samples_have_the_mean_of_the_activation(name):
    unit = UNITS[name]()
    sums = keras.ops.tile(keras.ops.convert_to_tensor(SUMS, "float32")[None], (40_000, 1))
    samples = keras.ops.convert_to_numpy(unit.sample(sums, keras.random.SeedGenerator(0)))
    expected = keras.ops.convert_to_numpy(unit.activation(sums[0]))
    # The mean of a noisy rectified unit is near relu(s) only where s is not; elsewhere it is greater.
    firm = np.abs(SUMS) > 20 if name == "relu" else slice(None)
    means = samples.mean(axis=0, dtype="float64")
    np.testing.assert_allclose(means[firm], expected[firm], atol=0.025)
    assert samples.min() >= unit.low and samples.max() <= unit.high
    assert not unit.two_valued or set(np.unique(samples)) == {unit.low, unit.high}
    assert name != "relu" or (means[3:5] > expected[3:5] + 0.1).all()


@pytest.mark.parametrize("name", UNITS)
def test_the_energy_and_the_potential_belong_together(name, float64):
    """A unit's distribution is exp(s * value - energy(value)); the potential is the logarithm of its sum, up to a constant."""
    unit = UNITS[name]()
    values = np.array([unit.low, unit.high]) if unit.two_valued else np.linspace(max(unit.low, -40), 40, 160_001)
    sums = np.array([0.5, 1.0, 2.5, 4.0])
    exponents = sums[:, None] * values - keras.ops.convert_to_numpy(unit.energy(values))
    logs = np.log(np.exp(exponents - exponents.max(1, keepdims=True)).sum(1)) + exponents.max(1)
    potential = keras.ops.convert_to_numpy(unit.potential(sums))
    if name == "relu":  # stands for the mean relu(s), which the rectified Gaussian has for large sums only
        sums, logs, potential = sums[2:], logs[2:], potential[2:]
        np.testing.assert_allclose(np.diff(logs), np.diff(potential), rtol=0.01)
    else:
        np.testing.assert_allclose(np.diff(logs), np.diff(potential), rtol=1e-6)


@pytest.mark.parametrize("name", UNITS)
def test_the_bias_gives_the_mean_of_the_data(name, float64):
    unit, rng = UNITS[name](), np.random.default_rng(0)
    data = rng.uniform(max(unit.low, -3), min(unit.high, 3), size=(50_000, 3))
    bias = unit.bias(data.sum(axis=0), len(data))
    np.testing.assert_allclose(unit.activation(bias), data.mean(axis=0), atol=1e-4)
    assert np.isfinite(unit.bias(np.full(1, max(unit.low, -3) * 10), 10)).all()
