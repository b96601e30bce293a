"""CAM, Grad-CAM, Grad-CAM++ and Score-CAM against tf-keras-vis and plain loops."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.attribution.cam.cam import CAM
from keras_xai.attribution.cam.grad_cam import GradCAM, GradCAMPlusPlus
from keras_xai.attribution.cam.heat import resized
from keras_xai.attribution.cam.maps import last_maps
from keras_xai.attribution.cam.score_cam import ScoreCAM
from keras_xai.network.scores import Scores
from tests import channels_first
from tests.tolerance import rounding
from tests.zoo import in_dtype

pytestmark = pytest.mark.onednn

METHODS = [GradCAM, GradCAMPlusPlus, ScoreCAM]
TARGETS = np.array([3, 1, 4, 1, 5, 9])


def _network(head=lambda x: layers.Flatten()(layers.MaxPooling2D(2)(x)), name="logits"):
    x = keras.Input((8, 8, 1))
    y = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv1")(x)
    y = layers.MaxPooling2D(2)(y)
    y = layers.Conv2D(8, 3, padding="same", name="conv2")(y)
    y = layers.ReLU(name="relu2")(layers.BatchNormalization(name="norm2")(y))
    return keras.Model(x, layers.Dense(10, name=name)(head(y)))


@pytest.fixture(scope="module")
def network(digits):
    """A small trained network that ends in logits."""
    keras.utils.set_random_seed(0)
    model = _network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"])
    images, labels = digits
    model.fit(images[:1000], labels[:1000], epochs=3, verbose=0)
    assert model.evaluate(images[1000:], labels[1000:], verbose=0)[1] > 0.7
    return model


@pytest.fixture(scope="module")
def averaging(network):
    """A network that ends in global average pooling; its head is random."""
    keras.utils.set_random_seed(0)
    model = _network(layers.GlobalAveragePooling2D())
    for layer in model.layers:
        if layer.weights and layer.name != "logits":
            layer.set_weights(network.get_layer(layer.name).get_weights())
    return model


@pytest.fixture(scope="module")
def images(digits):
    return digits[0][:6].astype("float32")


def _output(model, layer, x):
    return ops.convert_to_numpy(keras.Model(model.inputs, model.get_layer(layer).output)(x))


def _large(maps, like):
    return ops.convert_to_numpy(ops.image.resize(maps[..., None], like.shape[1:3]))


def _gradients(model, layer, x, target):
    """Derivatives of the scores by a layer's output, from the part of the model behind the layer."""
    import tensorflow as tf

    inner = keras.Model(model.inputs, [model.get_layer(layer).output, model.output])
    with tf.GradientTape() as tape:
        features, scores = inner(x)
        chosen = tf.gather(scores, target, axis=1, batch_dims=1)
    return features.numpy(), tape.gradient(chosen, features).numpy(), chosen.numpy()


def _peer(method, model, layer, x, target):
    from tf_keras_vis.utils.scores import CategoricalScore

    visualization = method(keras.Model(model.inputs, model.outputs), clone=False)
    return visualization(
        CategoricalScore(target.tolist()),
        x,
        penultimate_layer=layer,
        seek_penultimate_conv_layer=False,
        expand_cam=False,
        normalize_cam=False,
    )


# Grad-CAM


@pytest.mark.parametrize("layer", ["conv1", "conv2", "relu2"])
@pytest.mark.filterwarnings("ignore")
def test_grad_cam_is_that_of_tf_keras_vis(network, images, layer):
    from tf_keras_vis.gradcam import Gradcam

    explanation = GradCAM(network, layer=layer)(images, target=TARGETS)
    expected = _large(np.asarray(_peer(Gradcam, network, layer, images, TARGETS)), images)
    assert explanation.values.shape == (6, 8, 8, 1) and explanation.values.max() > 0.01
    np.testing.assert_allclose(explanation.values, expected, atol=1e-5)
    assert explanation.num_forward_passes == 2 and explanation.convergence_delta is None


