"""LayerCAM, HiResCAM, XGrad-CAM, Eigen-CAM, Ablation-CAM and guided Grad-CAM against plain loops; one map per time step."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_xai.attribution import (
    CAM,
    AblationCAM,
    EigenCAM,
    GradCAM,
    GradCAMPlusPlus,
    GuidedBackprop,
    GuidedGradCAM,
    HiResCAM,
    LayerCAM,
    ScoreCAM,
    XGradCAM,
)
from keras_xai.attribution.cam.frames import Frames
from keras_xai.attribution.cam.maps import last_maps
from keras_xai.network.scores import Scores
from tests.slow import quickly

METHODS = {
    method.__name__: method
    for method in (LayerCAM, HiResCAM, XGradCAM, EigenCAM, AblationCAM, GradCAM, GradCAMPlusPlus, ScoreCAM)
}
TARGETS = np.array([3, 1, 4, 1])


@pytest.fixture(scope="module")
def network(digits):
    """A small trained network."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 1))
    y = layers.MaxPooling2D(2)(layers.Conv2D(6, 3, padding="same", activation="relu")(x))
    y = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv")(y)
    model = keras.Model(x, layers.Dense(10, name="head")(layers.Dense(16, "relu", name="dense")(layers.Flatten()(y))))
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(digits[0][:600], digits[1][:600], epochs=3, verbose=0)
    assert (model(digits[0][1000:]).numpy().argmax(axis=1) == digits[1][1000:]).mean() > 0.7
    return model


@pytest.fixture(scope="module")
def images(digits):
    return digits[0][:4].astype("float32")


@pytest.fixture(scope="module")
def maps(network, images):
    """The layer's output and the gradients of the scores by it."""
    inner = keras.Model(network.inputs, [network.get_layer("conv").output, network.output])
    with tf.GradientTape() as tape:
        features, scores = inner(images)
        chosen = tf.gather(scores, TARGETS, axis=1, batch_dims=1)
    return features.numpy(), tape.gradient(chosen, features).numpy()


def _large(maps, sizes=(8, 8)):
    return ops.convert_to_numpy(ops.image.resize(np.maximum(maps, 0)[..., None].astype("float32"), sizes))


# Methods by gradients


def layer_cam(a, g):
    return (np.maximum(g, 0) * a).sum(axis=-1)


def hi_res_cam(a, g):
    return (g * a).sum(axis=-1)


def grad_cam(a, g):
    return (g.mean(axis=(1, 2), keepdims=True) * a).sum(axis=-1)


def x_grad_cam(a, g):
    found = np.zeros(a.shape[:3])
    for i, k in np.ndindex(a.shape[0], a.shape[3]):
        total = a[i, ..., k].sum()
        if total:
            found[i] += sum(a[i, r, c, k] / total * g[i, r, c, k] for r, c in np.ndindex(a.shape[1:3])) * a[i, ..., k]
    return found


NAIVE = {LayerCAM: layer_cam, HiResCAM: hi_res_cam, XGradCAM: x_grad_cam, GradCAM: grad_cam}


@pytest.mark.parametrize("method", [LayerCAM, HiResCAM, XGradCAM])
def test_gradients_weight_maps(network, images, maps, method):
    explanation = method(network)(images, target=TARGETS)
    assert explanation.values.shape == (4, 8, 8, 1) and explanation.num_forward_passes == 2
    for each, naive in NAIVE.items():
        difference = np.abs(explanation.values - _large(naive(*maps))).max()
        assert difference < 1e-5 * np.abs(explanation.values).max() if each is method else difference > 0.01


@pytest.mark.parametrize("naive", [hi_res_cam, x_grad_cam])
def test_maps_before_affine_layers_add_up_to_the_score(naive):
    features, kernel = np.random.default_rng(0).uniform(size=(2, 3, 3, 4)), np.random.default_rng(1).normal(size=(3, 3, 4))
    np.testing.assert_allclose(
        naive(features, np.broadcast_to(kernel, features.shape)).sum((1, 2)), (features * kernel).sum((1, 2, 3))
    )


def test_inactive_maps_have_no_weight_in_x_grad_cam():
    x = keras.Input((6, 6, 1))
    convolution = layers.Conv2D(3, 3, activation="relu", bias_initializer=keras.initializers.Constant(-9))
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(convolution(x))))
    assert not XGradCAM(model)(np.zeros((1, 6, 6, 1)), target=0).values.any()


