"""The CAM family on the tokens of vision transformers: which layer, and its patches as a map."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_xai.attribution import AblationCAM, EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM, XGradCAM
from keras_xai.attribution.cam.heat import resized
from keras_xai.attribution.cam.maps import last_maps
from keras_xai.attribution.cam.patches import Patches, patches_of, used_patches
from keras_xai.network.scores import Scores
from tests.slow import quickly

X = np.random.default_rng(0).normal(size=(3, 12, 16, 3)).astype("float32")


class ClassTokens(layers.Layer):
    """Two tokens before the patches, as class and register tokens are."""

    def build(self, shape):
        self.tokens = self.add_weight(shape=(1, 2, shape[-1]), initializer="random_normal")

    def call(self, x):
        return ops.concatenate([ops.repeat(self.tokens, ops.shape(x)[0], axis=0), x], axis=1)


def transformer(*, class_token):
    keras.utils.set_random_seed(0)
    x = keras.Input((12, 16, 3))
    y = layers.Reshape((12, 8))(layers.Conv2D(8, 4, 4, name="patches")(x))
    y = ClassTokens(name="with_class")(y) if class_token else y
    for number in range(2):
        normalized = layers.LayerNormalization(name=f"norm{number}")(y)
        y = layers.Add(name=f"sum{number}")(
            [y, layers.MultiHeadAttention(2, 4, name=f"attention{number}")(normalized, normalized)]
        )
        y = layers.Add(name=f"end{number}")([y, layers.Dense(8, "gelu", name=f"dense{number}")(y)])
    y = layers.LayerNormalization(name="last")(y)
    y = y[:, 0] if class_token else layers.GlobalAveragePooling1D()(y)
    return keras.Model(x, layers.Dense(4, name="head")(y))


def by_tape(model, layer, target, start):
    """Grad-CAM of the patches at a layer, by a tape through a model that is cut there."""
    tokens = keras.Model(model.input, model.get_layer(layer).output)(X)
    rest = keras.Model(model.get_layer(layer).output, model.output) if layer == "last" else None
    with tf.GradientTape() as tape:
        if rest is None:
            point, score = _resumed(model, layer, tape)
        else:
            point = tf.convert_to_tensor(tokens)
            tape.watch(point)
            score = rest(point)
        score = score[:, target]
    gradient = tape.gradient(score, point).numpy()[:, start:]
    maps, slopes = (each.reshape(3, 3, 4, 8) for each in (np.asarray(point)[:, start:], gradient))
    return np.maximum((maps * slopes.mean(axis=(1, 2), keepdims=True)).sum(axis=-1), 0)


def _resumed(model, layer, tape):
    """The tokens that enter the last attention, and the scores that follow from them."""
    assert layer == "norm1"
    before = keras.Model(model.input, model.get_layer("end0").output)(X)
    point = tf.convert_to_tensor(model.get_layer("norm1")(before))
    tape.watch(point)
    y = before + model.get_layer("attention1")(point, point)
    y = y + model.get_layer("dense1")(y)
    return point, model.get_layer("head")(model.get_layer("last")(y)[:, 0])


def centers(values):
    """The map at the centers of patches, which interpolation leaves as they are only on average: the mean of each patch."""
    return values[..., 0].reshape(3, 3, 4, 4, 4).mean(axis=(2, 4))


@pytest.mark.parametrize("class_token, layer, start", [(True, "norm1", 2), (False, "last", 0)])
def test_the_last_tokens_that_count_are_found(class_token, layer, start):
    model = transformer(class_token=class_token)
    scores = Scores(model)
    maps = last_maps(scores, scores.target(1, 3))
    assert (maps.path, maps.patches) == (layer, Patches(start, (3, 4)))
    expected = by_tape(model, layer, 1, start)
    values = GradCAM(model)(X, target=1).values
    assert values.shape == (3, 12, 16, 1) and expected.max() > 1e-4
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        values[..., 0], np.asarray(resized(ops.convert_to_tensor(expected), (12, 16))), atol=1e-5 * scale
    )
    shifted = by_tape(model, layer, 2, start)  # of another class
    assert not np.allclose(centers(values), shifted, atol=1e-2 * scale)


def test_layers_after_which_only_the_class_token_counts_are_refused():
    model = transformer(class_token=True)
    for layer in ("last", "end1", "sum1"):
        with pytest.raises(ValueError, match=f"layer='{layer}', after which only other tokens count.*'norm1'"):
            GradCAM(model, layer=layer)(X, target=1)
    for layer in ("end0", "with_class", "patches"):
        assert GradCAM(model, layer=layer)(X, target=1).values.shape == (3, 12, 16, 1)


@pytest.mark.parametrize(
    "method", quickly([GradCAMPlusPlus, ScoreCAM, LayerCAM, HiResCAM, XGradCAM, EigenCAM, AblationCAM], AblationCAM)
)
def test_other_methods_have_maps_of_patches(method):
    values = method(transformer(class_token=True))(X, target=1).values
    assert values.shape == (3, 12, 16, 1) and np.isfinite(values).all() and values.max() > 0


def test_ablation_replaces_channels_of_patches_and_keeps_other_tokens():
    model = transformer(class_token=True)
    before = keras.Model(model.input, model.get_layer("end0").output)(X)
    tokens = model.get_layer("norm1")(before).numpy()

    def score(point):
        y = before + model.get_layer("attention1")(point, point)
        return model.get_layer("head")(model.get_layer("last")(y + model.get_layer("dense1")(y))[:, 0]).numpy()[:, 1]

    def ablated(start):
        heat = 0
        for channel in range(8):
            without = tokens.copy()
            without[:, start:, channel] = 0
            heat = heat + (score(tokens) - score(without))[:, None] * tokens[:, 2:, channel]
        heat = np.maximum(heat, 0).reshape(3, 3, 4).astype("float32")
        return np.asarray(resized(ops.convert_to_tensor(heat), (12, 16)))

    values, expected = AblationCAM(model)(X, target=1).values[..., 0], ablated(2)
    np.testing.assert_allclose(values, expected, atol=1e-5 * expected.max())
    assert np.abs(values - ablated(0)).max() > 0.01 * expected.max()


def test_patches_are_followed_and_used_ones_are_told():
    model = transformer(class_token=True)
    graph = Scores(model).graph
    patches = patches_of(graph)
    paths = {identifier: step.path for step in graph.steps for identifier in step.outputs}
    found = {paths[identifier]: each for identifier, each in patches.items()}
    assert found["with_class.concatenate"] == found["end1"] == found["last"] == Patches(2, (3, 4))
    assert found["reshape" if "reshape" in found else next(iter(found))] == Patches(0, (3, 4))
    used = {paths[identifier] for identifier in used_patches(graph, list(graph.outputs), patches)}
    assert {"norm1", "end0"} <= used and not {"last", "end1", "attention1"} & used


def test_patches_that_are_cut_out_by_reshaping_are_found():
    """Without them, the last maps would silently be those of the convolution before all attention."""
    x = keras.Input((12, 16, 3))
    y = layers.Conv2D(2, 3, padding="same", name="stem")(x)
    y = layers.Permute((1, 3, 2, 4, 5))(layers.Reshape((3, 4, 4, 4, 2))(y))
    y = layers.Dense(8)(layers.Reshape((12, 32))(y))
    y = layers.Add(name="end")([y, layers.MultiHeadAttention(2, 4)(y, y)])
    model = keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling1D()(y)))
    scores = Scores(model)
    maps = last_maps(scores, scores.target(1, 3))
    assert (maps.path, maps.patches) == ("end", Patches(0, (3, 4)))


def test_a_decisive_patch_is_found():
    """Images with a bright patch somewhere, whose color decides the class."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 0.1, size=(600, 12, 16, 3)).astype("float32"), rng.integers(0, 3, 600)
    rows, columns = rng.integers(0, 3, 600), rng.integers(0, 4, 600)
    for image, label, row, column in zip(x, y, rows, columns, strict=True):
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4, label] += 2
    model = transformer(class_token=True)
    model.compile(
        keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    model.fit(x, y, epochs=12, batch_size=64, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > 0.95
    values = GradCAM(model)(x[:60], target=y[:60]).values[..., 0].reshape(60, 3, 4, 4, 4).mean(axis=(2, 4)).reshape(60, -1)
    hits = (values.argmax(axis=1) == (4 * rows + columns)[:60]).mean()
    assert hits > 0.3  # by chance 0.08


def hidden(*, pooled=False):
    """A stem whose maps become tokens by axes in another order, so that their places are not known."""
    keras.utils.set_random_seed(0)
    x = keras.Input((12, 16, 3))
    y = layers.Conv2D(8, 4, 4, activation="relu", name="stem")(x)
    y = layers.GlobalAveragePooling2D(keepdims=True)(y) if pooled else y
    y = layers.Permute((2, 1))(layers.Reshape((8, -1))(layers.Permute((3, 1, 2))(y)))
    y = layers.Add()([y, layers.MultiHeadAttention(2, 4, name="attention")(y, y)])
    return keras.Model(x, layers.Dense(4)(layers.GlobalAveragePooling1D()(y)))


@pytest.mark.parametrize("method", [GradCAM, LayerCAM, EigenCAM])
def test_no_map_before_all_attention_is_the_default(method):
    model = hidden()
    with pytest.raises(ValueError, match="'attention' follows the last feature maps, those of 'stem'.*layer='stem'"):
        method(model)(X, target=1)
    assert method(model, layer="stem")(X, target=1).values.any()
    assert method(hidden(pooled=True))(X, target=1).values.shape == (3, 12, 16, 1)  # after pooling there are no places to find


@pytest.mark.parametrize("method", quickly([GradCAM, ScoreCAM, EigenCAM], GradCAM))
def test_places_that_are_given_are_those_that_are_found(method):
    model = transformer(class_token=True)
    found = method(model, layer="norm1")(X, target=1).values
    np.testing.assert_array_equal(method(model, layer="norm1", places=(3, 4))(X, target=1).values, found)
    assert not np.allclose(method(model, layer="norm1", places=(4, 3))(X, target=1).values, found)  # the control


def test_places_of_tokens_that_cannot_be_found():
    model = hidden()
    with pytest.raises(ValueError, match=r"places=\(height, width\)"):
        GradCAM(model)(X)
    tokens = np.asarray(keras.Model(model.input, model.get_layer("attention").output)(X))
    weights = model.layers[-1].kernel.numpy() / 12  # through the mean of the tokens
    for target in range(4):
        heat = np.maximum(tokens @ weights[:, target], 0).reshape(3, 3, 4)
        values = GradCAM(model, layer="attention", places=(3, 4))(X, target).values[..., 0]
        np.testing.assert_allclose(values, resized(heat, (12, 16)), atol=1e-6)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"places": (3, 4)}, "Expected `layer`, the layer of the tokens"),
        ({"layer": "norm1", "places": (4, 4)}, "of 16 patches, for the output of shape"),
        ({"layer": "patches", "places": (3, 4)}, r"whose output is \(n, tokens, channels\)"),
        ({"layer": "norm1", "places": 12}, "size of a grid of patches"),
        ({"layer": "norm1", "places": (3, 0)}, "size of a grid of patches"),
        ({"layer": "norm1", "places": (3.0, 4)}, "size of a grid of patches"),
        ({"layer": "norm1", "places": (2, 2, 3)}, "feature maps of an input"),
    ],
)
def test_places_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GradCAM(transformer(class_token=True), **options)