def test_grad_cam_weighs_by_means_and_by_nothing_else(network, images):
    features, gradients, _ = _gradients(network, "relu2", images, TARGETS)
    values = GradCAM(network, layer="relu2")(images, target=TARGETS).values

    def naive(weights):
        return _large(np.maximum((weights * features).sum(-1), 0), images)

    np.testing.assert_allclose(values, naive(gradients.mean((1, 2), keepdims=True)), atol=1e-5)
    for broken in (gradients.max((1, 2), keepdims=True), gradients, np.abs(gradients).mean((1, 2), keepdims=True)):
        assert np.abs(values - naive(broken)).max() > 0.01


def test_the_backward_pass_ends_at_the_layer(images):
    @ops.custom_gradient
    def one_way(x):
        def backward(*arguments, upstream=None):
            raise AssertionError("the backward pass has come below the layer")

        return x, backward

    class OneWay(layers.Layer):
        def call(self, x):
            return one_way(x)

    x = keras.Input((8, 8, 1))
    y = layers.Conv2D(3, 3, name="above")(OneWay()(layers.Conv2D(3, 3)(x)))
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(y)))
    assert GradCAM(model, layer="above")(images, target=1).values.shape == (6, 8, 8, 1)
    with pytest.raises(AssertionError, match="below the layer"):
        GradCAM(model, layer=model.layers[1].name)(images, target=1)


# Grad-CAM++


def _plus_plus(features, gradients, threshold=True):
    """As in the authors' program, one channel of one sample at a time, without the factor exp(score)."""
    maps = np.zeros(features.shape[:3])
    for i, k in np.ndindex(features.shape[0], features.shape[3]):
        g, a = gradients[i, ..., k].astype("float64"), features[i, ..., k].astype("float64")
        below = 2 * g**2 + g**3 * a.sum()
        alphas = g**2 / np.where(below != 0, below, 1)
        total = (np.where(g > 0, alphas, 0) if threshold else alphas).sum()
        maps[i] += (alphas / (total or 1) * np.maximum(g, 0)).sum() * a
    return np.maximum(maps, 0)


def test_grad_cam_plus_plus_is_that_of_its_authors(network, images):
    features, gradients, _ = _gradients(network, "relu2", images, TARGETS)
    values = GradCAMPlusPlus(network)(images, target=TARGETS).values
    np.testing.assert_allclose(values, _large(_plus_plus(features, gradients), images), atol=1e-5)
    assert np.abs(values - _large(_plus_plus(features, gradients, threshold=False), images)).max() > 0.01


@pytest.mark.filterwarnings("ignore")
def test_grad_cam_plus_plus_of_tf_keras_vis(network, images):
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus

    # It divides by all coefficients, those of negative derivatives too; where there are none, it is the same.
    features, gradients, scores = _gradients(network, "relu2", images, TARGETS)
    peer = np.asarray(_peer(GradcamPlusPlus, network, "relu2", images, TARGETS))
    factor = np.exp(scores)[:, None, None]
    np.testing.assert_allclose(peer / factor, _plus_plus(features, gradients, threshold=False), rtol=1e-3, atol=1e-4)
    kernel, bias = network.get_layer("logits").get_weights()
    rising = _network()
    rising.set_weights([*network.get_weights()[:-2], np.abs(kernel), bias - 3])
    peer = np.asarray(_peer(GradcamPlusPlus, rising, "relu2", images, TARGETS))
    factor = np.exp(_gradients(rising, "relu2", images, TARGETS)[2])[:, None, None]
    values = GradCAMPlusPlus(rising)(images, target=TARGETS).values
    np.testing.assert_allclose(values, _large(peer / factor, images), rtol=1e-4, atol=1e-5)


# CAM


def test_cam_is_the_dense_kernel_over_the_maps(averaging, images):
    kernel = averaging.get_layer("logits").get_weights()[0]
    features = _output(averaging, "relu2", images)
    expected = np.stack([(maps * kernel[:, c]).sum(-1) for maps, c in zip(features, TARGETS, strict=True)])
    explanation = CAM(averaging)(images, target=TARGETS)
    np.testing.assert_allclose(explanation.values, _large(np.maximum(expected, 0), images), atol=1e-5)
    assert explanation.num_forward_passes == 1
    averages = averaging(images).numpy()[np.arange(6), TARGETS]
    np.testing.assert_allclose(expected.mean((1, 2)), averages, atol=1e-5)  # the bias is zero


def test_cam_is_grad_cam_up_to_scale(averaging, images):
    cam, grad_cam = (method(averaging)(images).values for method in (CAM, GradCAM))
    assert cam.max() > 0.05
    np.testing.assert_allclose(cam, 16 * grad_cam, atol=1e-5)


