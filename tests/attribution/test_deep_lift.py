"""DeepLIFT and DeepSHAP: against shap, against enumeration, and by their sums."""

import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.attribution import LRP, DeepLIFT, DeepSHAP
from keras_xai.losses import fbi_penalty
from keras_xai.openbox import UnsupportedLayerError
from tests.attribution.shap_oracle import deep_values
from tests.slow import quickly
from tests.zoo import ZOO, in_dtype

pytestmark = pytest.mark.filterwarnings("ignore")  # what shap and Keras say of each other, where shap is called directly

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, 8, 8, 1)).astype("float32")
BACKGROUND = RNG.normal(size=(3, 8, 8, 1)).astype("float32") + 0.5
TARGET = [0, 1, 2, 0]


def of_images(*stack, head=()):
    """A network of 8 x 8 x 1 images; `head` follows the flattened maps."""
    return keras.Sequential([keras.Input((8, 8, 1)), *stack, layers.Flatten(), *head, layers.Dense(3)])


def squeeze_excite():
    x = keras.Input((8, 8, 1))
    y = layers.Conv2D(4, 3, activation="relu")(x)
    gate = layers.Dense(4, "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(layers.Multiply()([y, gate]))))


def attention_by_hand():
    x = keras.Input((8, 8, 1))
    y = layers.Reshape((8, 8))(x)
    query, key, value = (layers.Dense(4)(y) for _ in range(3))
    weights = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 2, 1))) / 2.0, axis=-1)
    y = layers.Dense(8)(ops.einsum("bqk,bkd->bqd", weights, value))
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(y))))


# Every network to which shap was blind, refused or not, and one of each way in which layers are combined.
NETWORKS = ZOO | {
    "squeeze and excite": squeeze_excite,
    "attention by hand": attention_by_hand,
    "softmax inside": lambda: of_images(layers.Conv2D(4, 3), layers.Softmax()),
    "layer normalization": lambda: of_images(layers.Conv2D(4, 3), layers.LayerNormalization(), layers.Activation("gelu")),
    "group normalization": lambda: of_images(layers.Conv2D(4, 3), layers.GroupNormalization(2), layers.Activation("silu")),
    "mish": lambda: of_images(layers.Conv2D(4, 3, activation="mish")),
    "adaptive max": lambda: of_images(layers.Conv2D(4, 3), layers.AdaptiveMaxPooling2D(3)),
    "adaptive mean": lambda: of_images(layers.Conv2D(4, 3), layers.AdaptiveAveragePooling2D(4)),
    "activity regularizer": lambda: of_images(head=[layers.Dense(8, "relu", activity_regularizer="l2")]),
}


def made(name, dtype="float32"):
    keras.utils.set_random_seed(3)
    with in_dtype(dtype):
        model = NETWORKS[name]()
    for variable in model.trainable_variables:  # biases and slopes that are not zero
        variable.assign_add(0.1 * keras.random.normal(variable.shape, seed=5))
    return model


@pytest.mark.parametrize(
    "name",
    quickly(NETWORKS, "concatenate", "squeeze and excite", "layer normalization", "softmax inside", "adaptive max"),
)
def test_values_add_up(name):
    model = made(name)
    for baseline in (0.0, BACKGROUND[0]):
        found = DeepLIFT(model)(IMAGES, target=TARGET, baseline=baseline)
        sums = found.values.sum(axis=(1, 2, 3))
        change = np.abs(sums + found.convergence_delta).max()
        assert np.abs(found.convergence_delta).max() <= 1e-5 * change
    # Of the model itself, not only of what is called its score.
    if name not in ZOO:
        outputs = model.predict_on_batch(IMAGES) - model.predict_on_batch(np.stack([BACKGROUND[0]] * 4))
        np.testing.assert_allclose(sums, outputs[np.arange(4), TARGET], atol=1e-5 * np.abs(outputs).max() + 1e-5)
    # The same times a gradient does not: what is compared counts.
    assert np.abs(sums - DeepLIFT(model)(IMAGES, target=TARGET, baseline=1.0).values.sum(axis=(1, 2, 3))).max() > 1e-3


