"""Maximization finds the optima that are known, and excites trained networks more than any sample."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai.features.ascent import Ascent, moved, movements, preconditioned
from keras_xai.features.maximize_activation import maximize_activation
from tests.zoo import in_float32

PLAIN = {"smoothness": 0.0, "jitter": 0, "rotation": 0.0, "zoom": 0.0}


def linear(shape=(6, 6, 1), units=3):
    """A linear model none of whose weights is so small that an ascent hardly moves its entry."""
    model = keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(units)])
    rng, kernel = np.random.default_rng(0), model.layers[-1].kernel
    kernel.assign(rng.choice([-1, 1], size=kernel.shape) * rng.uniform(0.02, 0.1, size=kernel.shape))
    return model


def test_a_linear_score_is_largest_at_a_corner_of_the_range():
    model = linear()
    weights = model.layers[-1].kernel.numpy().reshape(6, 6, 1, 3)
    low, high = np.linspace(-2, -1, 6)[:, None, None], 3.0
    found = maximize_activation(
        model, [0, 2], value_range=(low, high), ascent=Ascent(steps=40, step_size=2.0, **PLAIN), seed=0
    )
    for image, value, unit in zip(found.images, found.values, (0, 2), strict=True):
        corner = np.where(weights[..., unit] > 0, 3.0, low)
        np.testing.assert_allclose(image, corner, atol=1e-5)
        np.testing.assert_allclose(value, (corner * weights[..., unit]).sum(), rtol=1e-4)
    assert found.units == [(0,), (2,)] and found.layer == "score" and found.history.shape == (40, 2)
    # Units differ, and so must what excites them.
    assert not np.allclose(found.images[0], found.images[1], atol=1)


@pytest.mark.parametrize("power", [2.0, 6.0])
def test_with_a_penalty_on_the_norm_the_optimum_is_known(power):
    model = linear()
    weights = model.layers[-1].kernel.numpy()[:, 1]
    ascent = Ascent(steps=200, step_size=0.1, norm=16.0, norm_power=power, **PLAIN)
    found = maximize_activation(model, 1, value_range=(-5.0, 5.0), ascent=ascent, seed=0).images[0].ravel()
    # Where 5 w = norm * power * |u|^(power - 1) / 36, in units u of half the range.
    best = 5 * np.sign(weights) * (5 * np.abs(weights) * 36 / (16 * power)) ** (1 / (power - 1))
    assert np.abs(best).max() < 5
    np.testing.assert_allclose(found, best, atol=0.05)
    without = (
        maximize_activation(model, 1, value_range=(-5.0, 5.0), ascent=Ascent(steps=100, **PLAIN), seed=0).images[0].ravel()
    )
    assert not np.allclose(without, best, atol=0.5)


def test_total_variation_makes_inputs_smooth():
    model = linear()

    def variation(weight):
        ascent = Ascent(steps=50, step_size=0.1, total_variation=weight, **PLAIN)
        image = maximize_activation(model, 0, ascent=ascent, seed=0).images[0]
        return sum(np.abs(np.diff(image, axis=axis)).mean() for axis in (0, 1))

    assert variation(20.0) < 0.3 * variation(0.0)


@pytest.fixture(scope="module")
def digits_network(trained):
    return in_float32(trained("cnn"), "cnn")


def test_a_trained_network_sees_the_class_more_clearly_than_in_any_digit(digits_network, digits):
    images, _ = digits
    logits = keras.Model(digits_network.inputs, digits_network.layers[-2].output)
    best = logits.predict(images, verbose=0).max(axis=0)
    options = {"value_range": (-0.5, 0.57), "ascent": Ascent(steps=40, step_size=0.1, **PLAIN), "seed": 3}
    found = maximize_activation(digits_network, list(range(10)), **options)
    assert (found.values > best).all()
    assert logits.predict(found.images, verbose=0).argmax(axis=1).tolist() == list(range(10))
    np.testing.assert_allclose(found.values, np.diag(logits.predict(found.images, verbose=0)), rtol=1e-4)
    assert found.images.min() >= -0.5 and found.images.max() <= 0.57 + 1e-6
    # Seeds repeat, also in batches of other sizes; other seeds give other inputs.
    together, apart, other = (
        maximize_activation(digits_network, [7, 3], seed=seed, ascent=Ascent(steps=8, jitter=1, batch_size=size))
        for seed, size in [(5, 8), (5, 1), (6, 8)]
    )
    np.testing.assert_allclose(together.images, apart.images, atol=1e-4)
    np.testing.assert_allclose(together.history, apart.history, rtol=1e-3, atol=1e-4)
    assert not np.allclose(together.images, other.images, atol=0.01)


def test_channels_and_single_units(digits_network):
    ascent = Ascent(steps=30, step_size=0.05, **PLAIN)
    path = next(layer.name for layer in digits_network.layers if isinstance(layer, layers.Conv2D))
    found = maximize_activation(digits_network, [2, (0, 7, 2)], layer=path, value_range=(-0.5, 0.5), ascent=ascent, seed=0)
    maps = np.asarray(keras.Model(digits_network.inputs, digits_network.get_layer(path).output)(found.images))
    np.testing.assert_allclose(found.values, [maps[0, ..., 2].mean(), maps[1, 0, 7, 2]], rtol=1e-4)
    assert (found.history[-1] > found.history[0]).all()
    # The unit in the corner sees 2 x 2 pixels only, and only these have left the faint noise.
    changed = np.argwhere(np.abs(found.images[1, ..., 0]) > 0.2)
    assert changed[:, 0].max() <= 1 and changed[:, 1].min() >= 6
    assert (np.abs(found.images[0]) > 0.2).mean() > 0.75


def test_a_unit_behind_relus_that_are_off_is_found_all_the_same():
    inputs = keras.Input((4,))
    hidden = layers.Dense(3, "relu", kernel_initializer="ones", bias_initializer=keras.initializers.Constant(-2.5))(inputs)
    model = keras.Model(inputs, layers.Dense(1, kernel_initializer="ones")(hidden))
    found = maximize_activation(model, 0, ascent=Ascent(steps=100, step_size=0.05), seed=0)
    assert found.history[0] == 0 and found.values == pytest.approx(4.5, abs=0.01)


def test_series_tables_volumes_and_other_models():
    keras.utils.set_random_seed(0)
    series = keras.Sequential(
        [
            keras.Input((24, 2)),
            layers.Conv1D(4, 5, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dense(1, "sigmoid"),
        ]
    )
    volume = keras.Sequential([keras.Input((4, 5, 6, 1)), layers.Conv3D(2, 2, name="conv")])
    half = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3, dtype="mixed_float16", name="conv")])
    for model, options in (
        (series, {"units": 0}),
        (series, {"units": (3, 1), "layer": "conv"}),
        (volume, {"units": 1, "layer": "conv"}),
        (linear((5,)), {"units": [1, 0]}),
        (half, {"units": 1, "layer": "conv"}),
    ):
        before = [np.array(weight) for weight in model.variables]
        state = np.random.get_state()[1].copy()  # noqa: NPY002
        found = maximize_activation(model, **options, ascent=Ascent(steps=12, step_size=0.05), seed=0)
        assert (found.values > found.history[0]).all() and np.isfinite(found.images).all()
        assert found.images.shape[1:] == model.input_shape[1:]
        np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002
        for weight, value in zip(model.variables, before, strict=True):
            np.testing.assert_array_equal(weight, value)


def test_where_it_starts():
    model = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(2, 3, name="conv")])
    start = np.random.default_rng(1).uniform(size=(5, 7, 1))
    found = maximize_activation(model, [0, 1], layer="conv", ascent=Ascent(steps=1, step_size=1e-9, start=start))
    np.testing.assert_allclose(found.images, [start, start], atol=1e-6)
    with pytest.raises(ValueError, match=r"Expected `Ascent\(start=...\)` for a model whose input size is unknown"):
        maximize_activation(model, 0, layer="conv")


def test_movements():
    still = Ascent(steps=3, jitter=0, rotation=0.0, zoom=0.0)
    assert movements(still, (8, 8), 0, 0) is None and movements(Ascent(), (), 0, 0) is None
    x = np.random.default_rng(1).normal(size=(3, 9, 9, 1)).astype("float32")
    jitter = movements(Ascent(steps=3, jitter=2, rotation=0.0, zoom=0.0), (9, 9), 1, 0)
    shifts = jitter[:, [5, 2]].round().astype(int)
    assert shifts.any() and np.abs(shifts).max() <= 2
    for image, after, (down, right) in zip(x, np.asarray(moved(x, jitter)), shifts, strict=True):
        padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="symmetric")
        np.testing.assert_allclose(after, padded[2 + down : 11 + down, 2 + right : 11 + right], atol=1e-5)
    # A turn by 90 degrees about the middle.
    turned = np.array([[0, -1, 8, 1, 0, 0, 0, 0]], "float32")
    np.testing.assert_allclose(np.asarray(moved(x[:1], turned))[0], np.rot90(x[0]), atol=1e-5)
    # All together keep the middle within reach, and a series stays a row.
    for lengths in ((9, 9), (9,)):
        both = movements(Ascent(steps=50, jitter=0), lengths, 0, 0)[:, :6].reshape(50, 2, 3)
        middle = np.array([4, 4 if len(lengths) == 2 else 0, 1])
        np.testing.assert_allclose(both @ middle, np.tile(middle[:2], (50, 1)), atol=1e-5)
        scales = np.linalg.norm(both[:, 0, :2], axis=1)
        assert 1 / 1.1 <= scales.min() < 0.95 and 1.05 < scales.max() <= 1.1


def test_the_preconditioner_weighs_frequencies():
    n = 16
    places = (np.arange(n) + 0.5) / n

    def wave(k):
        return np.cos(np.pi * k * places)[None, :, None]

    slow, fast = (np.asarray(preconditioned(keras.ops.convert_to_tensor(wave(k)), 1.0)) for k in (2, 8))
    np.testing.assert_allclose(slow, wave(2) * 16, atol=1e-5)
    np.testing.assert_allclose(fast, wave(8) * 4, atol=1e-5)
    image = np.random.default_rng(1).normal(size=(2, 5, 7, 3))
    np.testing.assert_array_equal(preconditioned(image, 0.0), image)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"units": 3}, "channels of 'score', from 0 to 2; its output has the shape .* Received: units=3"),
        ({"units": [0, -1]}, "Received: units="),
        ({"units": 0, "layer": "dens"}, "Received: path='dens'. The nearest paths are"),
        ({"units": 0, "value_range": (1, 0)}, r"low less than high. Received: value_range=\(1, 0\)"),
        ({"units": 0, "value_range": (np.zeros(4), 1)}, r"broadcast to an input of shape \(6, 6, 1\)"),
        ({"units": 0, "value_range": 3}, "Received: value_range=3"),
        (
            {"units": 0, "ascent": Ascent(start=np.zeros((2, 2)))},
            r"one finite input of shape \(6, 6, 1\), or one for each of 1",
        ),
        ({"units": 0, "verbose": 3}, "verbose=3"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        maximize_activation(linear(), **options)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"steps": 0}, "steps=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"step_size": 0}, "Expected `step_size` to be a positive number. Received: step_size=0"),
        ({"jitter": -1}, "Expected `jitter` to be an integer of at least 0. Received: jitter=-1"),
        ({"zoom": 1}, "less than 1. Received: zoom=1"),
        ({"norm_power": 0.5}, "norm_power=0.5"),
        ({"total_variation": np.nan}, "total_variation=nan"),
        ({"start": np.full((6, 6, 1), np.nan)}, "Expected `start` to be finite"),
    ],
)
def test_errors_of_settings(options, message):
    with pytest.raises(ValueError, match=message):
        Ascent(**options)


def test_models_that_it_is_not_for():
    one, two = keras.Input((2,)), keras.Input((2,))
    with pytest.raises(
        ValueError, match="`maximize_activation` changes an input and needs a model with one real-valued input"
    ):
        maximize_activation(keras.Model([one, two], layers.Dense(2)(layers.Add()([one, two]))), 0)
    tokens = keras.Sequential([keras.Input((3,), dtype="int32"), layers.Embedding(5, 2), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match="int32.*start after the `Embedding`"):
        maximize_activation(tokens, 0)
    broken = linear()
    broken.layers[-1].bias.assign([np.nan, 0, 0])
    with pytest.raises(ValueError, match=r"unit \(0,\) of 'score' is NaN or infinite"):
        maximize_activation(broken, 0, ascent=Ascent(steps=2))


def test_progress(capsys):
    maximize_activation(linear(), 0, ascent=Ascent(steps=3))
    assert not capsys.readouterr().out
    maximize_activation(linear(), 0, ascent=Ascent(steps=3), verbose=1)
    assert "3/3" in capsys.readouterr().out