# Eigen-CAM


def eigen_cam(features, center=False):
    found = []
    for each in features.astype("float64"):
        matrix = each.reshape(-1, each.shape[-1])
        matrix = matrix - matrix.mean(axis=0) * center
        heat = matrix @ np.linalg.svd(matrix)[2][0]
        found.append((heat * np.sign(heat[np.abs(heat).argmax()])).reshape(each.shape[:-1]))
    return np.stack(found)


def test_eigen_cam_is_the_first_singular_vector(network, images, maps):
    explanation = EigenCAM(network)(images, target=TARGETS)
    expected = eigen_cam(maps[0])
    assert explanation.num_forward_passes == 1 and expected.min() >= 0
    np.testing.assert_allclose(explanation.values, _large(expected), atol=1e-5 * expected.max())
    np.testing.assert_array_equal(EigenCAM(network)(images, target=0).values, explanation.values)  # of any class
    assert np.abs(explanation.values - _large(eigen_cam(maps[0], center=True))).max() > 0.01


def test_the_sign_of_eigen_cam_is_definite():
    """Of maps with one positive place among small values, in whichever direction, that place is shown."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 5, 5, 3)).astype("float32") * 0.05
    x[np.arange(8), np.arange(8) % 5, np.arange(8) // 5] += np.where(np.arange(8) % 2, 3, -3)[:, None]
    inputs = keras.Input((5, 5, 3))
    convolution = layers.Conv2D(3, 1, use_bias=False, name="conv", kernel_initializer="orthogonal")
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(convolution(inputs))))
    values = EigenCAM(model, layer="conv")(x, target=0).values[..., 0]
    np.testing.assert_array_equal(values.reshape(8, -1).argmax(axis=1), 5 * (np.arange(8) % 5) + np.arange(8) // 5)
    np.testing.assert_allclose(EigenCAM(model, layer="conv")(-x, target=0).values[..., 0], values, atol=1e-5)


def test_eigen_cam_of_maps_that_are_nan_is_refused(network, images):
    model = keras.models.clone_model(network)
    model.layers[1].bias.assign([np.nan] * 6)
    if np.isfinite(model.predict(images, verbose=0)).all():
        pytest.skip("ReLU of NaN is 0 here, as with oneDNN")
    with pytest.raises(ValueError, match="NaN or infinite"):
        EigenCAM(model)(images, target=0)


# Ablation-CAM


def ablation_cam(features, tail, target, fill=0.0):
    """One forward pass for each channel of each sample; also the number of channels that are not zero."""
    found, count = np.zeros(features.shape[:-1]), 0
    for i, k in np.ndindex(features.shape[0], features.shape[-1]):
        without = features[i : i + 1].copy()
        without[..., k] = fill
        weight = tail(features[i : i + 1])[0, target[i]] - tail(without)[0, target[i]]
        count += features[i, ..., k].any()
        found[i] += float(weight) * features[i, ..., k]
    return found, count


def test_ablation_cam_is_a_loop_over_channels(network, images, maps):
    tail = keras.Sequential([keras.Input((4, 4, 8)), layers.Flatten(), network.get_layer("dense"), network.get_layer("head")])
    expected, count = ablation_cam(maps[0], tail, TARGETS)
    explanation = AblationCAM(network)(images, target=TARGETS)
    assert explanation.num_forward_passes == pytest.approx(count / 4 + 1)
    np.testing.assert_allclose(explanation.values, _large(expected), atol=1e-5 * np.abs(expected).max())
    assert np.abs(explanation.values - _large(ablation_cam(maps[0], tail, TARGETS, fill=1.0)[0])).max() > 0.01
    for batch_size in (1, 3):
        found = AblationCAM(network, batch_size=batch_size)(images, target=TARGETS).values
        np.testing.assert_allclose(found, explanation.values, atol=1e-5 * np.abs(expected).max())


def test_ablation_keeps_masks_of_tokens():
    keras.utils.set_random_seed(0)
    tokens = keras.Input((6,), dtype="int32")
    y = layers.Dense(4, "relu", name="dense")(
        layers.Embedding(9, 4, keras.initializers.RandomNormal(stddev=1), mask_zero=True)(tokens)
    )
    model = keras.Model(tokens, layers.Dense(2, name="head")(layers.GlobalAveragePooling1D()(y)))
    x = np.array([[3, 4, 5, 0, 0, 0], [1, 2, 3, 4, 5, 6]])
    features = keras.Model(tokens, y)(x).numpy()

    def tail(one):  # the mean over tokens that are not padding
        mask = (x[np.abs(features - one).sum((1, 2)).argmin()] != 0)[None, :, None]
        return model.get_layer("head")((one * mask).sum(axis=1) / mask.sum(axis=1)).numpy()

    expected = np.maximum(ablation_cam(features, tail, [1, 1])[0], 0) * (x != 0)
    values = AblationCAM(model, layer="dense")(x, target=1).values
    assert expected.max() > 1e-3
    np.testing.assert_allclose(values, expected, atol=1e-5 * expected.max())


# Guided Grad-CAM


def test_guided_grad_cam_is_the_product(network, images, maps):
    explanation = GuidedGradCAM(network)(images, target=TARGETS)

    @tf.custom_gradient
    def guided(z):
        y = tf.nn.relu(z)
        return y, lambda upstream: tf.nn.relu(upstream) * tf.cast(z > 0, "float32")

    def score(x):
        for layer in network.layers[1:]:
            if layer.name != "head" and layer.weights:
                axes = 1 if isinstance(layer, layers.Dense) else None
                z = x @ layer.kernel if axes else tf.nn.conv2d(x, layer.kernel.value, 1, "SAME")
                x = guided(z + layer.bias)
            else:
                x = layer(x)
        return tf.gather(x, TARGETS, axis=1, batch_dims=1)

    with tf.GradientTape() as tape:
        point = tf.constant(images)
        tape.watch(point)
        value = score(point)
    details = tape.gradient(value, point).numpy()
    np.testing.assert_allclose(explanation.values, _large(grad_cam(*maps)) * details, atol=1e-5)
    assert explanation.num_forward_passes == 4 and explanation.derivatives
    assert np.abs(explanation.values - GuidedBackprop(network)(images, target=TARGETS).values).max() > 0.01


def test_guided_grad_cam_needs_rectifiers():
    x = keras.Input((8, 8, 1))
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(layers.Conv2D(2, 3)(x))))
    with pytest.raises(ValueError, match="GuidedGradCAM changes the gradient at rectifiers"):
        GuidedGradCAM(model)


# One map per time step


def film(head="LSTM", first=False):
    keras.utils.set_random_seed(0)
    form = {"data_format": "channels_first" if first else "channels_last"}
    inner = keras.Sequential(
        [
            keras.Input((2, 6, 6) if first else (6, 6, 2)),
            layers.Conv2D(3, 3, activation="relu", name="conv", **form),
            layers.GlobalAveragePooling2D(**form),
        ],
        name="cnn",
    )
    x = keras.Input((4, *inner.input_shape[1:]))
    y = layers.TimeDistributed(inner, name="frames")(x)
    y = layers.LSTM(5, name="end")(y) if head == "LSTM" else layers.Flatten(name="end")(y)
    return keras.Model(x, layers.Dense(2, name="head")(y))


FILMS = np.random.default_rng(0).normal(size=(3, 4, 6, 6, 2)).astype("float32")


def test_the_default_layer_of_a_film_is_inside_time_distributed():
    scores = Scores(film())
    found = last_maps(scores, scores.target(1, 3))
    assert (found.path, found.frames) == ("frames/cnn/conv", Frames(apart=True))


def frame_maps(model):
    """The maps of each frame `(n, frames, 4, 4, 3)`, and the gradient of the score by them."""
    inner = model.get_layer("frames").layer
    features = inner.get_layer("conv")(FILMS.reshape(-1, 6, 6, 2)).numpy().reshape(3, 4, 4, 4, 3)
    with tf.GradientTape() as tape:
        point = tf.constant(features)
        tape.watch(point)
        score = model.get_layer("head")(model.get_layer("end")(tf.reduce_mean(point, axis=(2, 3))))[:, 1]
    return features, tape.gradient(score, point).numpy()


def by_frame(naive, arrays):
    found = [naive(*(each[:, t] for each in arrays)) for t in range(4)]
    return np.stack([_large(each, (6, 6)) for each in found], axis=1)


@pytest.mark.parametrize("method", quickly([GradCAM, XGradCAM, LayerCAM, HiResCAM], GradCAM))
def test_each_time_step_has_a_map_of_its_own(method):
    model = film()
    features, gradients = frame_maps(model)
    values = method(model)(FILMS, target=1).values
    expected = by_frame(NAIVE[method], (features, gradients))
    np.testing.assert_allclose(values, expected, atol=1e-5 * expected.max())
    jointly = gradients.mean(axis=1, keepdims=True) + 0 * gradients  # weights of all steps together are other ones
    assert np.abs(values - by_frame(NAIVE[method], (features, jointly))).max() > 0.01 * expected.max()


def test_frames_of_a_film_in_a_single_layer_are_found_too():
    keras.utils.set_random_seed(0)
    x = keras.Input((4, 6, 6, 2))
    y = layers.TimeDistributed(layers.Conv2D(3, 3), name="convs")(x)
    y = layers.ReLU(name="after")(layers.BatchNormalization(name="norm")(y))
    pooled = layers.TimeDistributed(layers.GlobalAveragePooling2D())(y)
    model = keras.Model(x, layers.Dense(2, name="head")(layers.Flatten()(pooled)))
    found = last_maps(Scores(model), Scores(model).target(1, 3))
    assert (found.path, found.frames) == ("after", Frames(apart=False))
    features = keras.Model(x, y)(FILMS).numpy()
    kernel = model.get_layer("head").kernel.numpy()[:, 1].reshape(1, 4, 1, 1, 3) / 16
    expected = by_frame(grad_cam, (features, np.broadcast_to(kernel, features.shape)))
    np.testing.assert_allclose(GradCAM(model)(FILMS, target=1).values, expected, atol=1e-5 * expected.max())
    # Where frames mix, they are places of a volume.
    mixed = layers.Conv3D(3, 2, activation="relu", name="mixed")(y)
    model = keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling3D()(mixed)))
    found = last_maps(Scores(model), Scores(model).target(1, 3))
    assert (found.path, found.frames) == ("mixed", None)


@pytest.mark.slow
def test_a_film_by_eigen_cam_ablation_cam_and_cam():
    model = film("flat")
    features, _ = frame_maps(model)
    expected = by_frame(eigen_cam, (features,))
    np.testing.assert_allclose(EigenCAM(model)(FILMS, target=1).values, expected, atol=1e-5 * expected.max())
    kernel = model.get_layer("head").kernel.numpy()[:, 1].reshape(1, 4, 1, 1, 3)
    # The loss of the score without a channel of a frame is its mean times its weight.
    weights = features.mean(axis=(2, 3), keepdims=True) * kernel
    expected = by_frame(lambda a, w: (a * w).sum(axis=-1), (features, weights))
    explanation = AblationCAM(model, batch_size=2)(FILMS, target=1)
    np.testing.assert_allclose(explanation.values, expected, atol=1e-5 * expected.max())
    expected = by_frame(lambda a, w: (a * w).sum(axis=-1), (features, np.broadcast_to(kernel, features.shape)))
    np.testing.assert_allclose(CAM(model)(FILMS, target=1).values, expected, atol=1e-5 * expected.max())
    assert ScoreCAM(model)(FILMS, target=1).values.shape == (3, 4, 6, 6, 1)
    assert GuidedGradCAM(model)(FILMS, target=1).values.shape == FILMS.shape


# Volumes


@pytest.mark.parametrize("name", quickly(METHODS, "AblationCAM", "EigenCAM", "XGradCAM"))
def test_volumes(name):
    """A volume of equal slices has the maps of the image, at each depth."""
    keras.utils.set_random_seed(0)
    x, volume = keras.Input((6, 6, 1)), keras.Input((3, 6, 6, 1))
    flat, deep = layers.Conv2D(3, 3, activation="relu"), layers.Conv3D(3, (1, 3, 3), activation="relu")
    head = layers.Dense(2)
    model = keras.Model(x, head(layers.GlobalAveragePooling2D()(flat(x))))
    other = keras.Model(volume, head(layers.GlobalAveragePooling3D()(deep(volume))))
    deep.set_weights([flat.get_weights()[0][None], flat.get_weights()[1]])
    images = np.random.default_rng(0).normal(size=(2, 6, 6, 1)).astype("float32")
    expected = METHODS[name](model)(images, target=1).values
    values = METHODS[name](other)(np.repeat(images[:, None], 3, axis=1), target=1).values
    scale = (values * expected[:, None]).sum() / (3 * expected**2).sum()  # means and norms know the number of places
    assert expected.max() > 1e-3
    np.testing.assert_allclose(values, np.repeat(scale * expected[:, None], 3, axis=1), atol=1e-5 * values.max())
