"""Neighborhood hits in training against those of the trained network, and where they go."""

import contextlib
import io
import types

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers
from sklearn.preprocessing import StandardScaler
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_xai.callbacks import ActivationStatistics, NeighborhoodHit
from keras_xai.diagnosis import Protocol, chance_hit, diagnose, neighborhood_hit
from keras_xai.features import TSNE, activations
from keras_xai.models import FBIModel

X = np.random.default_rng(0).normal(size=(40, 8)).astype("float32")
Y = np.arange(40) % 4
TINY = TSNE(perplexity=5, iterations=260)
NAMES = ["one", "two"]


def same_hit(hit, count, k=6):
    """Up to one neighbor more or less: of those that are all but equally far, rounding says which is nearer."""
    return pytest.approx(hit, abs=1.5 / (count * k))


def network(optimizer="sgd", activation="relu"):
    """Eager training is the faster one here; the callback compiles what it computes all the same."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(6, activation=activation, name="one"),
            layers.Dropout(0.3),
            layers.Dense(5, activation=activation, name="two"),
            layers.Dense(4, activation="softmax", name="head"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
    return model


def fit(model, callbacks, epochs=1, **options):
    return model.fit(X, Y, batch_size=20, epochs=epochs, verbose=0, callbacks=callbacks, **options).history


def events(folder):
    """What TensorBoard reads: tag -> [(step, value)]."""
    reader = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in reader.Tensors(tag)]
        for tag in reader.Tags()["tensors"]
    }


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    """A small network in float32 while it learns the digits, watched on some that it does not see."""
    images, labels = digits[0].astype("float32"), digits[1]
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pooling"),
            layers.Flatten(),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    x, y = images[1200:], labels[1200:]
    protocol = Protocol(samples=200, tsne=TSNE(perplexity=10, iterations=300), repeats=1)
    callback = NeighborhoodHit(x, y, every=(1, 2), protocol=protocol, log_dir=(folder := tmp_path_factory.mktemp("logs")))
    shuffled = NeighborhoodHit(x, np.random.default_rng(0).permutation(y), ["hidden"])
    history = model.fit(images[:1200], labels[:1200], epochs=4, verbose=0, callbacks=[shuffled, callback]).history
    return types.SimpleNamespace(**locals())


def test_last_hit_is_that_of_the_trained_network(run):
    report = diagnose(run.model, run.x, run.y, ["hidden"], protocol=run.protocol)
    for path, values in activations(run.model, run.x[report.samples], ["pooling", "hidden"]).items():
        hit = neighborhood_hit(values.reshape(200, -1), run.y[report.samples])
        assert run.callback.hits[path][-1] == same_hit(hit, 200)
    assert report.layers["hidden"].activation_hit.mean == same_hit(hit, 200)
    # The same maps, up to what hundreds of steps of t-SNE make of rounding.
    assert run.callback.map_hits["hidden"][-1] == pytest.approx(report.layers["hidden"].neighborhood_hit.mean, abs=0.05)


def test_hit_rises_in_training_and_that_of_shuffled_labels_does_not(run):
    hits = run.callback.hits["hidden"]
    assert hits[-1] > hits[0] + 0.03 and hits[-1] > 0.75 and run.callback.map_hits["hidden"][-1] > 0.75
    chance = chance_hit(run.y)
    assert all(abs(hit - chance) < 0.04 for hit in run.shuffled.hits["hidden"]) and len(run.shuffled.hits["hidden"]) == 4


def test_history_has_nan_in_epochs_that_are_skipped(run):
    assert list(run.callback.hits) == list(run.callback.map_hits) == ["pooling", "hidden"]  # the ends of blocks
    assert run.callback.epochs == [0, 1, 2, 3] and run.callback.map_epochs == [1, 3]
    assert len(pd.DataFrame(run.history)) == 4
    for path in ("pooling", "hidden"):
        assert run.history[f"{path}/neighborhood_hit"] == run.callback.hits[path]
        first, second = run.callback.map_hits[path]
        np.testing.assert_array_equal(run.history[f"{path}/neighborhood_hit_map"], [np.nan, first, np.nan, second])


def test_tensorboard_has_the_epochs_that_were_measured(run):
    found = events(run.folder)
    assert set(found) == {
        f"{path}/{name}" for path in run.callback.hits for name in ("neighborhood_hit", "neighborhood_hit_map")
    }
    for name, hits, epochs in (
        ("neighborhood_hit", run.callback.hits, [0, 1, 2, 3]),
        ("neighborhood_hit_map", run.callback.map_hits, [1, 3]),
    ):
        for path, values in hits.items():
            steps, written = zip(*found[f"{path}/{name}"], strict=True)
            assert list(steps) == epochs and written == pytest.approx(values, rel=1e-6)


def test_training_is_the_same_as_without():
    weights, states = [], []
    for callbacks in ([], [NeighborhoodHit(X, Y, k=3, every=(1, 2), protocol=Protocol(tsne=TINY, components=3, samples=30))]):
        model = network()
        fit(model, callbacks, epochs=2)
        weights.append(model.get_weights())
        states.append(np.random.get_state()[1:3])  # noqa: NPY002  what must not be consumed
    for plain, watched in zip(*weights, strict=True):
        np.testing.assert_array_equal(plain, watched)
    np.testing.assert_array_equal(states[0][0], states[1][0])
    assert states[0][1] == states[1][1]


def test_fit_called_twice_and_other_callbacks():
    model, callback, statistics = network(), NeighborhoodHit(X, Y, NAMES, every=2), ActivationStatistics(X, NAMES)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        first = model.fit(X, Y, epochs=3, verbose=2, callbacks=[callback, statistics]).history
    second = fit(model, [callback], epochs=8, initial_epoch=3)
    key = "two/neighborhood_hit"
    assert "loss" in printed.getvalue() and "neighborhood" not in printed.getvalue()
    assert {len(values) for values in first.values()} == {3} and {len(values) for values in second.values()} == {5}
    assert callback.epochs == [1, 3, 5, 7] and callback.map_hits == {}
    assert callback.hits["two"] == [first[key][1], second[key][0], second[key][2], second[key][4]]
    assert np.isnan([first[key][0], first[key][2], second[key][1], second[key][3]]).all()


def test_a_history_of_the_users_own_goes_on():
    model, callback, history = network(), NeighborhoodHit(X, Y), keras.callbacks.History()
    for _ in range(2):
        fit(model, [history, callback], epochs=2)
    assert history.history["one/neighborhood_hit"] == callback.hits["one"]
    assert {len(values) for values in history.history.values()} == {4} and callback.epochs == [0, 1, 0, 1]


def test_a_model_that_regularizes_another():
    plain = network()
    model = FBIModel(plain, weight=1e-3)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    callback = NeighborhoodHit(X, Y, k=5)
    history = fit(model, [callback])
    values = activations(plain, X, NAMES)
    for path in NAMES:
        hit = neighborhood_hit(values[path], Y, 5)
        assert history[f"{path}/neighborhood_hit"] == callback.hits[path] == [same_hit(hit, 40, 5)]


def test_a_network_that_diverges_is_trained_on(tmp_path):
    model = network(activation="tanh")  # of NaN, TensorFlow's ReLU makes 0
    callback = NeighborhoodHit(X, Y, every=(1, 1), protocol=Protocol(tsne=TINY), log_dir=tmp_path)

    def diverge(epoch, logs):
        model.optimizer.learning_rate = np.inf if epoch else 0.01

    history = fit(model, [callback, keras.callbacks.LambdaCallback(on_epoch_begin=diverge)], epochs=3)
    again = fit(model, [callback])  # also where training begins with such weights
    assert {len(values) for values in history.values()} == {3} and {len(values) for values in again.values()} == {1}
    for hits in (*callback.hits.values(), *callback.map_hits.values()):
        assert np.isnan(hits).tolist() == [False, True, True, True]
    assert np.isnan([value for _, value in events(tmp_path)["two/neighborhood_hit"]]).tolist() == [False, True, True, True]


@pytest.mark.parametrize("normalization", ["range", "standard"])
def test_layers_that_are_constant_or_about_to_overflow(normalization):
    model = network(activation="linear")
    one, two = model.get_layer("one"), model.get_layer("two")
    one.trainable = two.trainable = False
    one.set_weights([np.eye(8, 6) * 3e38 / np.abs(X).max(), np.zeros(6)])  # the range of its values is infinite in float32
    two.set_weights([np.zeros((6, 5)), np.full(5, 0.1)])
    callback = NeighborhoodHit(X, Y, every=(1, 1), protocol=Protocol(normalization=normalization, tsne=TINY))
    fit(model, [callback])
    assert callback.hits["two"] == callback.map_hits["two"] == [pytest.approx(chance_hit(Y))]
    if normalization == "range":
        assert np.isnan(callback.hits["one"]).all() and np.isnan(callback.map_hits["one"]).all()
    else:
        assert 0 <= callback.hits["one"][0] <= 1


def test_a_layer_whose_activations_are_infinite():
    model = network(activation="linear")
    for path in NAMES:
        model.get_layer(path).trainable = False
    model.get_layer("two").set_weights([np.full((6, 5), 3e38), np.full(5, 3e38)])
    callback = NeighborhoodHit(X, Y, every=(1, 1), protocol=Protocol(normalization="standard", tsne=TINY))
    fit(model, [callback])
    assert 0 < callback.hits["one"][0] < 1 and 0 < callback.map_hits["one"][0] < 1
    assert np.isnan(callback.hits["two"]).all() and np.isnan(callback.map_hits["two"]).all()


def test_standard_normalization():
    model, callback = network(), NeighborhoodHit(X, Y, ["one"], protocol=Protocol(normalization="standard"))
    model.get_layer("one").set_weights([np.eye(8, 6) * [100, 1, 1, 1, 1, 1], np.zeros(6)])
    fit(model, [callback])
    values = activations(model, X, ["one"])["one"]
    hit, plain = neighborhood_hit(StandardScaler().fit_transform(values), Y), neighborhood_hit(values, Y)
    assert callback.hits["one"] == [same_hit(hit, 40)] and abs(hit - plain) > 0.01


def test_a_dataset_with_labels_that_are_words():
    words = np.array(["a", "b", "c", "d"])[Y]
    dataset = tf.data.Dataset.from_tensor_slices((X, words)).batch(16)
    found = NeighborhoodHit(dataset, layers=["two"])
    fit(network(), [found])
    expected = NeighborhoodHit(X, Y, ["two"])
    fit(network(), [expected])
    assert found.hits["two"] == [same_hit(expected.hits["two"][0], 40)]


BROKEN = X.copy()
BROKEN[7, 2] = np.nan


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layers": ["oen"]}, "The nearest paths are"),
        ({"layers": []}, "a list of different paths"),
        ({"y": Y[:30]}, "a label for each of 40 samples"),
        ({"y": None}, "y=None"),
        ({"y": np.zeros(40)}, "at least two classes"),
        ({"y": keras.utils.to_categorical(Y)}, "argmax"),
        ({"k": 40}, "from 1 to 39"),
        ({"k": 0}, "k=0"),
        ({"k": 20, "protocol": Protocol(samples=20)}, "from 1 to 19"),
        ({"x": BROKEN}, "first in sample 7"),
        ({"x": X[:, :4]}, "Expected an array of shape"),
        ({"every": (5, 5)}, "less than a third of the number of samples"),
    ],
)
def test_errors_come_before_the_first_step(options, message, tmp_path):
    model, steps = network(), []
    count = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: steps.append(batch))
    with pytest.raises(ValueError, match=message):
        fit(model, [count, NeighborhoodHit(**{"x": X, "y": Y, **options}, log_dir=tmp_path / "logs")])
    assert not steps and not (tmp_path / "logs").exists()


@pytest.mark.parametrize("every", [0, -1, 1.5, True, None, (1, 0), (1, 2, 3), (1,), ()])
def test_epochs_that_are_none(every):
    with pytest.raises(ValueError, match="`every` to be an integer of at least 1, or a pair"):
        NeighborhoodHit(X, Y, every=every)


def test_settings_that_are_no_protocol():
    with pytest.raises(TypeError, match="`protocol` to be"):
        NeighborhoodHit(X, Y, protocol=TINY)


def test_models_that_cannot_be_looked_into():
    shallow = keras.Sequential([keras.Input((8,)), layers.Dense(4, "softmax")])
    # For images of any even size.
    image = keras.Input((None, None, 1))
    around = layers.UpSampling2D()(layers.MaxPooling2D()(image))
    maps = layers.Conv2D(3, 1, name="conv")(layers.Concatenate()([image, around]))
    images = keras.Model(image, layers.Dense(4, "softmax")(layers.GlobalMaxPooling2D()(maps)))

    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    for model, x, seen, error, message in (
        (shallow, X, X, ValueError, "Expected a model with hidden layers"),
        (Subclassed(), X, X, ValueError, "never called"),
        (images, np.ones((40, 4, 4, 1)), np.ones((40, 5, 5, 1)), Exception, ""),  # TensorFlow's own words
    ):
        steps = []
        count = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs, steps=steps: steps.append(batch))
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
        with pytest.raises(error, match=message):
            model.fit(x, Y, verbose=0, callbacks=[count, NeighborhoodHit(seen, Y)])
        assert not steps