@pytest.mark.parametrize(
    "head",
    [
        lambda x: layers.Softmax()(layers.GlobalAveragePooling2D()(x)),
        lambda x: layers.Flatten()(layers.GlobalAveragePooling2D(keepdims=True)(x)),
        lambda x: layers.Reshape((4,))(
            layers.Conv2D(4, 1)(layers.Dropout(0.1)(layers.GlobalAveragePooling2D(keepdims=True)(x)))
        ),
        lambda x: layers.Dense(3)(layers.BatchNormalization()(layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))),
        lambda x: layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling2D()(x)),
    ],
    ids=["nothing", "flatten", "convolution", "affine", "sigmoid"],
)
def test_cam_of_other_heads(head, images):
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 1))
    model = keras.Model(x, head(layers.Conv2D(4, 3, activation="relu")(x)))
    cam, grad_cam = (method(model)(images, target=0).values for method in (CAM, GradCAM))
    np.testing.assert_allclose(cam, 36 * grad_cam, atol=1e-5)


def test_cam_refuses_other_models(network):
    with pytest.raises(ValueError, match="ends in global average pooling.*'logits' \\(Dense\\) after 'flatten.*Use `GradCAM`"):
        CAM(network)(np.zeros((1, 8, 8, 1)))
    x = keras.Input((8, 8, 1))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3)(x))
    model = keras.Model(x, layers.Dense(2)(layers.Dense(4, activation="relu", name="hidden")(pooled)))
    with pytest.raises(ValueError, match="after 'hidden.relu' \\(R"):
        CAM(model)(np.zeros((1, 8, 8, 1)))
    other = layers.GlobalAveragePooling2D(name="other")(layers.Conv2D(3, 3)(x))
    two = keras.Model(x, [layers.Dense(2, name="a")(pooled), layers.Dense(2, name="b")(other)])
    with pytest.raises(ValueError, match="one global average pooling shared by all explained outputs"):
        CAM(two)(np.zeros((1, 8, 8, 1)), target={"a": 0, "b": 1})
    assert CAM(two)(np.zeros((1, 8, 8, 1)), target={"b": 1}).values.shape == (1, 8, 8, 1)
    table = keras.Input((8, 8, 1))
    model = keras.Model(table, layers.GlobalAveragePooling1D()(layers.Reshape((16, 4))(table)))
    with pytest.raises(ValueError, match="Expected a model that averages the feature maps of an input"):
        CAM(model)(np.zeros((1, 8, 8, 1)))


# Score-CAM


def _score_cam(model, layer, x, target, baseline=0.0, channels=None, softmax=True):
    """One forward pass for each mask, one sample at a time."""
    import tensorflow as tf

    predict, found = tf.function(model), []
    for image, c in zip(x, target, strict=False):
        features = _output(model, layer, image[None])[0]
        weights = np.zeros(features.shape[-1])
        used = [k for k in range(features.shape[-1]) if np.ptp(features[..., k]) > 0]
        if channels is not None:
            used = [k for k in used if k in np.argsort(-features.std((0, 1)))[:channels]]
        for k in used:
            mask = _large(features[None, ..., k], x)[0]
            mask = (mask - mask.min()) / np.ptp(mask)
            weights[k] = predict(baseline + mask[None] * (image[None] - baseline)).numpy()[0, c]
        if softmax:
            weights[used] = np.exp(weights[used]) / np.exp(weights[used]).sum()
        found.append(np.maximum((features * weights).sum(-1), 0))
    return _large(np.stack(found), x)


@pytest.mark.parametrize("baseline, channels", [(0.0, None), (0.4, 3)])
def test_score_cam_is_a_loop_over_masks(network, images, baseline, channels):
    method = ScoreCAM(network, layer="relu2", max_maps=channels)
    explanation = method(images[:3], target=TARGETS[:3], baseline=baseline)
    expected = _score_cam(network, "relu2", images[:3], TARGETS, baseline, channels)
    assert explanation.values.max() > 0.03
    np.testing.assert_allclose(explanation.values, expected, atol=1e-5)
    for broken in ({"softmax": False}, {"baseline": 0.2}, {"channels": 5}):
        arguments = {"baseline": baseline, "channels": channels} | broken
        assert np.abs(explanation.values - _score_cam(network, "relu2", images[:3], TARGETS, **arguments)).max() > 1e-3


