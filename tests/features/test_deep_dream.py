"""Deep dream raises what layers respond to, at any size, and tiles change nothing but the seams."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai.backend import compiled
from keras_xai.features.deep_dream import Dream, _gradient, _objective, _tiles, deep_dream, tiled_gradient
from keras_xai.network.scores import Scores


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(2)
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv1")(inputs)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv2")(x)
    x = layers.Dense(10, activation="softmax", name="head")(layers.Flatten()(x))
    return keras.Model(inputs, x)


IMAGES = np.random.default_rng(0).uniform(0.2, 0.8, size=(2, 26, 33, 3))
SHORT = {"octaves": 2, "steps": 4, "jitter": 3, "step_size": 0.03}


def mean_square(model, path, images):
    part = keras.Model(model.inputs, model.get_layer(path).output)
    return np.square(part.predict(images, verbose=0)).mean(axis=(1, 2, 3))


def test_the_layer_responds_more_strongly(model):
    found = deep_dream(model, IMAGES[:, :16, :16], layers="conv2", dream=Dream(**SHORT, tile_size=64), seed=0)
    before, after = (mean_square(model, "conv2", images) for images in (found.originals, found.images))
    assert (after > 1.5 * before).all()
    # What a descent, or noise of the same size, would do.
    change = np.sqrt(np.square(found.images - found.originals).mean())
    noisy = np.clip(found.originals + np.random.default_rng(1).normal(size=found.images.shape) * change, 0, 1)
    assert (after > 1.2 * mean_square(model, "conv2", noisy)).all()
    assert (found.history[:, -1] > found.history[:, 0]).all() and found.history.shape == (2, 4, 2)
    # What is raised: for each pixel half the mean square, of a map of a quarter of the pixels four times.
    one = deep_dream(
        model, IMAGES[:, :16, :16], layers="conv2", dream=Dream(octaves=1, steps=1, step_size=1e-9, jitter=0), seed=0
    )
    np.testing.assert_allclose(one.history[0, 0], before / 2, rtol=1e-4)
    np.testing.assert_allclose(one.images, IMAGES[:, :16, :16], atol=1e-6)


def test_images_of_any_size_seeds_and_range(model):
    found = deep_dream(model, IMAGES, layers=["conv1", "conv2"], dream=Dream(**SHORT, tile_size=12), seed=3)
    assert found.images.shape == IMAGES.shape and found.layers == ["conv1", "conv2"]
    assert found.images.min() >= 0 and found.images.max() <= 1
    again = deep_dream(model, IMAGES[:1], layers=["conv1", "conv2"], dream=Dream(**SHORT, tile_size=12), seed=3)
    np.testing.assert_allclose(found.images[:1], again.images, atol=1e-4)
    other = deep_dream(model, IMAGES[:1], layers=["conv1", "conv2"], dream=Dream(**SHORT, tile_size=12), seed=4)
    assert not np.allclose(other.images, again.images, atol=1e-3)
    # Ranges by channel are those of other units of the same image.
    scale, shift = np.array([2.0, 4.0, 1.0]), np.array([-1.0, 0.0, 3.0])
    first = keras.Sequential([keras.Input((16, 16, 3)), layers.Rescaling(1 / scale, -shift / scale), *model.layers[1:3]])
    plain = keras.Sequential([keras.Input((16, 16, 3)), *model.layers[1:3]])
    options = {"layers": "conv1", "dream": Dream(**SHORT), "seed": 0}
    in_units = deep_dream(first, IMAGES * scale + shift, value_range=(shift, shift + scale), **options)
    np.testing.assert_allclose((in_units.images - shift) / scale, deep_dream(plain, IMAGES, **options).images, atol=1e-3)


def test_one_channel(model):
    found = deep_dream(model, IMAGES[:1, :16, :16], layers={"conv1": 2}, dream=Dream(octaves=1, steps=8, jitter=2), seed=0)
    part = keras.Model(model.inputs, model.get_layer("conv1").output)
    before, after = (np.square(part.predict(x, verbose=0)).mean(axis=(0, 1, 2)) for x in (found.originals, found.images))
    assert np.argmax((after - before) / (before + 1e-3)) == 2


def test_tiles_give_the_gradient_of_the_whole_but_for_seams(model):
    scores = Scores(model)
    objective, _ = _objective(scores, "conv2")
    gradient = compiled(lambda x: _gradient(objective, x), [((1, None, None, 3), "float32")])
    x = np.random.default_rng(1).uniform(size=(32, 48, 3)).astype("float32")
    value, whole = tiled_gradient(gradient, x, 96)
    total, tiled = tiled_gradient(gradient, x, 16)
    # A pixel is in windows that reach 1 + 2 pixels farther, and these see as many again.
    inner = np.zeros(48, bool)
    for start in range(0, 48, 16):
        inner[start + 7 : start + 9] = True
    same = np.isclose(tiled, whole, rtol=1e-3, atol=1e-5).all(axis=-1)
    assert same[np.ix_(inner[:32], inner)].all()
    assert not same[15:17].all() and not same[:, 31:33].all()
    assert total == pytest.approx(value, rel=0.2)
    # Tiles that begin within a stride see other windows.
    assert not np.isclose(tiled_gradient(gradient, x, 15)[1], whole, rtol=1e-3, atol=1e-5).all(axis=-1)[20:24, 20:24].all()


@pytest.mark.parametrize("length, size", [(5, 8), (8, 8), (11, 8), (12, 8), (13, 8), (40, 8), (1, 1)])
def test_tiles_cover_all_and_are_neither_small_nor_large(length, size):
    tiles = _tiles(length, size)
    assert [i for tile in tiles for i in range(length)[tile]] == list(range(length))
    assert all(tile.stop - tile.start <= 1.5 * size for tile in tiles)
    assert len(tiles) == 1 or all(tile.stop - tile.start >= size / 2 for tile in tiles)


@pytest.mark.parametrize(
    "images, options, message",
    [
        (IMAGES, {"layers": "conv3"}, r"Received: path='conv3'. The nearest paths are \['conv"),
        (IMAGES, {"layers": []}, r"list of different paths of layers, .*Received: layers=\[\]"),
        (IMAGES, {"layers": {"conv1": 6}}, "Expected a channel of 'conv1', from 0 to 5, or None. Received: 6"),
        (IMAGES[0], {"layers": "conv1"}, r"Expected `images` \(n, height, width, 3\).*shape \(26, 33, 3\)"),
        (IMAGES[..., :1], {"layers": "conv1"}, "Expected `images`"),
        (np.full_like(IMAGES, np.nan), {"layers": "conv1"}, "Expected finite `images`"),
        (IMAGES * 255, {"layers": "conv1"}, r"within `value_range`. Received: values from 5\d.* and value_range=\(0.0, 1.0\)"),
        (IMAGES, {"layers": "head"}, "cannot run on .* pixels up to these layers"),
        (IMAGES, {"layers": "conv1", "value_range": (1, 1)}, "low less than high"),
        (IMAGES, {"layers": "conv1", "verbose": 9}, "verbose=9"),
    ],
)
def test_errors(model, images, options, message):
    with pytest.raises(ValueError, match=message):
        deep_dream(model, images, **options)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"octaves": 0}, "octaves=0"),
        ({"octave_scale": 1.0}, "Expected `octave_scale` to be more than 1. Received: octave_scale=1.0"),
        ({"steps": 0}, "steps=0"),
        ({"step_size": -1}, "step_size=-1"),
        ({"jitter": -1}, "jitter=-1"),
        ({"tile_size": 0}, "tile_size=0"),
    ],
)
def test_errors_of_settings(options, message):
    with pytest.raises(ValueError, match=message):
        Dream(**options)


def test_broken_weights_and_other_models(model):
    broken = keras.models.clone_model(model)
    broken.get_layer("conv2").bias.assign([np.inf] * 8)
    with pytest.raises(ValueError, match="activations of the layers, or their derivatives, are NaN"):
        deep_dream(broken, IMAGES, layers="conv2", dream=Dream(**SHORT))
    series = keras.Sequential([keras.Input((20, 2)), layers.Conv1D(3, 3, name="conv")])
    with pytest.raises(ValueError, match=r"a model that takes images.*input has the shape \(20, 2\)"):
        deep_dream(series, np.zeros((3, 20, 2)), layers="conv")
    # At its own size a network can be run up to dense layers.
    found = deep_dream(model, IMAGES[:1, :16, :16], layers="head", dream=Dream(octaves=1, steps=2, jitter=0), seed=0)
    assert np.isfinite(found.images).all()