SAME_AS_SHAP = {
    "relu and max pooling": lambda: of_images(
        layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(), head=[layers.Dense(8, "tanh")]
    ),
    "overlapping windows": lambda: of_images(
        layers.Conv2D(4, 3), layers.MaxPooling2D(3, strides=2, padding="same"), head=[layers.Dense(8, "elu")]
    ),
    "batch normalization": lambda: of_images(
        layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU(), layers.AveragePooling2D(2)
    ),
    "sigmoid": lambda: of_images(head=[layers.Dense(9, "sigmoid"), layers.Dense(7, "softplus")]),
}


def gated():
    x = keras.Input((8, 8, 1))
    y = layers.Flatten()(x)
    return keras.Model(x, layers.Dense(3)(layers.Multiply()([layers.Dense(6, "tanh")(y), layers.Dense(6, "sigmoid")(y)])))


@pytest.mark.parametrize("name", quickly([*SAME_AS_SHAP, "product"], "relu and max pooling"))
def test_values_are_those_of_shap(name):
    keras.utils.set_random_seed(3)
    model = gated() if name == "product" else SAME_AS_SHAP[name]()
    found = DeepSHAP(model)(IMAGES, target=TARGET, baseline=BACKGROUND)
    np.testing.assert_allclose(found.values, deep_values(model, IMAGES, TARGET, BACKGROUND), atol=1e-5)
    assert np.abs(found.values).max() > 1e-2 and np.abs(found.convergence_delta).max() < 1e-5
    # The mean over the background is that of DeepLIFT on each; one alone has other values.
    apart = [DeepLIFT(model)(IMAGES, target=TARGET, baseline=each).values for each in BACKGROUND]
    np.testing.assert_allclose(found.values, np.mean(apart, axis=0), atol=1e-6)
    assert np.abs(apart[0] - found.values).max() > 1e-3
    assert found.num_forward_passes == 9


def test_values_of_a_network_of_products_are_shapley_values():
    """Of a sum of products of features, of which each product has others: those of all subsets, enumerated."""
    weights = np.random.default_rng(1).normal(size=(4, 4))
    with in_dtype("float64"):
        x = keras.Input((4,))
        products = layers.Concatenate()([x[:, :1] * x[:, 1:2], layers.Multiply()([x[:, 1:2], x[:, 2:3], x[:, 3:]]), x])
        model = keras.Model(x, layers.Dense(1, kernel_initializer=lambda *_, **__: np.ones((6, 1)))(products))
    samples, baseline = weights[:3], weights[3]
    found = DeepLIFT(model)(samples, target=0, baseline=baseline).values

    def score(point):
        return point[0] * point[1] + point[1] * point[2] * point[3] + point.sum()

    for sample, values in zip(samples, found, strict=True):
        expected, orders = np.zeros(4), [*itertools.permutations(range(4))]
        for order in orders:
            point = baseline.copy()
            for i in order:
                before = score(point)
                point[i] = sample[i]
                expected[i] += (score(point) - before) / len(orders)
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12)
    assert np.abs(found - (samples - baseline)).max() > 0.1  # the products count


@pytest.mark.parametrize(
    "target",
    [
        lambda scores: scores[:, 0] - 2 * scores[:, 2],
        lambda scores: ops.softmax(scores, axis=-1)[:, 1],
        lambda scores: ops.logsumexp(scores, axis=-1),
    ],
)
def test_values_of_callable_targets_add_up(target):
    model = made("squeeze and excite")
    scores = [ops.convert_to_numpy(target(model(x))) for x in (IMAGES, np.zeros_like(IMAGES))]
    for method in (DeepLIFT(model), DeepSHAP(model)):
        found = method(IMAGES, target=target)
        np.testing.assert_allclose(found.values.sum(axis=(1, 2, 3)), scores[0] - scores[1], rtol=1e-4, atol=1e-6)
        assert np.abs(found.convergence_delta).max() < 1e-5


@pytest.mark.parametrize("dtype, bound", [("float64", 1e-12), ("mixed_float16", 1e-5)])
def test_other_types(dtype, bound):
    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(3)
    try:
        keras.config.set_dtype_policy(dtype)
        model = squeeze_excite()
    finally:
        keras.config.set_dtype_policy(policy)
    found = DeepSHAP(model)(IMAGES, target=1, baseline=BACKGROUND)
    assert np.abs(found.convergence_delta).max() <= bound
    assert found.values.dtype == ("float64" if dtype == "float64" else "float32")


