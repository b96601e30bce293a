"""RBMDense as a Dense layer, and as a machine."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_xai.layers import RBMDense, to_dense
from tests.naive import all_states, log_likelihood

ARGUMENTS = {
    "activation": "tanh",
    "kernel_initializer": "he_normal",
    "bias_initializer": "random_normal",
    "kernel_regularizer": keras.regularizers.L2(0.1),
    "bias_regularizer": "l1",
    "activity_regularizer": "l2",
    "kernel_constraint": "non_neg",
    "bias_constraint": keras.constraints.MaxNorm(2),
}


def build(features=6, units=4, activation="sigmoid", seed=0, **options):
    """A layer with random weights and biases, in float64."""
    keras.utils.set_random_seed(seed)
    layer = RBMDense(
        units,
        activation,
        bias_initializer="random_normal",
        visible_bias_initializer="random_normal",
        dtype="float64",
        **options,
    )
    layer.build((None, features))
    return layer


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "float64"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_it_computes_what_dense_computes(dtype, use_bias):
    inputs = np.random.default_rng(0).normal(size=(3, 5, 6))
    dense = keras.layers.Dense(4, use_bias=use_bias, dtype=dtype, **ARGUMENTS)
    expected = dense(inputs)
    layer = RBMDense(4, use_bias=use_bias, dtype=dtype, **ARGUMENTS)
    layer.build(inputs.shape)
    layer.set_weights([*dense.get_weights(), np.ones(6)])
    outputs = layer(inputs)
    assert outputs.dtype == expected.dtype
    np.testing.assert_array_equal(outputs, expected)
    assert len(dense.losses) == 2 + use_bias
    np.testing.assert_array_equal([float(each) for each in layer.losses], [float(each) for each in dense.losses])


def test_it_takes_all_arguments_of_dense():
    config = RBMDense(4, visible_activation="linear", visible_bias_initializer="ones", **ARGUMENTS).get_config()
    again = RBMDense.from_config(config).get_config()
    dense = keras.layers.Dense(4, **ARGUMENTS).get_config()
    assert config == again
    assert config["visible_activation"] == "linear"
    assert {name for name in dense if name != "name" and config[name] != dense[name]} == set()
    assert RBMDense(4, "relu", False).get_config()["use_bias"] is False  # by position, as Dense


def test_the_visible_units_are_those_of_the_hidden_side_unless_said():
    assert RBMDense(4, "relu").visible_activation is keras.activations.relu
    assert RBMDense(4, "relu", visible_activation="linear").visible_activation is keras.activations.linear
    assert RBMDense.from_config(RBMDense(4, "relu").get_config()).get_config()["visible_activation"] is None


def models(kind):
    inner = keras.Sequential([keras.Input((5,)), kind(4, "relu", name="inner_1")], name="inner")
    return keras.Sequential([keras.Input((6,)), kind(5, "sigmoid", name="a"), inner, keras.layers.Dense(2, name="b")])


def test_it_is_saved_and_loaded_with_the_model(tmp_path):
    model = models(RBMDense)
    model.layers[0].visible_bias.assign(np.arange(6.0))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.get_layer("inner").layers[0], RBMDense)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def functional():
    """Two inputs, a nested model, batch normalization, a layer without bias."""
    one, two = keras.Input((6,), name="one"), keras.Input((3,), name="two")
    inner = models(RBMDense)
    x = keras.layers.Concatenate()([inner(one), RBMDense(3, "tanh", False)(two)])
    return keras.Model([one, two], keras.layers.Dense(2)(keras.layers.BatchNormalization()(x)))


@pytest.mark.parametrize("make", [lambda: models(RBMDense), functional])
def test_to_dense_makes_a_model_that_needs_no_keras_xai(make, tmp_path):
    model = make()
    plain = to_dense(model)
    plain.save(tmp_path / "plain.keras")
    with zipfile.ZipFile(tmp_path / "plain.keras") as file:
        assert b"keras_xai" not in file.read("config.json")
    x = [np.random.default_rng(0).uniform(size=(3, *each.shape[1:])) for each in model.inputs]
    again = keras.models.load_model(tmp_path / "plain.keras")
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(again.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    plain.set_weights([0 * weight for weight in plain.get_weights()])  # its own weights
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)


@pytest.mark.parametrize("freeze_first", [False, True])
def test_fine_tuning_leaves_the_visible_bias_alone(freeze_first):
    model = models(RBMDense)
    if freeze_first:
        model.trainable = False
        model.trainable = True
    layer = model.layers[0]
    assert [variable.name for variable in layer.trainable_variables] == ["kernel", "bias"]
    layer.visible_bias.assign(np.arange(6.0))
    before = layer.get_weights()
    model.compile(keras.optimizers.SGD(0.1, weight_decay=0.1), "mse")
    model.fit(np.ones((8, 6)), np.ones((8, 2)), verbose=0)
    after = layer.get_weights()
    np.testing.assert_array_equal(after[2], before[2])
    assert not np.array_equal(after[0], before[0])


def test_an_activation_without_a_unit_is_refused_when_used_as_a_machine_only():
    layer = RBMDense(4, "gelu")
    assert layer(np.ones((1, 3))).shape == (1, 4)
    with pytest.raises(ValueError, match="Expected the activation of a unit type .* Received: gelu"):
        layer.reconstruct(np.ones((1, 3)))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), activation=st.sampled_from(["sigmoid", "tanh"]))
def test_free_energy_is_that_of_the_enumerated_states(seed, activation):
    layer = build(seed=seed, activation=activation)
    values = (0, 1) if activation == "sigmoid" else (-1, 1)
    kernel, bias, visible_bias = layer.get_weights()
    visible, hidden = all_states(6, values), all_states(4, values)
    energies = -(visible @ kernel @ hidden.T + (visible @ visible_bias)[:, None] + hidden @ bias)
    np.testing.assert_allclose(layer.free_energy(visible), -np.log(np.exp(-energies).sum(axis=1)), rtol=1e-9)


def test_free_energy_of_gaussian_units_is_that_of_a_normal_distribution():
    """Integrating the hidden units out leaves (v - a)^2 / 2 with the precision 1 - W W^T."""
    layer = build(activation="linear")
    layer.kernel.assign(0.2 * keras.ops.convert_to_tensor(layer.kernel))
    kernel, bias, visible_bias = layer.get_weights()
    visible = np.random.default_rng(0).normal(size=(5, 6))
    expected = np.einsum("ni,ij,nj->n", visible, np.eye(6) - kernel @ kernel.T, visible) / 2 - visible @ (
        visible_bias + kernel @ bias
    )
    found = keras.ops.convert_to_numpy(layer.free_energy(visible))
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-9)


def test_gibbs_sampling_reaches_the_distribution_of_the_machine():
    layer = build(features=4, units=3)
    states = all_states(4)
    expected = np.exp(log_likelihood(layer.get_weights(), states))
    samples = keras.ops.convert_to_numpy(layer.gibbs(np.zeros((20_000, 4)), steps=30, seed=1))
    found = np.array([(samples == state).all(axis=1).mean() for state in states])
    np.testing.assert_allclose(found, expected, atol=0.012)
    biased = build(features=4, units=3, seed=5)  # negative control: another machine has another distribution
    assert np.abs(np.exp(log_likelihood(biased.get_weights(), states)) - expected).max() > 0.02


def test_gibbs_sampling_repeats_with_a_seed():
    layer = build()
    start = np.zeros((10, 6))
    one, same, other = (keras.ops.convert_to_numpy(layer.gibbs(start, 3, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_half_precision_does_not_spoil_sums():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).uniform(size=(8, 784)).astype("float32")
    layer = RBMDense(800, "sigmoid", dtype="mixed_float16")
    layer.build(x.shape)
    exact = RBMDense(800, "sigmoid")
    exact.build(x.shape)
    exact.set_weights(layer.get_weights())
    assert layer.free_energy(x).dtype == "float32"
    np.testing.assert_allclose(layer.free_energy(x), exact.free_energy(x), rtol=1e-3)
    np.testing.assert_allclose(layer.reconstruct(x), exact.reconstruct(x), atol=5e-3)


def test_positions_are_samples():
    layer = build()
    x = np.random.default_rng(0).uniform(size=(2, 3, 6))
    np.testing.assert_allclose(layer.free_energy(x), keras.ops.reshape(layer.free_energy(x.reshape(6, 6)), (2, 3)))
    assert layer.gibbs(x).shape == (2, 3, 6)


def test_openbox_takes_it_for_the_affine_layer_that_it_is():
    from keras_xai.openbox import OpenBox

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), RBMDense(8, "relu"), keras.layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(5, 6))
    local = OpenBox(model, dtype="float64")(x, verbose=0)
    np.testing.assert_allclose(local.predict(x), model.predict(x, verbose=0), atol=1e-5)


def test_to_dense_refuses_layers_that_code_makes():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = RBMDense(3, "relu")

        def call(self, x):
            return self.hidden(x)

    model = Subclassed()
    model(np.ones((1, 4)))
    with pytest.raises(ValueError, match="Expected a Sequential or functional model.*its own code makes"):
        to_dense(model)


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "tanh", "linear"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_free_energies_of_several_batches_and_their_gradient(activation, use_bias):
    """They are those of the batches one by one, whatever the shapes of the batches and the weights of the samples."""
    layer = RBMDense(3, activation, use_bias, dtype="float64", visible_bias_initializer="random_normal")
    layer.build((None, 4))
    rng = np.random.default_rng(0)
    batches = [keras.ops.convert_to_tensor(rng.uniform(size=shape)) for shape in ((5, 4), (2, 3, 4))]
    weights = [rng.normal(size=batch.shape[:-1]) for batch in batches]
    variables = [each.value for each in layer.weights]

    def derivatives(energies):
        with tf.GradientTape() as tape:
            tape.watch(variables)
            found = energies(layer.machine())
            total = sum(keras.ops.sum(weight * energy) for weight, energy in zip(weights, found, strict=True))
        return [*found, *tape.gradient(total, variables)]

    joint = derivatives(lambda machine: machine.free_energies(*batches))
    single = derivatives(lambda machine: [machine.free_energy(batch) for batch in batches])
    assert len(joint) == 4 + use_bias
    for ours, theirs in zip(joint, single, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
        assert np.abs(ours).max() > 0.01
