"""Figures of activations against their definitions, and where they go during training."""

import contextlib
import io
import sys

import hypothesis
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from hypothesis.extra import numpy as arrays
from keras import layers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_xai.callbacks.activation_statistics import ActivationStatistics, activation_statistics
from keras_xai.features import activations
from tests import channels_first

pytestmark = pytest.mark.onednn

NAMES = ["maximum", "skewness", "inverse_variance", "hoyer", "dead_filters"]
X = np.random.default_rng(0).normal(size=(30, 8, 8, 1))
Y = np.arange(30) % 3
settings = hypothesis.settings(max_examples=40, deadline=None)


def naive(values):
    """Each figure as its definition is written."""
    values = np.asarray(values, "float64")
    normalized = values / np.sqrt(np.mean(values**2))
    sparsities = []
    for sample in values.reshape(len(values), -1):
        n, length = len(sample), np.linalg.norm(sample)
        sparsities.append((np.sqrt(n) - np.abs(sample).sum() / length) / (np.sqrt(n) - 1) if length else 1.0)
    return {
        "maximum": values.max(),
        "skewness": scipy.stats.skew(values, axis=None),
        "inverse_variance": 1 / normalized.var(),
        "hoyer": np.mean(sparsities),
        "dead_filters": sum(not values[..., channel].any() for channel in range(values.shape[-1])),
    }