def test_score_cam_passes_and_batches(network, images):
    features = _output(network, "relu2", images)
    alive = sum(np.ptp(features[i, ..., k]) > 0 for i, k in np.ndindex(6, 8))
    explanation = ScoreCAM(network)(images)
    assert explanation.num_forward_passes == pytest.approx(alive / 6 + 1)
    for batch_size in (1, 7):
        np.testing.assert_allclose(ScoreCAM(network, batch_size=batch_size)(images).values, explanation.values, atol=1e-5)


def test_score_cam_of_maps_that_are_constant_but_for_rounding():
    """Rounding differs between batches: scaled to the range from 0 to 1 it would be a mask of noise."""
    last = [keras.Input((4, 4, 2)), layers.Conv2D(2, 1, use_bias=False, name="conv"), layers.Flatten(), layers.Dense(3)]
    model = keras.Sequential(last)
    model.set_weights([np.eye(2).reshape(1, 1, 2, 2), *model.get_weights()[1:]])
    x = np.full((2, 4, 4, 2), 0.7, "float32")
    x[0] += np.arange(32).reshape(4, 4, 2) * np.spacing(np.float32(0.7)) / 8
    x[1, ..., 0] = np.arange(16).reshape(4, 4)
    values = ScoreCAM(model, layer="conv")(x, target=0).values
    assert not values[0].any()
    assert values[1].any()


def test_score_cam_of_maps_that_are_all_constant():
    x = keras.Input((8, 8, 1))
    convolution = layers.Conv2D(3, 3, activation="relu", bias_initializer=keras.initializers.Constant(-9))
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(convolution(x))))
    explanation = ScoreCAM(model)(np.zeros((2, 8, 8, 1)))
    assert not explanation.values.any() and explanation.num_forward_passes == 1


# Which layer


def test_the_last_layer_is_the_activation_before_pooling(network, averaging, images):
    for model in (network, averaging):
        assert last_maps(Scores(model), Scores(model).target(None, 1)).path == "relu2"
    expected = GradCAM(network, layer="relu2")(images).values
    np.testing.assert_allclose(GradCAM(network)(images).values, expected, atol=rounding("float32", expected, 8))


def _last(inputs, outputs, target=None):
    scores = Scores(keras.Model(inputs, outputs))
    return last_maps(scores, scores.target(target, 1)).path


def test_the_last_layer_of_other_models():
    x = keras.Input((8, 8, 1))
    conv = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    # A squeeze and excitation beside the maps, and one place left of them.
    gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(conv))
    gated = layers.Multiply(name="gated")([conv, gate])
    one = layers.Conv2D(6, 8, name="one")(gated)
    assert _last(x, layers.Flatten()(one)) == "gated"
    joined = layers.Concatenate(name="joined")([gated, conv])
    assert _last(x, layers.GlobalMaxPooling2D()(layers.Dropout(0.1)(layers.ZeroPadding2D()(joined)))) == "joined"
    outputs = {"a": layers.Dense(2)(layers.Flatten()(conv)), "b": layers.Dense(2)(layers.Flatten()(gated))}
    assert _last(x, outputs, {"a": 1}) == "conv" and _last(x, outputs, {"b": 1}) == "gated"
    assert _last(x, outputs, {"a": 1, "b": 1}) == "gated"
    decoded = layers.Reshape((4, 4, 2), name="decoded")(layers.Dense(32)(layers.Flatten()(conv)))
    assert _last(x, layers.Flatten()(decoded)) == "decoded"


@pytest.mark.parametrize(
    "pooling",
    [
        layers.AdaptiveMaxPooling2D(2),
        layers.AdaptiveAveragePooling2D(2),
        layers.AveragePooling2D(2),
        lambda x: ops.max_pool(x, 2),
        lambda x: ops.average_pool(x, 2),
    ],
)
def test_the_last_layer_lies_before_poolings_of_any_sort(pooling):
    x = keras.Input((8, 8, 1))
    y = layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    model = keras.Model(x, layers.Dense(3)(layers.Flatten()(pooling(y))))
    assert _last(x, model.output) == "conv"
    images = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype("float32")
    np.testing.assert_array_equal(GradCAM(model)(images, 1).values, GradCAM(model, layer="conv")(images, 1).values)


