"""The figures of `benchmarks/fbi_figures.py`, and the intervals of `benchmarks/runs.py`, where they are known."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.examples import load_benchmark

figures = load_benchmark("fbi_figures")
runs = load_benchmark("runs")


@pytest.fixture(scope="module")
def masks():
    """One patch of four by four pixels for each class."""
    masks = np.zeros((10, 28, 28), bool)
    for label, mask in enumerate(masks):
        row, column = divmod(label, 5)
        mask[8 * row + 4 : 8 * row + 8, 4 * column + 4 : 4 * column + 8] = True
    return masks


@pytest.fixture(scope="module")
def linear(masks):
    """A model whose logits are sums over the patches of the classes."""
    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    model = keras.Sequential(layers)
    model.layers[-1].set_weights([masks.reshape(10, -1).T.astype("float32"), np.arange(10, dtype="float32")])
    return model


@pytest.fixture(scope="module")
def convolutional():
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((28, 28, 1)),
        keras.layers.Conv2D(8, 3, activation="relu", bias_initializer="random_normal"),
        keras.layers.MaxPooling2D(),
        keras.layers.BatchNormalization(),
        keras.layers.Conv2D(8, 3, activation="relu", bias_initializer="random_normal"),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(10, "softmax", bias_initializer="random_normal"),
    ]
    return keras.Sequential(layers)


@pytest.fixture(scope="module")
def enlarged(digits):
    """The digits of scikit-learn at the size of those of MNIST."""
    images, labels = digits
    images = np.kron(np.clip(images[..., 0] + 0.5, 0, 1), np.ones((1, 3, 3)))
    return np.pad(images, ((0, 0), (2, 2), (2, 2))), labels


def logit(model, x, labels):
    """The logit of a class of each image, from all layers and the weights of the last one, in NumPy."""
    kernel, bias = model.layers[-1].get_weights()
    features = keras.Model(model.inputs, model.layers[-1].input).predict(np.asarray(x, "float32"), verbose=0)
    return (features @ kernel + bias)[np.arange(len(labels)), labels]


def test_textured_masks_seeds_and_range(enlarged):
    images = enlarged[0][:20]
    pasted, masks = figures.textured(images, 1)
    assert pasted.shape == masks.shape == (20, 28, 28) and pasted.dtype == "float32" and masks.dtype == bool
    assert pasted.min() >= 0 and pasted.max() <= 1
    np.testing.assert_array_equal(masks, images > 0.25)
    np.testing.assert_array_equal(pasted, figures.textured(images, 1)[0])
    np.testing.assert_allclose(pasted[:5], figures.textured(images[:5], 1)[0], atol=1e-6)
    assert not np.allclose(pasted, figures.textured(images, 2)[0])
    backgrounds = figures.textured(np.zeros((20, 28, 28)), 1)[0]
    np.testing.assert_array_equal(pasted[images == 0], backgrounds[images == 0])
    assert np.abs(np.corrcoef(backgrounds.reshape(20, -1)) - np.eye(20)).max() < 0.4
    assert 0.1 < backgrounds.std() < 0.25
    # The tones overlap: some of the background is as bright as a full stroke.
    assert 0.005 < np.mean(backgrounds > figures.DIGIT_TONE) < 0.1


def test_attributions_of_a_linear_model_are_its_weights_times_the_input(linear, masks):
    x = np.random.default_rng(0).uniform(0.1, 1, (10, 28, 28, 1)).astype("float32")
    for stride in (2, 4):
        found = figures.attributions(linear, x, np.arange(10), batch_size=4, stride=stride)
        assert list(found) == ["gradient", "gradient x input", "integrated gradients", "occlusion"]
        assert all(values.shape == (10, 28, 28) and values.dtype == "float32" for values in found.values())
        np.testing.assert_allclose(found["gradient"], masks, atol=1e-5)
        for name in ("gradient x input", "integrated gradients"):
            np.testing.assert_allclose(found[name], masks * x[..., 0], atol=1e-5)
    # Patches tile the image, and one of them is the mask: it gets the sum over it, and what is outside gets nothing.
    sums = np.sum(masks * x[..., 0], axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found["occlusion"], masks * sums, atol=1e-4)


def test_occlusion_of_a_black_image_is_zero(convolutional):
    assert not figures.attributions(convolutional, np.zeros((3, 28, 28, 1)), [0, 1, 2])["occlusion"].any()


def test_occlusion_is_the_mean_drop_over_the_patches_of_a_pixel(convolutional):
    x = np.random.default_rng(0).uniform(size=(1, 28, 28, 1)).astype("float32")
    found = figures.attributions(convolutional, x, [3])["occlusion"][0]
    for row, column, tops, lefts in [(0, 0, [0], [0]), (11, 2, [8, 10], [0, 2]), (27, 15, [24], [12, 14])]:
        drops = []
        for top in tops:
            for left in lefts:
                occluded = x.copy()
                occluded[:, top : top + 4, left : left + 4] = 0
                drops.append(float(logit(convolutional, x, [3])[0] - logit(convolutional, occluded, [3])[0]))
        assert found[row, column] == pytest.approx(np.mean(drops), abs=1e-5)


def test_integrated_gradients_complete_for_a_smooth_model():
    keras.utils.set_random_seed(0)
    layers = [keras.Input((28, 28, 1)), keras.layers.Conv2D(8, 3, activation="tanh"), keras.layers.Flatten()]
    x = np.random.default_rng(0).uniform(size=(10, 28, 28, 1)).astype("float32")
    difference, error = _completeness(keras.Sequential([*layers, keras.layers.Dense(10, "softmax")]), x, np.arange(10))
    assert np.all(error < 0.01 * difference)


def test_integrated_gradients_complete_for_a_trained_relu_network(convolutional, enlarged):
    """On average: the error that kinks leave does not shrink with the difference, which is small for some of the images."""
    x, labels = enlarged
    keras.utils.set_random_seed(0)
    model = keras.models.clone_model(convolutional)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x[:1000, ..., None], labels[:1000], epochs=5, verbose=0)
    difference, error = _completeness(model, x[1000:1030, ..., None], labels[1000:1030])
    assert error.sum() < 0.01 * difference.sum()


def _completeness(model, x, labels):
    """By how much the logits differ from those of black, and how far the sums of the integrated gradients are from that."""
    difference = logit(model, x, labels) - logit(model, np.zeros_like(x), labels)
    sums = figures.attributions(model, x, labels, stride=4)["integrated gradients"].sum((1, 2))
    return np.abs(difference), np.abs(sums - difference)


def test_gradients_are_those_of_a_plain_tape(convolutional):
    x, labels = np.random.default_rng(0).uniform(size=(6, 28, 28, 1)).astype("float32"), np.arange(6)
    kernel, bias = convolutional.layers[-1].get_weights()
    features = keras.Model(convolutional.inputs, convolutional.layers[-1].input)

    def gradient(images):
        points = tf.convert_to_tensor(images)
        with tf.GradientTape() as tape:
            tape.watch(points)
            score = tf.reduce_sum(tf.gather(features(points) @ kernel + bias, labels, batch_dims=1))
        return tape.gradient(score, points).numpy()

    found = figures.attributions(convolutional, x, labels, batch_size=4, stride=4)
    slope = gradient(x)
    path = np.mean([gradient(np.float32((step + 0.5) / 32) * x) for step in range(32)], axis=0)
    expected = {"gradient": np.abs(slope), "gradient x input": slope * x, "integrated gradients": path * x}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values[..., 0], atol=1e-5)
    assert np.abs(found["gradient x input"] - found["integrated gradients"]).max() > 1e-3


def test_deletion_and_insertion_are_those_of_one_image_after_the_other(convolutional):
    rng = np.random.default_rng(0)
    x, labels, attribution = rng.uniform(size=(3, 28, 28, 1)).astype("float32"), [2, 7, 1], rng.normal(size=(3, 28, 28))
    found = figures.deletion_insertion(convolutional, x, labels, attribution, steps=8, batch_size=5)
    for image, label, values, *areas in zip(x, labels, attribution, *found, strict=True):
        order = np.argsort(-values.ravel())
        for area, taken_away in zip(areas, (True, False), strict=True):
            curve = []
            for count in range(0, 785, 98):
                chosen = np.zeros(784, bool)
                chosen[order[:count]] = True
                changed = np.where(chosen.reshape(28, 28, 1) == taken_away, 0, image)
                curve.append(convolutional.predict(changed[None], verbose=0)[0, label])
            assert area == pytest.approx(np.trapezoid(curve, dx=1 / 8), abs=1e-5)
    other = figures.deletion_insertion(convolutional, x, labels, -attribution, steps=8)
    assert np.abs(np.subtract(found, other)).max() > 1e-3


def test_weights_may_change(linear, masks):
    x, labels = np.ones((10, 28, 28, 1)), np.arange(10)
    figures.attributions(linear, x, labels, stride=4)
    copy = linear.get_weights()
    linear.set_weights([2 * copy[0], copy[1]])
    try:
        np.testing.assert_allclose(figures.attributions(linear, x, labels, stride=4)["gradient"], 2 * masks)
    finally:
        linear.set_weights(copy)


def test_a_model_without_a_softmax_is_explained_as_one_with_it(convolutional):
    last = keras.layers.Dense(10)
    linear = keras.Model(convolutional.inputs, last(convolutional.layers[-1].input))
    last.set_weights(convolutional.layers[-1].get_weights())
    x, labels = np.random.default_rng(0).uniform(size=(2, 28, 28, 1)), [4, 5]
    found, expected = (figures.attributions(model, x, labels, stride=4) for model in (linear, convolutional))
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5)
    areas = [figures.deletion_insertion(model, x, labels, expected["gradient"]) for model in (linear, convolutional)]
    np.testing.assert_allclose(*areas, atol=1e-5)


def test_softmax_of_its_own():
    dense = keras.layers.Dense(10)
    separate = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), dense, keras.layers.Softmax()])
    found = figures.attributions(separate, np.ones((1, 28, 28, 1)), [3], stride=4)["gradient x input"]
    np.testing.assert_allclose(found.ravel(), dense.kernel[:, 3], rtol=1e-5)


def test_deletion_and_insertion_of_perfect_and_worst_orders(linear, masks):
    """Only the patch of the class speaks for it: with 49 pixels a step, its 16 are changed in the first or in the last one."""
    model = keras.models.clone_model(linear)
    model.layers[-1].set_weights([30 * linear.layers[-1].get_weights()[0], np.zeros(10)])
    x = masks[..., None].astype("float32")
    labels = np.arange(10)
    full, black, step = 1.0, 0.1, 1 / 16
    early = (full + black) / 2 * step + black * (1 - step)
    late = (full + black) / 2 * step + full * (1 - step)
    deletion, insertion = figures.deletion_insertion(model, x, labels, masks, batch_size=3)
    assert deletion.shape == insertion.shape == (10,)
    np.testing.assert_allclose(deletion, early, atol=1e-5)
    np.testing.assert_allclose(insertion, late, atol=1e-5)
    deletion, insertion = figures.deletion_insertion(model, x, labels, -masks.astype(int))
    np.testing.assert_allclose(deletion, late, atol=1e-5)
    np.testing.assert_allclose(insertion, early, atol=1e-5)
    # One step is the mean of both ends, whatever the order.
    np.testing.assert_allclose(figures.deletion_insertion(model, x, labels, masks, steps=1), (full + black) / 2, atol=1e-5)


def test_deletion_of_ties_is_not_by_position(linear):
    """By position, the ink of the upper half of an image would all be gone before that of the lower half."""
    x = np.zeros((2, 28, 28, 1))
    x[0, :14], x[1, 14:] = 1, 1
    ink = keras.models.clone_model(linear)
    ink.layers[-1].set_weights([np.ones((784, 10)) * np.linspace(0, 0.02, 10), np.zeros(10)])
    upper, lower = np.transpose(figures.deletion_insertion(ink, x, [9, 9], np.zeros((2, 28, 28))))
    np.testing.assert_allclose(upper, lower, atol=0.02)
    downward = np.broadcast_to(-np.arange(28.0)[:, None], (2, 28, 28))
    upper, lower = np.transpose(figures.deletion_insertion(ink, x, [9, 9], downward))
    assert np.abs(upper - lower).min() > 0.1


def test_relevance_of_perfect_and_worst_attributions(masks):
    perfect, worst = 3.0 * masks - 1, 1 - 3.0 * masks
    for measure in (figures.relevance_mass, figures.relevance_rank):
        np.testing.assert_array_equal(measure(perfect, masks), np.ones(10))
        np.testing.assert_array_equal(measure(worst, masks), np.zeros(10))
    with pytest.raises(ValueError, match="empty mask"):
        figures.relevance_mass(perfect, np.zeros_like(masks))
    np.testing.assert_array_equal(figures.relevance_rank(perfect, np.zeros_like(masks)), np.zeros(10))
    # An even attribution has the mask's share of the image in the mask.
    np.testing.assert_allclose(figures.relevance_mass(np.ones((10, 28, 28)), masks), 16 / 784, rtol=1e-5)
    np.testing.assert_allclose(figures.relevance_rank(np.ones((10, 28, 28)), masks), 16 / 784, rtol=1e-5)
    np.testing.assert_array_equal(figures.relevance_mass(np.zeros((10, 28, 28)), masks), np.zeros(10))


def test_relevance_rank_counts(masks):
    values = np.random.default_rng(0).normal(size=masks.shape) + masks
    expected = [mask.ravel()[np.argsort(-value.ravel())[:16]].mean() for value, mask in zip(values, masks, strict=True)]
    np.testing.assert_allclose(figures.relevance_rank(values, masks), expected, rtol=1e-6)


def test_interval_is_that_of_scipy():
    values = np.random.default_rng(0).normal(3, 2, 7)
    mean, half = runs.interval(values)
    low, high = scipy.stats.t.interval(0.95, len(values) - 1, values.mean(), scipy.stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert runs.interval([1.0, 1.0]) == (1.0, 0.0)
    assert runs.interval([2.0])[0] == 2.0 and np.isnan(runs.interval([2.0])[1])