def network(*, run_eagerly=True):
    """Eager training is the faster one here; the callback compiles what it computes all the same."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu", name="conv1"),
            layers.Conv2D(5, 3, use_bias=False, name="conv2"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="gate"),
            layers.Flatten(),
            layers.Dense(3, "softmax", name="head"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=run_eagerly)
    return model


@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (6, 7, 2), (5, 9), (1, 4), (2, 3, 3, 3, 2)])
@pytest.mark.parametrize("shift", [-0.5, 0, 1, 1000])
def test_figures_are_those_of_their_definitions(shape, shift):
    values = np.maximum(np.random.default_rng(1).normal(shift, size=shape), 0).astype("float32")
    values[..., 0] = 0
    values[0] = 0 if len(shape) > 2 else values[0]
    found = activation_statistics(values)
    assert list(found) == NAMES and all(type(value) is float for value in found.values())
    for name, value in naive(values).items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name


def test_values_far_from_zero_do_not_cancel():
    values = np.random.default_rng(1).exponential(size=(50, 4, 3))
    near, far = activation_statistics(values), activation_statistics(values + 1e5)
    assert near["skewness"] > 1.5 and far["skewness"] == pytest.approx(near["skewness"], rel=1e-6)
    # The third moment by way of the raw ones has lost all of it.
    x = values.astype("float32") + np.float32(1e5)
    raw = np.mean(x**3) - 3 * np.mean(x) * np.mean(x**2) + 2 * np.mean(x) ** 3
    assert abs(raw / np.std(values) ** 3 - near["skewness"]) > 1


def test_the_inverse_variance_falls_with_sparsity():
    """As its docstring says: the other way round than the other two."""
    dense, sparse = (np.random.default_rng(0).uniform(size=(20, 30)) ** power for power in (1, 20))
    dense, sparse = activation_statistics(dense), activation_statistics(sparse)
    assert sparse["skewness"] > dense["skewness"] and sparse["hoyer"] > dense["hoyer"]
    assert 1 < sparse["inverse_variance"] < dense["inverse_variance"]


def test_values_without_variance():
    constant, nothing = activation_statistics(np.full((7, 3, 3), 0.1)), activation_statistics(np.zeros((7, 3, 3)))
    assert constant["skewness"] == nothing["skewness"] == 0
    assert constant["inverse_variance"] == np.inf and np.isnan(nothing["inverse_variance"])
    assert constant["hoyer"] == pytest.approx(0, abs=1e-12) and nothing["hoyer"] == 1
    assert [constant["dead_filters"], nothing["dead_filters"]] == [0, 3]
    assert activation_statistics(np.ones((4, 1)))["hoyer"] == 1  # of a single unit


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(value):
    values = np.array([[1.0, 0.0], [value, 0.0]])
    found = activation_statistics(values)
    assert all(np.isnan(found[name]) for name in ("skewness", "inverse_variance", "hoyer")) and found["dead_filters"] == 1
    np.testing.assert_equal(found["maximum"], value)


NUMBERS = st.floats(0, 100, width=32).map(lambda value: 0.0 if value < 1e-3 else value)
VALUES = arrays.arrays("float32", arrays.array_shapes(min_dims=2, max_dims=4, max_side=4), elements=NUMBERS)


@settings
@hypothesis.given(VALUES)
def test_ranges(values):
    found = activation_statistics(values)
    assert found["maximum"] == values.max() and 0 <= found["hoyer"] <= 1
    assert 0 <= found["dead_filters"] <= values.shape[-1]
    assert found["inverse_variance"] >= 1 or not values.any()
    assert abs(found["skewness"]) <= np.sqrt(values.size)


@settings
@hypothesis.given(VALUES, st.sampled_from([0.25, 3.0, 1000.0]))
def test_only_the_maximum_depends_on_the_scale(values, scale):
    before, after = activation_statistics(values), activation_statistics(values.astype("float64") * scale)
    assert after.pop("maximum") == pytest.approx(scale * before.pop("maximum"))
    assert after == pytest.approx(before, rel=1e-6, abs=1e-9, nan_ok=True)


@settings
@hypothesis.given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_units_does_not_matter(values, random):
    order = list(range(values[0].size))
    random.shuffle(order)
    shuffled = values.reshape(len(values), -1)[:, order].reshape(values.shape)
    before, after = activation_statistics(values), activation_statistics(shuffled)
    del before["dead_filters"], after["dead_filters"]
    assert after == pytest.approx(before, rel=1e-6, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("shape", [(5,), (), (0, 3), (3, 0)])
def test_values_without_channels(shape):
    with pytest.raises(ValueError, match=r"Expected values of shape \(n, ..., channels\)"):
        activation_statistics(np.ones(shape))


def check(statistics, model, x, paths, place=-1):
    """Whether what was recorded for an epoch is what the model, as it is now, gives."""
    assert list(statistics) == paths
    for path, values in activations(model, x, None if paths[0] == "conv1" else paths).items():
        for name, expected in naive(values).items():
            assert statistics[path][name][place] == pytest.approx(expected, rel=1e-5, abs=1e-6), (path, name)


@pytest.mark.parametrize("batch_size", [7, 30])
def test_statistics_are_those_of_the_weights_at_the_end_of_each_epoch(batch_size):
    """Of filters after batch normalization and activation, at inference, over batches of unequal size."""
    model, callback, seen = network(run_eagerly=batch_size > 7), ActivationStatistics(X, batch_size=batch_size), []

    def look(epoch, logs):
        check(callback.statistics, model, X, ["conv1", "conv2"])
        seen.append(epoch)

    model.fit(X, Y, epochs=3, verbose=0, callbacks=[callback, keras.callbacks.LambdaCallback(on_epoch_end=look)])
    assert seen == [0, 1, 2]
    assert [len(values) for each in callback.statistics.values() for values in each.values()] == [3] * 10
    maxima = callback.statistics["conv1"]["maximum"]
    assert len(set(maxima)) == 3  # weights have changed, and were not kept in the compiled program


def test_the_forward_pass_is_compiled_once(monkeypatch):
    module, traced = sys.modules[ActivationStatistics.__module__], []
    moments = module._moments

    def counted(values, axis):
        if not tf.executing_eagerly():  # as the first calls are
            traced.append(values)
        return moments(values, axis)

    monkeypatch.setattr(module, "_moments", counted)
    network().fit(X, Y, epochs=3, verbose=0, callbacks=[ActivationStatistics(X, batch_size=7)])
    assert len(traced) == 2  # layers, in three epochs of five batches of two sizes


def test_history_and_not_the_progress_bar():
    model, callback, printed, logs_seen = network(), ActivationStatistics(X, ["head", "norm"]), io.StringIO(), []
    look = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs_seen.append(set(logs)))
    with contextlib.redirect_stdout(printed):
        history = model.fit(X, Y, epochs=2, verbose=2, validation_data=(X, Y), callbacks=[callback, look]).history
    assert set(history) == {f"{path}/{name}" for path in ("head", "norm") for name in NAMES} | logs_seen[0]
    assert logs_seen[0] == {"loss", "val_loss"}
    assert "val_loss" in printed.getvalue() and "maximum" not in printed.getvalue()
    assert {len(values) for values in history.values()} == {2}
    for path, statistics in callback.statistics.items():
        assert {name: history[f"{path}/{name}"] for name in NAMES} == statistics
    check(callback.statistics, model, X, ["head", "norm"])


def test_training_is_the_same_as_without():
    weights = []
    for callbacks in ([], [ActivationStatistics(X)]):
        model = network()
        model.fit(X, Y, epochs=2, verbose=0, callbacks=callbacks)
        weights.append(model.get_weights())
    for plain, watched in zip(*weights, strict=True):
        np.testing.assert_array_equal(plain, watched)


def test_resumed_training():
    model, callback = network(), ActivationStatistics(X)
    first = model.fit(X, Y, epochs=2, verbose=0, callbacks=[callback]).history
    second = model.fit(X, Y, epochs=5, initial_epoch=2, verbose=0, callbacks=[callback]).history
    assert {len(values) for values in first.values()} == {2} and {len(values) for values in second.values()} == {3}
    key = "conv2/hoyer"
    assert callback.statistics["conv2"]["hoyer"] == first[key] + second[key]


def test_a_history_of_the_users_own_goes_on():
    model, callback, history = network(), ActivationStatistics(X), keras.callbacks.History()
    for _ in range(2):
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[history, callback])
    assert history.history["conv1/maximum"] == callback.statistics["conv1"]["maximum"]
    assert {len(values) for values in history.history.values()} == {4}


def test_two_callbacks_do_not_mix():
    model, seen, unseen = network(), ActivationStatistics(X[:20]), ActivationStatistics(X[20:])
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[seen, unseen]).history
    assert history["conv1/maximum"] == unseen.statistics["conv1"]["maximum"] != seen.statistics["conv1"]["maximum"]
    check(seen.statistics, model, X[:20], ["conv1", "conv2"])


def events(folder):
    """What TensorBoard reads: tag -> [(step, value)]."""
    reader = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in reader.Tensors(tag)]
        for tag in reader.Tags()["tensors"]
    }


def test_tensorboard(tmp_path):
    """Also beside Keras' own callback, while that does not let anything be written."""
    model, callback = network(), ActivationStatistics(X, log_dir=tmp_path / "activations")
    others = [keras.callbacks.TensorBoard(tmp_path, update_freq=1000)]
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[callback, *others])
    model.fit(X, Y, epochs=3, initial_epoch=2, verbose=0, callbacks=[callback, *others])
    found = events(tmp_path / "activations")
    assert set(found) == {f"{path}/{name}" for path in ("conv1", "conv2") for name in NAMES}
    for path, statistics in callback.statistics.items():
        for name, values in statistics.items():
            # TensorBoard reads the files of one second in the order of their names, which is none.
            steps, written = zip(*sorted(found[f"{path}/{name}"]), strict=True)
            assert steps == (0, 1, 2) and written == pytest.approx(values, rel=1e-6)


