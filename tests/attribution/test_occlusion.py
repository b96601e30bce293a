"""Occlusion against a plain loop."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai.attribution.perturbation.occlusion import Occlusion
from tests import channels_first
from tests.tolerance import rounding

pytestmark = pytest.mark.onednn


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    convolution = layers.Conv2D(4, 3, activation="relu")
    return keras.Sequential([keras.Input((8, 9, 2)), convolution, layers.Flatten(), layers.Dense(3)])


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(5, 8, 9, 2)).astype("float32")


def _starts(size, window, stride):
    """Where windows begin: the last is moved inward."""
    starts = list(range(0, size - window + 1, stride))
    return starts if starts[-1] == size - window else [*starts, size - window]


def _loop(predict, x, target, window, stride, baseline=0.0, mean=True):
    """One forward pass for each window and sample; windows go over the first axes of a sample."""
    baseline = np.broadcast_to(baseline, x.shape)
    places = x.shape[1 : 1 + len(window)]
    result = np.zeros((len(x), *places))
    for i in range(len(x)):
        total, count = np.zeros(places), np.zeros(places)
        for corner in itertools.product(*map(_starts, places, window, stride)):
            cut = tuple(slice(start, start + size) for start, size in zip(corner, window, strict=True))
            hidden = x[i].copy()
            hidden[cut] = baseline[i][cut]
            total[cut] += predict(x[i : i + 1])[0, target[i]] - predict(hidden[None])[0, target[i]]
            count[cut] += 1
        result[i] = total / count if mean else total
    return result


def _predict(model):
    import tensorflow as tf

    compiled = tf.function(model)  # a loop of eager calls would take most of the time of these tests
    return lambda x: compiled(x).numpy()


TARGET = [0, 1, 2, 1, 0]


@pytest.mark.parametrize("baseline", [0.0, "array"])
def test_images(network, images, baseline):
    baseline = np.random.default_rng(1).normal(size=(8, 9, 2)) if baseline == "array" else baseline
    explanation = Occlusion(network, window=(3, 4), stride=(2, 3), batch_size=7)(images, target=TARGET, baseline=baseline)
    predict = _predict(network)
    expected = _loop(predict, images, TARGET, (3, 4), (2, 3), baseline)
    assert explanation.values.shape == (5, 8, 9, 1) and explanation.convergence_delta is None
    np.testing.assert_allclose(explanation.values[..., 0], expected, atol=1e-5)
    assert explanation.num_forward_passes == 1 + 4 * 3
    for broken in (
        _loop(predict, images, TARGET, (3, 4), (2, 3), baseline, mean=False),
        _loop(predict, images, TARGET, (4, 3), (2, 3), baseline),
        _loop(predict, images, TARGET, (3, 4), (2, 3), 0.3),
    ):
        assert np.abs(explanation.values[..., 0] - broken).max() > 0.01


def test_size_of_batches_does_not_count(network, images):
    expected = Occlusion(network, window=3)(images).values
    for batch_size in (1, 7, 64):
        np.testing.assert_allclose(Occlusion(network, window=3, batch_size=batch_size)(images).values, expected, atol=1e-5)


def test_no_more_rows_than_the_batch_size_are_in_the_model(images):
    rows = []

    class Watch(layers.Layer):
        def call(self, x):
            import tensorflow as tf

            tf.py_function(lambda count: rows.append(int(count)), [tf.shape(x)[0]], [])
            return x + 0.0

        def compute_output_shape(self, input_shape):
            return input_shape

    x = keras.Input((8, 9, 2))
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(Watch()(x))))
    method = Occlusion(model, window=4, stride=2, batch_size=16)
    method(images[:1], target=1)  # at the first call, scores are compared with the model's
    rows.clear()
    method(images, target=1)
    # Five samples of 3 x 4 windows: chunks of them are of one size, not one chunk for each sample.
    assert max(rows) <= 16 and sorted(rows) == [5, 15, 15, 15, 15]


def test_default_windows(network, images):
    explanation = Occlusion(network)(images)  # an eighth of the sides
    np.testing.assert_allclose(explanation.values, Occlusion(network, window=1, stride=1)(images).values, atol=1e-5)
    x = keras.Input((40, 20, 1))
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(x)))
    assert Occlusion(model)(np.ones((1, 40, 20, 1))).num_forward_passes == 1 + (
        len(_starts(40, 5, 2)) * len(_starts(20, 2, 1))
    )


def test_series():
    x = keras.Input((20, 3))
    model = keras.Model(x, layers.Dense(2)(layers.GlobalMaxPooling1D()(layers.Conv1D(5, 3)(x))))
    series = np.random.default_rng(0).normal(size=(3, 20, 3)).astype("float32")
    values = Occlusion(model, window=6, stride=4)(series, target=1).values
    assert values.shape == (3, 20, 1)
    np.testing.assert_allclose(values[..., 0], _loop(_predict(model), series, [1] * 3, (6,), (4,)), atol=1e-5)


def test_tables_are_exact_for_linear_models():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4)])
    x, baseline = np.random.default_rng(0).normal(size=(2, 3, 6)).astype("float32")
    values = Occlusion(model)(x, target=2, baseline=baseline).values
    np.testing.assert_allclose(values, (x - baseline) * model.get_weights()[0][:, 2], atol=rounding("float32", x, 8))


def test_tokens_are_replaced_by_padding():
    tokens = keras.Input((7,), dtype="int32")
    y = layers.GlobalMaxPooling1D()(layers.Conv1D(4, 2)(layers.Embedding(9, 3)(tokens)))
    model = keras.Model(tokens, layers.Dense(2)(y))
    sentences = np.random.default_rng(0).integers(1, 9, (4, 7))
    sentences[0, 4:] = 0
    explanation = Occlusion(model)(sentences, target=1)
    assert explanation.values.shape == (4, 7) and not explanation.values[0, 4:].any() and explanation.values[1].any()
    np.testing.assert_allclose(explanation.values, _loop(_predict(model), sentences, [1] * 4, (1,), (1,)), atol=1e-6)
    by_word = Occlusion(model)(sentences, target=1, baseline=5).values
    np.testing.assert_allclose(by_word, _loop(_predict(model), sentences, [1] * 4, (1,), (1,), 5), atol=1e-6)


def test_images_without_an_axis_of_channels():
    x = keras.Input((6, 6))
    model = keras.Model(x, layers.Dense(2, activation="relu")(layers.Flatten()(x)))
    gray = np.random.default_rng(0).normal(size=(2, 6, 6)).astype("float32")
    values = Occlusion(model, window=(2, 3), stride=2)(gray, target=1).values
    assert values.shape == (2, 6, 6)
    np.testing.assert_allclose(values, _loop(_predict(model), gray, [1] * 2, (2, 3), (2, 2)), atol=1e-5)


def test_channels_first(network, images):
    x = keras.Input((2, 8, 9))
    y = layers.Conv2D(4, 3, activation="relu", data_format="channels_first")(x)
    turned = keras.Model(x, layers.Dense(3)(layers.Flatten(data_format="channels_first")(y)))
    turned.set_weights(network.get_weights())
    if not channels_first.computed_here():
        with channels_first.refused():
            Occlusion(turned)
        return
    found = Occlusion(turned, window=3)(np.moveaxis(images, -1, 1), target=TARGET).values
    assert found.shape == (5, 1, 8, 9)
    np.testing.assert_allclose(found[:, 0], Occlusion(network, window=3)(images, target=TARGET).values[..., 0], atol=1e-5)


@pytest.mark.filterwarnings("ignore:When providing")  # keys that are not the names of the inputs
def test_several_inputs_are_hidden_in_turn():
    image, table = keras.Input((8, 8, 1), name="image"), keras.Input((3,), name="table")
    y = layers.Concatenate()([layers.Flatten()(layers.Conv2D(2, 3)(image)), layers.Dense(4)(table)])
    model = keras.Model({"picture": image, "row": table}, layers.Dense(2)(layers.ReLU()(y)))
    generator = np.random.default_rng(0)
    x = [generator.normal(size=shape).astype("float32") for shape in ((3, 8, 8, 1), (3, 3))]
    occlusion = Occlusion(model, window={"picture": 4}, stride={"picture": 2}, batch_size=5)
    explanation = occlusion({"picture": x[0], "row": x[1]}, target=[0, 1, 0])
    shown, listed = explanation.values["picture"], explanation.values["row"]
    for i, c in enumerate([0, 1, 0]):
        alone = [each[i : i + 1] for each in x]
        expected = _loop(lambda a, other=alone[1]: model({"picture": a, "row": other}).numpy(), alone[0], [c], (4, 4), (2, 2))
        np.testing.assert_allclose(shown[i : i + 1, ..., 0], expected, atol=1e-5)
        expected = _loop(lambda a, other=alone[0]: model({"picture": other, "row": a}).numpy(), alone[1], [c], (1,), (1,))
        np.testing.assert_allclose(listed[i : i + 1], expected, atol=1e-5)
    assert explanation.num_forward_passes == 1 + 9 + 3


def test_what_is_equal_to_the_baseline_counts_nothing(network):
    same = Occlusion(network, window=3)(np.full((2, 8, 9, 2), 0.5), baseline=0.5)
    assert not same.values.any() and same.num_forward_passes == 1
    other = Occlusion(network, window=3)(np.full((2, 8, 9, 2), 0.5))
    assert other.values.any() and np.isfinite(other.values).all()
    assert other.num_forward_passes == 1 + len(_starts(8, 3, 1)) * len(_starts(9, 3, 1))


def test_windows_that_change_nothing_are_not_run(network, images):
    """Of two samples, the first differs from the baseline in two corners of one channel, the second everywhere."""
    x = np.zeros((2, 8, 9, 2), "float32")
    x[0, 0, 0, 1], x[0, -1, -1, 0], x[1] = 1, -1, images[0]
    explanation = Occlusion(network, window=(3, 4), stride=(2, 3))(x, target=[0, 1])
    windows = len(_starts(8, 3, 2)) * len(_starts(9, 4, 3))
    assert explanation.num_forward_passes == 1 + (2 + windows) / 2  # a corner is in one window
    np.testing.assert_allclose(explanation.values[..., 0], _loop(_predict(network), x, [0, 1], (3, 4), (2, 3)), atol=1e-5)
    assert not explanation.values[0, 3:5].any() and explanation.values[0, [0, -1], [0, -1]].all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"window": 9}, "windows no larger than input .* has 8 positions along axis 1. Received: a window of 9"),
        ({"window": 0}, "Expected `window` to be an integer of at least 1. Received: window=0"),
        ({"window": 2.5}, "Expected `window` to be an integer"),
        ({"window": 3, "stride": 0}, "Expected `stride` to be an integer of at least 1. Received: stride=0"),
        ({"window": (3, -1)}, "Expected `window` to be an integer of at least 1. Received: window=-1"),
        ({"window": (3,)}, "one for each of the 2 spatial axes of input .*Received: window=\\(3,\\)"),
        ({"window": (3, 3, 1, 1)}, "one for each of the 2 spatial axes"),
        ({"window": 3, "stride": (1, 1, 1)}, "Expected `stride` to be one integer, or one for each of the 2 spatial axes"),
        ({"window": 2, "stride": 3}, "a stride no larger than the window, 2 along axis 1.*Received: a stride of 3"),
        ({"window": {"picture": 3}}, "Expected `window` for inputs out of .*Received: window={'picture': 3}"),
        ({"window": "3"}, "Expected `window` to be an integer of at least 1. Received: window='3'"),
        ({"batch_size": 0}, "Expected `batch_size`"),
    ],
)
def test_bad_windows(network, options, message):
    with pytest.raises(ValueError, match=message):
        Occlusion(network, **options)


def test_a_window_that_is_larger_than_an_image_of_open_size():
    x = keras.Input((None, None, 1))
    model = keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    occlusion = Occlusion(model, window=5)
    assert occlusion(np.ones((1, 6, 5, 1))).values.shape == (1, 6, 5, 1)
    with pytest.raises(ValueError, match="has 4 positions along axis 2"):
        occlusion(np.ones((1, 6, 4, 1)))
