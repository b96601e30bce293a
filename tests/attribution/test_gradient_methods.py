"""Saliency, gradient times input, SmoothGrad and integrated gradients, against plain code."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xai.attribution import GradientTimesInput, IntegratedGradients, Saliency, SmoothGrad, VarGrad
from keras_xai.backend import normal
from tests.zoo import ZOO, in_dtype

pytestmark = pytest.mark.onednn


@pytest.fixture(scope="module")
def network(trained):
    return trained("cnn")


@pytest.fixture(scope="module")
def images(digits):
    return digits[0][:9]


def logits(network):
    return keras.Model(network.inputs, network.layers[-1].input)


def gradient(model, x, indices):
    """The gradient of chosen scores, one sample at a time."""
    rows = []
    for sample, index in zip(x, indices, strict=True):
        point = tf.convert_to_tensor(sample[np.newaxis])
        with tf.GradientTape() as tape:
            tape.watch(point)
            score = model(point)[0, index]
        rows.append(tape.gradient(score, point)[0].numpy())
    return np.stack(rows)


def test_saliency_is_the_gradient_of_the_logit(network, images):
    explanation = Saliency(network)(images)
    predicted = network.predict(images, verbose=0).argmax(axis=1)
    np.testing.assert_array_equal(explanation.target, predicted)
    np.testing.assert_allclose(explanation.values, gradient(logits(network), images, predicted), rtol=1e-9, atol=1e-12)
    of_probability = gradient(network, images, predicted)
    assert np.abs(explanation.values - of_probability).max() > 1e-3
    assert explanation.num_forward_passes == 2


@pytest.mark.parametrize("target", [3, [0, 1, 2, 3, 4, 5, 6, 7, 8]])
def test_saliency_of_other_classes(network, images, target):
    indices = np.broadcast_to(target, 9)
    found = Saliency(network)(images, target=target)
    np.testing.assert_allclose(found.values, gradient(logits(network), images, indices), rtol=1e-9, atol=1e-12)


def test_saliency_of_a_callable_and_a_contrast(network, images):
    contrast = Saliency(network)(images, target=lambda scores: scores[:, 3] - scores[:, 5])
    apart = [Saliency(network)(images, target=k).values for k in (3, 5)]
    np.testing.assert_allclose(contrast.values, apart[0] - apart[1], atol=1e-10)


def test_saliency_equals_that_of_tf_keras_vis(network, images):
    from tf_keras_vis.saliency import Saliency as Peer
    from tf_keras_vis.utils.scores import CategoricalScore

    with in_dtype("float32"):
        model = ZOO["cnn"]()
    model.set_weights(network.get_weights())
    x = images.astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = Peer(logits(model), clone=False)(CategoricalScore([4] * 9), x, keepdims=True, normalize_map=False)
    ours = Saliency(model)(x, target=4).values
    np.testing.assert_allclose(np.abs(ours), theirs, atol=1e-5)


def test_gradient_times_input_adds_up_without_biases_and_says_what_is_missing(digits):
    x = digits[0][:5].astype("float32")
    plain = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu", use_bias=False),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, use_bias=False),
        ]
    )
    explanation = GradientTimesInput(plain)(x, target=2)
    scores = plain.predict(x, verbose=0)[:, 2]
    np.testing.assert_allclose(explanation.values.sum(axis=(1, 2, 3)), scores, atol=1e-5)
    assert np.abs(explanation.convergence_delta).max() < 1e-5
    biased = keras.Sequential([plain, layers.Dense(3, kernel_initializer="identity", bias_initializer="ones")])
    np.testing.assert_allclose(GradientTimesInput(biased)(x, target=2).convergence_delta, np.ones(5), atol=1e-5)


def test_integrated_gradients_add_up(network, images):
    explanation = IntegratedGradients(network, steps=200)(images, baseline=0.1)
    scores = np.asarray(logits(network)(images))  # `predict` would make float32 of them first
    at_baseline = np.asarray(logits(network)(np.full((1, 8, 8, 1), 0.1)))[0]
    rise = scores.max(axis=1) - at_baseline[explanation.target]
    np.testing.assert_allclose(
        explanation.values.sum(axis=(1, 2, 3)) + explanation.convergence_delta, rise, rtol=0, atol=1e-10
    )
    assert np.abs(explanation.convergence_delta).max() < 0.03
    coarse = IntegratedGradients(network, steps=2)(images, baseline=0.1)
    assert np.abs(coarse.convergence_delta).max() > 10 * np.abs(explanation.convergence_delta).max()


def test_integrated_gradients_are_the_mean_gradient_along_the_path(network, images):
    x, baseline = images[:2], images[5]
    explanation = IntegratedGradients(network, steps=8, batch_size=3)(x, target=7, baseline=baseline)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    mean = sum(
        weight / 2 * gradient(logits(network), baseline + (node + 1) / 2 * (x - baseline), [7, 7])
        for node, weight in zip(nodes, weights, strict=True)
    )
    np.testing.assert_allclose(explanation.values, (x - baseline) * mean, atol=1e-10)


def test_adaptive_steps_close_the_gap(network, images):
    explanation = IntegratedGradients(network, steps=16, tolerance=1e-4)(images)
    fixed = IntegratedGradients(network, steps=int(explanation.num_forward_passes / 2))(images)
    rise = np.abs(explanation.values.sum(axis=(1, 2, 3)) + explanation.convergence_delta)
    assert np.all(np.abs(explanation.convergence_delta) <= 1e-4 * rise)
    assert np.abs(explanation.convergence_delta).max() < np.abs(fixed.convergence_delta).max()
    exact = IntegratedGradients(network, steps=500)(images[:2]).values
    np.testing.assert_allclose(explanation.values[:2], exact, atol=0.03 * np.abs(exact).max())
    coarse = IntegratedGradients(network, steps=2)(images[:2]).values
    assert np.abs(coarse - exact).max() > 0.04 * np.abs(exact).max()
    alone = IntegratedGradients(network, steps=16, tolerance=1e-4, batch_size=1)(images[:2])
    np.testing.assert_allclose(alone.values, explanation.values[:2], atol=1e-9)


def test_a_tolerance_that_is_not_met_is_told(network, images):
    with pytest.warns(UserWarning, match="max_steps=16"):
        IntegratedGradients(network, steps=8, max_steps=16, tolerance=1e-9)(images)


def test_smooth_grad_is_the_mean_over_noise(network, images):
    exact = Saliency(network)(images).values
    none = SmoothGrad(network, noise=0.0, num_samples=3, seed=0)(images).values
    np.testing.assert_allclose(none, exact, atol=1e-12)
    with in_dtype("float64"):
        x = keras.Input((4,))
        square = keras.Model(x, keras.ops.sum(x**3, axis=-1, keepdims=True))
    # The mean of 3 (x + e)^2 is 3 x^2 + 3 s^2, s the noise's standard deviation; the gradient alone lacks the second term.
    point = np.array([[0.0, 1.0, 0.5, 2.0]] * 3)
    spread = 0.2 * 2.0
    found = SmoothGrad(square, noise=0.2, num_samples=4000, seed=1, batch_size=1000)(point).values
    np.testing.assert_allclose(found, 3 * point**2 + 3 * spread**2, atol=0.1)
    assert np.abs(found - found[0]).max() > 0, "each sample has noise of its own"


def test_var_grad_is_the_variance_over_the_noise_of_smooth_grad(network, images):
    """Gradients at the same noisy copies, drawn again one by one."""
    found = VarGrad(network, num_samples=5, noise=0.3, seed=7, batch_size=4)(images[:3], target=2)
    span = images[:3].max(axis=(1, 2, 3), keepdims=True) - images[:3].min(axis=(1, 2, 3), keepdims=True)
    like = tf.zeros(images[:3].shape, found.inputs.dtype)
    draws = normal(like, tf.range(5), tf.range(3), 7).numpy()
    gradients = np.stack([gradient(logits(network), images[:3] + 0.3 * span * each, [2] * 3) for each in draws])
    np.testing.assert_allclose(found.values, gradients.var(axis=0), rtol=1e-5, atol=1e-9)
    mean = SmoothGrad(network, num_samples=5, noise=0.3, seed=7)(images[:3], target=2)
    np.testing.assert_allclose(mean.values, gradients.mean(axis=0), rtol=1e-5, atol=1e-9)
    assert (found.values >= 0).all() and found.num_forward_passes == mean.num_forward_passes == 10


def test_var_grad_of_tokens_adds_up_over_their_vectors():
    keras.utils.set_random_seed(0)
    stack = [layers.Embedding(6, 3), layers.Flatten(), layers.Dense(5, "tanh"), layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,), dtype="int32"), *stack])
    model.layers[0].embeddings.assign(np.random.default_rng(0).normal(size=(6, 3)))
    x = np.array([[1, 2, 3, 4]])
    found = VarGrad(model, num_samples=6, noise=0.5, seed=0)(x, target=1).values
    inner = keras.Sequential([keras.Input((4, 3)), *model.layers[1:]])
    vectors = model.layers[0](x).numpy()
    apart = VarGrad(inner, num_samples=6, noise=0.5, seed=0)(vectors, target=1).values
    np.testing.assert_allclose(found, apart.sum(axis=-1), rtol=1e-5)
    assert found.min() > 0


def test_passes_are_counted(network, images):
    """Each forward pass of the model, a gradient one more; finding the predicted class only where nobody has given one."""
    for method, given in [
        (Saliency(network), 2),
        (IntegratedGradients(network, steps=5), 12),
        (SmoothGrad(network, num_samples=4), 8),
    ]:
        assert method(images[:2], target=3).num_forward_passes == given
        apart = 0 if isinstance(method, Saliency) else 1
        assert method(images[:2]).num_forward_passes == given + apart


def test_seeds_repeat_and_no_seed_does_not(network, images):
    smooth = SmoothGrad(network, num_samples=4, seed=5, batch_size=7)
    first = smooth(images).values
    np.testing.assert_array_equal(smooth(images).values, first)
    fresh = SmoothGrad(network, num_samples=4)
    assert np.abs(fresh(images).values - fresh(images).values).max() > 0


@pytest.fixture(scope="module")
def sentences():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(9, 4, mask_zero=True, name="words"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    return model, np.array([[1, 2, 3, 4, 0, 0], [8, 7, 0, 0, 0, 0]])


def test_tokens_are_explained_by_their_vectors(sentences):
    model, x = sentences
    words, _, head = model.layers
    explanation = IntegratedGradients(model, steps=8)(x, target=1)
    assert explanation.values.shape == x.shape
    vectors = keras.ops.convert_to_numpy(words.embeddings)
    lengths = (x > 0).sum(axis=1, keepdims=True)
    # The network is linear in the vectors, and padding is masked away.
    expected = ((vectors[x] - vectors[0]) @ head.kernel.numpy()[:, 1]) * (x > 0) / lengths
    np.testing.assert_allclose(explanation.values, expected, atol=1e-6)
    np.testing.assert_allclose(
        Saliency(model)(x, target=1).values, np.linalg.norm(head.kernel.numpy()[:, 1]) * (x > 0) / lengths, atol=1e-6
    )


def test_inputs_that_cannot_be_differentiated_by(sentences):
    x = keras.Input((3,), dtype="int32")
    model = keras.Model(x, layers.Dense(2)(keras.ops.cast(x, "float32")))
    with pytest.raises(ValueError, match="Saliency needs a differentiable input"):
        Saliency(model)(np.ones((1, 3), "int32"))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda model: IntegratedGradients(model, steps=0), "`steps`"),
        (lambda model: IntegratedGradients(model, tolerance=0.0), "`tolerance`"),
        (lambda model: SmoothGrad(model, num_samples=0), "`num_samples`"),
        (lambda model: SmoothGrad(model, noise=-1.0), "`noise`"),
        (lambda model: Saliency(model, batch_size=0), "`batch_size`"),
        (lambda model: Saliency(model, verbose="loud"), "`verbose`"),
    ],
)
def test_bad_options(network, make, message):
    with pytest.raises(ValueError, match=message):
        make(network)