def test_a_file_can_be_read_while_training_goes_on(tmp_path):
    seen = []
    look = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(events(tmp_path)["conv1/hoyer"]))
    network().fit(X, Y, epochs=2, verbose=0, callbacks=[ActivationStatistics(X, log_dir=tmp_path), look])
    assert [len(values) for values in seen] == [1, 2]


def test_no_file_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network().fit(X, Y, verbose=0, callbacks=[ActivationStatistics(X)])
    assert not list(tmp_path.rglob("*"))


class Wrapper(keras.Model):
    """As a model that regularizes another one."""

    def __init__(self, plain_model):
        super().__init__()
        self.plain_model = plain_model

    def call(self, inputs, training=None):
        return self.plain_model(inputs, training=training)


def test_a_model_that_wraps_another():
    plain = network()
    model, callback = Wrapper(plain), ActivationStatistics(X)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    history = model.fit(X, Y, epochs=2, verbose=0, callbacks=[callback]).history
    check(callback.statistics, plain, X, ["conv1", "conv2"])
    assert history["conv2/hoyer"] == callback.statistics["conv2"]["hoyer"]


def test_dataset_is_read_once_and_held():
    reads = []

    def read():
        reads.append(len(reads))
        yield from (X[i : i + 10] + len(reads) - 1 for i in (0, 10, 20))

    dataset = tf.data.Dataset.from_generator(read, output_signature=tf.TensorSpec((None, 8, 8, 1)))
    model, callback = network(), ActivationStatistics(dataset)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[callback])
    assert len(reads) == 1
    check(callback.statistics, model, X, ["conv1", "conv2"])


def test_channels_first():
    keras.utils.set_random_seed(0)
    convolution = layers.Conv2D(4, 3, data_format="channels_first", activation="relu", name="conv")
    model = keras.Sequential([keras.Input((1, 8, 8)), convolution, layers.Flatten(), layers.Dense(3)])
    convolution.bias.assign([0, -9, 0, -9])
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    callback, x = ActivationStatistics(np.moveaxis(X, -1, 1)), np.moveaxis(X, -1, 1)
    if not channels_first.computed_here():
        with channels_first.refused():
            model.fit(x, np.zeros((30, 3)), verbose=0, callbacks=[callback])
        return
    model.fit(x, np.zeros((30, 3)), verbose=0, callbacks=[callback])
    (values,) = activations(model, x).values()
    assert callback.statistics["conv"]["dead_filters"] == [2.0] and values.shape == (30, 4, 6, 6)
    assert naive(values)["dead_filters"] == 0  # along the last axis, which is not that of the channels here


@pytest.mark.parametrize(
    "options, message",
    [
        ({"x": X[:, :4]}, "Expected an array of shape"),
        ({"x": X[:0]}, "at least one sample"),
        ({"x": X, "layers": ["conv3"]}, "The nearest paths are"),
        ({"x": X, "batch_size": 0}, "batch_size=0"),
    ],
)
def test_errors_come_before_the_first_step(options, message, tmp_path):
    model, batches = network(), []
    count = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: batches.append(batch))
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, verbose=0, callbacks=[count, ActivationStatistics(log_dir=tmp_path / "logs", **options)])
    assert not batches and not (tmp_path / "logs").exists()


def test_models_without_convolutions_or_without_a_graph():
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    dense.compile("adam", "mse")
    with pytest.raises(ValueError, match="Expected a model with convolutional layers"):
        dense.fit(np.ones((5, 4)), np.ones((5, 3)), verbose=0, callbacks=[ActivationStatistics(np.ones((5, 4)))])

    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    model = Subclassed()
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="never called"):
        model.fit(np.ones((5, 4)), np.ones((5, 4)), verbose=0, callbacks=[ActivationStatistics(np.ones((5, 4)))])