def test_padding_of_tokens_is_that_of_the_sample():
    tokens = keras.Input((5,), dtype="int32")
    y = layers.Embedding(6, 3, mask_zero=True)(tokens)
    model = keras.Model(tokens, layers.Dense(2)(layers.GlobalAveragePooling1D()(layers.Dense(4, "gelu")(y))))
    x = np.array([[1, 2, 5, 0, 0], [3, 4, 3, 2, 1]])
    for method in (DeepLIFT(model), DeepSHAP(model)):
        found = method(x, target=1, baseline=2)
        assert found.values.shape == (2, 5) and np.all(found.values[0, 3:] == 0) and found.values[0, 1] == 0
        assert np.abs(found.convergence_delta).max() < 1e-6
        assert np.abs(found.values).max() > 1e-4


def test_factors_computed_from_weights_count_as_weights():
    """They are no differences, and zeros in their place would make all values zero; here the values are those of a product of weights."""
    x = keras.Input((3,))
    dense = layers.Dense(3, use_bias=False)
    y = dense(x)
    y = keras.Model(
        x, layers.Dense(1, use_bias=False, kernel_initializer="ones")(y * ops.minimum(ops.abs(dense.kernel[0]), 0.5))
    )
    samples = RNG.normal(size=(2, 3)).astype("float32")
    kernel = dense.kernel.numpy()
    right = samples * (kernel @ np.minimum(np.abs(kernel[0]), 0.5))
    np.testing.assert_allclose(DeepLIFT(y)(samples, 0).values, right, rtol=0, atol=1e-6)


def test_what_has_no_rule_is_refused_by_name():
    words = keras.Input((4, 3))
    y = layers.LayerNormalization(rms_scaling=True, name="scaled")(words)
    y = layers.Flatten()(ops.cumsum(y, axis=1))
    model = keras.Model(words, layers.Dense(2)(y))
    for method in (DeepLIFT, DeepSHAP):
        with pytest.raises(
            UnsupportedLayerError, match=f"{method.__name__} cannot explain the model.*2 of its layers"
        ) as caught:
            method(model)
        assert caught.value.problems[0].path == "scaled"


def test_activations_of_keras_alone_pass_relevance():
    """Mish, which was refused because Keras has no function of it in `keras.ops`."""
    model = keras.Sequential([keras.Input((6,)), layers.Dense(8, "mish"), layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(2, 6)).astype("float32")
    assert np.abs(LRP(model)(x).values).max() > 0 and np.isfinite(fbi_penalty(model, x, [0, 1])).all()


def test_threads_and_pickles():
    model = made("squeeze and excite")
    for method in (DeepLIFT(model), DeepSHAP(model, batch_size=2)):
        expected = [pickle.loads(pickle.dumps(method))(IMAGES, target=k, baseline=0.1).values for k in range(3)]
        assert np.abs(expected[0] - expected[1]).max() > 1e-3
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(lambda i, method=method: method(IMAGES, target=i % 3, baseline=0.1).values, range(12)))
        for i, values in enumerate(found):
            np.testing.assert_allclose(values, expected[i % 3], atol=1e-6)


def test_a_cosine_is_refused_with_its_own_reason():
    x = keras.Input((3,))
    cosine = layers.Dot(1, normalize=True)([layers.Dense(2)(x), layers.Dense(2)(x)])
    with pytest.raises(UnsupportedLayerError, match="divides by the norms of its inputs"):
        DeepLIFT(keras.Model(x, layers.Dense(2)(cosine)))


def test_a_background_is_a_task_for_another_method():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="several background samples, use DeepSHAP or GradientSHAP"):
        DeepLIFT(model)(np.ones((3, 4)), baseline=np.zeros((10, 4)))
    with pytest.raises(ValueError, match=r"shape \(5,\).$"):
        DeepLIFT(model)(np.ones((3, 4)), baseline=np.zeros(5))