def test_models_without_one_last_layer():
    x = keras.Input((8, 8, 1))
    flat = keras.Model(x, layers.Dense(2)(layers.Flatten()(layers.Rescaling(2.0)(x))))
    with pytest.raises(ValueError, match="Expected a model with a layer that has feature maps.*\\(None, 8, 8, 1\\).*Saliency"):
        GradCAM(flat)(np.zeros((1, 8, 8, 1)))
    branches = [layers.Flatten()(layers.Conv2D(2, 3, name=name)(x)) for name in ("left", "right")]
    model = keras.Model(x, layers.Dense(2)(layers.Concatenate()(branches)))
    with pytest.raises(ValueError, match="several branches, \\['.*t', '.*t'\\]. Choose one of them: layer="):
        GradCAM(model)(np.zeros((1, 8, 8, 1)))
    assert GradCAM(model, layer="left")(np.zeros((1, 8, 8, 1))).values.shape == (1, 8, 8, 1)


def test_a_layer_in_a_nested_model(network, images):
    inner = keras.Input((8, 8, 1))
    backbone = keras.Model(inner, network.get_layer("relu2")(_until(network, inner)), name="backbone")
    x = keras.Input((8, 8, 1))
    nested = keras.Model(x, network.get_layer("logits")(layers.Flatten()(layers.MaxPooling2D(2)(backbone(x)))))
    for method, layer in ((GradCAM, "conv1"), (GradCAMPlusPlus, "relu2")):
        found = method(nested, layer=f"backbone/{layer}")(images, target=TARGETS).values
        np.testing.assert_allclose(found, method(network, layer=layer)(images, target=TARGETS).values, atol=1e-6)


def _until(network, x):
    for name in ("conv1", "max_pooling2d", "conv2", "norm2"):
        layer = next(each for each in network.layers if each.name.startswith(name))
        x = layer(x)
    return x


def test_the_second_call_of_a_shared_layer(images):
    first = layers.Conv2D(3, 3, padding="same", activation="relu", name="shared")
    x, middle = keras.Input((8, 8, 1)), layers.Conv2D(1, 1, name="middle")
    head = layers.Dense(2, name="head")
    shared = keras.Model(x, head(layers.Flatten()(first(middle(first(x))))))
    again = layers.Conv2D(3, 3, padding="same", activation="relu", name="again")
    apart = keras.Model(x, head(layers.Flatten()(again(middle(first(x))))))
    generator = np.random.default_rng(0)
    for weight in shared.weights:  # positive, so that no ReLU is off everywhere
        weight.assign(generator.uniform(0.1, 1, size=weight.shape))
    again.set_weights(first.get_weights())
    for path, name in (("shared", "shared"), ("shared:1", "again")):
        expected = GradCAM(apart, layer=name)(images, target=1).values
        np.testing.assert_allclose(GradCAM(shared, layer=path)(images, target=1).values, expected, atol=1e-6)
    first_call, second_call = (GradCAM(shared, layer=path)(images, target=1).values for path in ("shared", "shared:1"))
    assert np.abs(first_call - second_call).max() > 1e-3


def test_mixed_precision_is_computed_in_float32(network, images):
    with in_dtype("float32"):
        keras.config.set_dtype_policy("mixed_float16")
        mixed = _network()
    mixed.set_weights(network.get_weights())
    found = GradCAM(mixed)(images, target=TARGETS).values
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, GradCAM(network)(images, target=TARGETS).values, atol=1e-5)


# Kinds of input


def _naive_series(features, weights, size):
    heat = np.maximum((features * weights).sum(-1), 0)
    length = heat.shape[1]
    centers = (np.arange(size) + 0.5) * length / size - 0.5
    return np.stack([np.interp(centers, np.arange(length), each) for each in heat])[..., None]


def test_series():
    keras.utils.set_random_seed(0)
    x = keras.Input((30, 2))
    y = layers.Conv1D(5, 3, strides=2, activation="relu", name="conv")(x)
    model = keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(y)))
    series = np.random.default_rng(0).normal(size=(4, 30, 2)).astype("float32")
    features, kernel = _output(model, "conv", series), model.layers[-1].get_weights()[0]
    weights = kernel[:, 2]
    values = GradCAM(model)(series, target=2).values
    np.testing.assert_allclose(values, _naive_series(features, weights / 14, 30), atol=1e-6)
    np.testing.assert_allclose(CAM(model)(series, target=2).values, _naive_series(features, weights, 30), atol=1e-5)
    found = ScoreCAM(model, layer="conv")(series, target=2).values
    for i, sample in enumerate(series):
        scores = []
        for k in range(5):
            mask = _naive_series(features[i : i + 1, :, k : k + 1], 1, 30)
            mask = (mask - mask.min()) / np.ptp(mask)
            scores.append(model(mask * sample).numpy()[0, 2])
        share = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(found[i : i + 1], _naive_series(features[i : i + 1], share, 30), atol=1e-5)


def test_tokens_and_samples_without_channels():
    tokens = keras.Input((12,), dtype="int32")
    y = layers.Conv1D(6, 3, activation="relu")(layers.Embedding(20, 4)(tokens))
    text = keras.Model(tokens, layers.Dense(2)(layers.GlobalAveragePooling1D()(y)))
    sentences = np.random.default_rng(0).integers(1, 20, (3, 12))
    for method in (CAM, GradCAM, ScoreCAM):
        assert method(text)(sentences, target=1).values.shape == (3, 12)
    gray = keras.Input((8, 8))
    y = layers.Conv2D(6, 3, activation="relu")(layers.Reshape((8, 8, 1))(gray))
    plain = keras.Model(gray, layers.Dense(2)(layers.Flatten()(y)))
    for method in (GradCAM, ScoreCAM):
        assert method(plain)(np.ones((3, 8, 8)), target=1).values.shape == (3, 8, 8)


def test_channels_first(images):
    x = keras.Input((8, 8, 2))
    y = layers.Conv2D(3, 3, activation="relu", name="conv")(x)
    model = keras.Model(x, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(layers.MaxPooling2D(2)(y))))
    first = keras.Input((2, 8, 8))
    y = layers.Conv2D(3, 3, activation="relu", name="conv", data_format="channels_first")(first)
    y = layers.MaxPooling2D(2, data_format="channels_first")(y)
    y = layers.GlobalAveragePooling2D(data_format="channels_first")(y)
    turned = keras.Model(first, layers.Dense(2, name="head")(y))
    turned.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype("float32")
    if not channels_first.computed_here():
        for method in (GradCAM, ScoreCAM):
            with channels_first.refused():
                method(turned, layer="conv")
        return
    for method in (GradCAM, ScoreCAM):
        found = method(turned, layer="conv")(np.moveaxis(x, -1, 1), target=1).values
        assert found.shape == (3, 1, 8, 8)
        np.testing.assert_allclose(np.moveaxis(found, 1, -1), method(model, layer="conv")(x, target=1).values, atol=1e-5)


def test_several_inputs():
    image, other, table = (
        keras.Input((8, 8, 1), name="image"),
        keras.Input((8, 8, 2), name="other"),
        keras.Input((3,), name="table"),
    )
    y = layers.Conv2D(4, 3, activation="relu", name="alone")(image)
    joined = layers.Conv2D(4, 3, activation="relu", name="both")(layers.Concatenate()([image, other]))
    features = [layers.GlobalAveragePooling2D()(y), layers.Flatten()(joined), table]
    model = keras.Model({"image": image, "other": other, "table": table}, layers.Dense(2)(layers.Concatenate()(features)))
    generator = np.random.default_rng(0)
    x = {"image": (2, 8, 8, 1), "other": (2, 8, 8, 2), "table": (2, 3)}
    x = {name: generator.normal(size=shape) for name, shape in x.items()}
    for method in (GradCAM, ScoreCAM):
        alone = method(model, layer="alone")(x, target=0).values
        assert alone["image"].shape == (2, 8, 8, 1) and alone["other"] is alone["table"] is None
        both = method(model, layer="both")(x, target=0).values
        assert both["other"].shape == (2, 8, 8, 1) and both["table"] is None
        np.testing.assert_allclose(both["image"], both["other"], atol=rounding("float32", both["image"], 8))
    with pytest.raises(ValueError, match="several branches"):
        GradCAM(model)(x, target=0)


def test_images_of_any_size_and_constant_images():
    x = keras.Input((None, None, 1))
    y = layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    model = keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(y)))
    for method in (CAM, *METHODS):
        explainer = method(model)
        for shape in ((2, 9, 12, 1), (1, 20, 7, 1)):
            values = explainer(np.ones(shape), target=0).values
            assert values.shape == shape and np.isfinite(values).all()


@pytest.mark.parametrize("shape, sizes", [((2, 5, 7), (11, 20)), ((2, 9, 8), (4, 8)), ((1, 1, 3), (6, 6))])
def test_maps_are_resized_as_keras_resizes_images(shape, sizes):
    maps = np.random.default_rng(0).normal(size=shape).astype("float32")
    expected = ops.image.resize(maps[..., None], sizes)[..., 0]
    np.testing.assert_allclose(resized(ops.convert_to_tensor(maps), sizes), expected, atol=rounding("float32", maps, 4))


# Bad input


def test_layers_that_cannot_be_explained_by(network):
    with pytest.raises(ValueError, match="No layer of the model has the path.*'convv2'.*nearest paths are \\['conv2'"):
        GradCAM(network, layer="convv2")
    with pytest.raises(ValueError, match="Expected the path of a layer.*Received: layer=-1"):
        GradCAM(network, layer=-1)
    for method in METHODS:
        with pytest.raises(
            ValueError, match="Expected `layer` to have feature maps.*layer='logits'.*\\(None, 10\\).*\\['.*'relu2'"
        ):
            method(network, layer="logits")
    x = keras.Input((8, 8, 1))
    one = layers.GlobalAveragePooling2D(keepdims=True, name="one")(x)
    turned = layers.Reshape((4, 16), name="turned")(x)
    model = keras.Model(
        x, [layers.Dense(2, name="a")(layers.Flatten()(one)), layers.Dense(2, name="b")(layers.Flatten()(turned))]
    )
    for layer in ("one", "turned"):
        with pytest.raises(ValueError, match=f"layer='{layer}'.*No layer of the model has feature maps"):
            GradCAM(model, layer=layer)


def test_a_layer_that_the_score_does_not_depend_on():
    x = keras.Input((8, 8, 1))
    heads = [layers.Dense(2, name=f"out_{name}")(layers.Flatten()(layers.Conv2D(2, 3, name=name)(x))) for name in "ab"]
    model = keras.Model(x, heads)
    with pytest.raises(ValueError, match="one that the explained score depends on. Received: layer='a'"):
        GradCAM(model, layer="a")(np.zeros((1, 8, 8, 1)), target={"out_b": 0})
    assert GradCAM(model, layer="a")(np.zeros((1, 8, 8, 1)), target={"out_a": 0}).values.shape == (1, 8, 8, 1)


def test_other_bad_arguments(network, averaging):
    with pytest.raises(ValueError, match="Expected `max_maps` to be an integer of at least 1. Received: max_maps=0"):
        ScoreCAM(network, max_maps=0)
    with pytest.raises(ValueError, match="does not take a `baseline`"):
        GradCAM(network)(np.zeros((1, 8, 8, 1)), baseline=0)
    with pytest.raises(ValueError, match="of the shape of one sample"):
        ScoreCAM(network)(np.zeros((1, 8, 8, 1)), baseline=np.zeros((3, 3, 1)))
    for method in (CAM, *METHODS):
        broken = _network(layers.GlobalAveragePooling2D())
        broken.set_weights([np.full_like(each, np.nan) for each in averaging.get_weights()])
        with pytest.raises(ValueError, match="NaN or infinite around sample 0"):
            method(broken)(np.ones((1, 8, 8, 1)), target=0)


def test_squeezenet_ends_in_the_maps_of_its_classes(data_folder):
    model = keras.saving.load_model(data_folder / "models" / "squeezenet_v1.1.keras")
    x = np.random.default_rng(0).normal(scale=50, size=(1, 227, 227, 3)).astype("float32")
    cam = CAM(model)(x, target=7)
    np.testing.assert_allclose(cam.values, 14**2 * GradCAM(model)(x, target=7).values, rtol=1e-4, atol=1e-4)
    expected = _large(_output(model, "conv10", x)[..., 7], x)
    np.testing.assert_allclose(cam.values, expected, atol=1e-3)
