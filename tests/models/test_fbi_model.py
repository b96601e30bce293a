"""Training with the penalty is what it says, by every way of `fit()`, and leaves the user a plain model."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xai.callbacks import FBIWarmUp
from keras_xai.losses import FBILoss, fbi_penalty
from keras_xai.models import FBIModel
from keras_xai.openbox import UnsupportedLayerError
from tests.slow import quickly

WEIGHT = 0.3


def network(*, dropout=0.0, head="softmax"):
    """Batch normalization, pooling, dropout and a layer with an L2 penalty."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Dropout(dropout, seed=1, name="dropout"),
            layers.Flatten(name="flatten"),
            layers.Dense(16, "relu", kernel_regularizer=keras.regularizers.L2(0.01), name="dense"),
            layers.Dense(10, head, name="scores"),
        ]
    )


def compiled(model, optimizer=None, **options):
    optimizer = optimizer or keras.optimizers.SGD(0.125)  # exact in float32, in which Keras keeps it
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


@pytest.fixture(scope="module")
def few(digits):
    images, labels = digits
    return images[:96].astype("float32"), labels[:96]


def assert_rounded(found, expected):
    """Probabilities, in float32, by two programs that compute the same."""
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_fit_does_the_steps_of_a_loop_written_by_hand(float64, digits):
    x, y = digits[0][:96], digits[1][:96]
    weights = np.random.default_rng(0).integers(1, 5, size=96) / 2
    by_fit, by_hand = network(), network()
    compiled(FBIModel(by_fit, WEIGHT, rule="zplus")).fit(x, y, sample_weight=weights, batch_size=32, shuffle=False, verbose=0)
    loss = FBILoss("sparse_categorical_crossentropy", WEIGHT, rule="zplus")
    for start in range(0, 96, 32):
        batch = slice(start, start + 32)
        with tf.GradientTape() as tape:
            value = loss(by_hand, x[batch], y[batch], weights[batch]) + (1 - WEIGHT) * sum(by_hand.losses)
        gradients = tape.gradient(value, by_hand.trainable_weights)
        for weight, gradient in zip(by_hand.trainable_weights, gradients, strict=True):
            weight.assign(weight - 0.125 * gradient)
    # What batch normalization keeps of the batches has been updated once a step by both.
    for one, other in zip(by_fit.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_without_weight_or_switched_off_it_is_plain_training(float64, few):
    """In float64, where another program that computes the same differs by next to nothing."""
    plain, zero, off, on = (network(dropout=0.3) for _ in range(4))
    trainings = [
        compiled(plain),
        compiled(FBIModel(zero, 0.0)),
        compiled(FBIModel(off, WEIGHT)),
        compiled(FBIModel(on, WEIGHT)),
    ]
    trainings[2].switch(False)
    for training in trainings:
        keras.utils.set_random_seed(0)
        history = training.fit(*few, epochs=2, batch_size=32, verbose=0).history
        assert ("fbi_penalty" in history) == (training is not plain)
    for one, other, third in zip(plain.get_weights(), zero.get_weights(), off.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(third, one, rtol=1e-12, atol=1e-14)
    assert np.abs(plain.get_weights()[0] - on.get_weights()[0]).max() > 1e-4


def test_a_penalized_step_draws_random_numbers_and_updates_statistics_once(few):
    plain, penalized = network(dropout=0.3), network(dropout=0.3)
    compiled(plain).fit(*few, batch_size=96, verbose=0)
    compiled(FBIModel(penalized, WEIGHT)).fit(*few, batch_size=96, verbose=0)
    for model in (plain, penalized):
        assert np.abs(model.get_layer("norm").get_weights()[2]).max() > 0
    for one, other in zip(
        plain.get_layer("norm").non_trainable_weights, penalized.get_layer("norm").non_trainable_weights, strict=True
    ):
        # Hundredths of means of values of size 1, which may be near zero: a second update would be a hundredth more.
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    states = [np.asarray(model.get_layer("dropout").seed_generator.state) for model in (plain, penalized)]
    np.testing.assert_array_equal(*states)


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self._x, self._y = x, y

    def __len__(self):
        return 3

    def __getitem__(self, i):
        return self._x[32 * i : 32 * i + 32], self._y[32 * i : 32 * i + 32]


WAYS = {
    "arrays": (lambda x, y: {"x": x, "y": y}, {}),
    "one-hot": (lambda x, y: {"x": x, "y": keras.utils.to_categorical(y, 10)}, {}),
    "sample_weight": (lambda x, y: {"x": x, "y": y, "sample_weight": np.linspace(0, 2, len(y))}, {}),
    "column of weights": (lambda x, y: {"x": x, "y": y, "sample_weight": np.linspace(0, 2, len(y))[:, None]}, {}),
    "class_weight": (lambda x, y: {"x": x, "y": y, "class_weight": {i: 0.1 * i for i in range(10)}}, {}),
    "validation_split": (lambda x, y: {"x": x, "y": y, "validation_split": 0.25}, {}),
    "dataset": (lambda x, y: {"x": tf.data.Dataset.from_tensor_slices((x, y)).batch(32)}, {}),
    "PyDataset": (lambda x, y: {"x": Batches(x, y)}, {}),
    "generator": (lambda x, y: {"x": ((x[:32], y[:32]) for _ in range(5)), "steps_per_epoch": 2}, {}),
    "jit_compile": (lambda x, y: {"x": x, "y": y}, {"jit_compile": True}),
    "run_eagerly": (lambda x, y: {"x": x, "y": y}, {"run_eagerly": True}),
    "steps_per_execution": (lambda x, y: {"x": x, "y": y}, {"steps_per_execution": 3}),
}


@pytest.mark.parametrize("way", quickly(WAYS, "validation_split"))  # each compiles a step
def test_the_loss_shown_is_made_of_the_two_that_are_shown(few, way):
    arguments, options = WAYS[way]
    model = network()
    loss = "categorical_crossentropy" if way == "one-hot" else "sparse_categorical_crossentropy"
    training = FBIModel(model, WEIGHT)
    training.compile("adam", loss, metrics=["accuracy"], **options)
    before = model.get_weights()
    history = training.fit(**arguments(*few), epochs=2, verbose=0).history
    for prefix in ("", "val_") if way == "validation_split" else ("",):
        task, penalty = (np.array(history[prefix + name]) for name in ("task_loss", "fbi_penalty"))
        assert (penalty > 0.01).all()
        np.testing.assert_allclose(history[prefix + "loss"], (1 - WEIGHT) * task + WEIGHT * penalty, rtol=1e-5)
    assert all((one != other).any() for one, other in zip(before, model.get_weights(), strict=True))


@pytest.mark.slow
def test_class_weights_weigh_both_losses(few):
    by_class, by_sample = network(), network()
    class_weight = {i: 0.1 + 0.2 * i for i in range(10)}
    keras.utils.set_random_seed(0)
    one = compiled(FBIModel(by_class, WEIGHT)).fit(*few, class_weight=class_weight, verbose=0).history
    keras.utils.set_random_seed(0)
    weights = np.array([class_weight[label] for label in few[1]])
    other = compiled(FBIModel(by_sample, WEIGHT)).fit(*few, sample_weight=weights, verbose=0).history
    keras.utils.set_random_seed(0)
    neither = compiled(FBIModel(network(), WEIGHT)).fit(*few, verbose=0).history
    assert one["fbi_penalty"] == pytest.approx(other["fbi_penalty"], rel=1e-5)
    assert abs(one["fbi_penalty"][0] - neither["fbi_penalty"][0]) > 0.01


@pytest.mark.slow
def test_mixed_precision(few):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy("float32")
    half = compiled(FBIModel(model, WEIGHT, reduction="mean")).fit(*few, epochs=2, verbose=0).history
    single = compiled(FBIModel(network(), WEIGHT, reduction="mean")).fit(*few, epochs=2, verbose=0).history
    for name in ("loss", "fbi_penalty"):
        np.testing.assert_allclose(half[name], single[name], rtol=0.02)


def test_several_inputs_nested_and_frozen_models(few):
    keras.utils.set_random_seed(0)
    image, extra = keras.Input((8, 8, 1), name="image"), keras.Input((3,), name="extra")
    inner = keras.Input((8, 8, 1))
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(inner)
    y = layers.Add()([y, layers.Conv2D(4, 3, padding="same")(y)])
    backbone = keras.Model(inner, layers.GlobalAveragePooling2D()(layers.ReLU()(y)), name="backbone")
    backbone.trainable = False
    joined = layers.Concatenate()([backbone(image), extra])
    model = keras.Model({"image": image, "extra": extra}, {"digit": layers.Dense(10, "softmax", name="digit")(joined)})
    training = FBIModel(model, WEIGHT)
    assert (
        list(training.layer_penalties) == ["extra", "image", "backbone/conv2d", "backbone/conv2d_1"]
        or len(training.layer_penalties) == 4
    )
    training.compile("adam", {"digit": "sparse_categorical_crossentropy"}, metrics={"digit": ["accuracy"]})
    before = model.get_weights()
    x = {"image": few[0], "extra": np.random.default_rng(0).normal(size=(96, 3)).astype("float32")}
    history = training.fit(x, {"digit": few[1]}, epochs=2, verbose=0).history
    assert history["fbi_penalty"][0] > 0
    changed = [(one != other).any() for one, other in zip(before, model.get_weights(), strict=True)]
    assert changed == [False] * 4 + [True] * 2
    assert_rounded(training.predict(x, verbose=0)["digit"], model.predict(x, verbose=0)["digit"])


def test_one_sigmoid_unit(few):
    x, y = few[0], (few[1] > 4).astype("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(8, "relu"), layers.Dense(1, "sigmoid")])
    penalties = []
    for labels in (y, y[:, None]):
        training = FBIModel(keras.models.clone_model(model), WEIGHT)
        training.plain_model.set_weights(model.get_weights())
        training.compile("adam", "binary_crossentropy")
        penalties += training.fit(x, labels, shuffle=False, verbose=0).history["fbi_penalty"]
    assert penalties[0] == pytest.approx(penalties[1], rel=1e-5) and penalties[0] > 0


def test_predict_and_evaluate_are_those_of_the_plain_model(few):
    model = network()
    training = compiled(FBIModel(model, WEIGHT))
    assert_rounded(training.predict(few[0], verbose=0), model.predict(few[0], verbose=0))
    result = training.evaluate(*few, verbose=0, return_dict=True)
    plain = compiled(model).evaluate(*few, verbose=0, return_dict=True)
    assert result["task_loss"] == pytest.approx(plain["loss"], rel=1e-5) and result["accuracy"] == plain["accuracy"]
    assert result["fbi_penalty"] == pytest.approx(float(np.mean(fbi_penalty(model, *few))), rel=1e-5)
    assert np.mean(list(training.layer_penalties.values())) == pytest.approx(result["fbi_penalty"], rel=1e-5)
    training.switch(False)
    off = training.evaluate(*few, verbose=0, return_dict=True)
    assert off["loss"] == off["task_loss"] == pytest.approx(plain["loss"], rel=1e-6) and off["fbi_penalty"] == 0


def test_training_makes_the_penalty_fall_and_keeps_the_accuracy(digits):
    x, y = digits[0].astype("float32") + 0.5, digits[1]
    penalties, accuracies = [], []
    for weight in (0.0, 1e-3):
        keras.utils.set_random_seed(0)
        hidden = [layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(32, "relu")]
        model = keras.Sequential([keras.Input((8, 8, 1)), *hidden, layers.Dense(10, "softmax")])
        training = compiled(FBIModel(model, weight, reduction="sum"), keras.optimizers.Adam(4e-3))
        training.fit(x[:1400], y[:1400], epochs=12, verbose=0, callbacks=[FBIWarmUp("accuracy")])
        penalties.append(float(np.mean(fbi_penalty(model, x[1400:], y[1400:], reduction="sum"))))
        accuracies.append(training.evaluate(x[1400:], y[1400:], verbose=0, return_dict=True)["accuracy"])
    assert penalties[1] < 0.7 * penalties[0]
    assert accuracies[1] > accuracies[0] - 0.03


class TestSaving:
    def test_the_saved_model_is_the_plain_one(self, few, tmp_path):
        model = network()
        training = compiled(FBIModel(model, WEIGHT))
        best = tmp_path / "best.keras"
        training.fit(*few, verbose=0, callbacks=[keras.callbacks.ModelCheckpoint(best, monitor="loss")])
        training.save(tmp_path / "saved.keras")
        for path in (best, tmp_path / "saved.keras"):
            with zipfile.ZipFile(path) as file:
                assert "keras_xai" not in file.read("config.json").decode()
            loaded = keras.saving.load_model(path)
            assert type(loaded) is keras.Sequential
            for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)
            assert_rounded(loaded.predict(few[0], verbose=0), model.predict(few[0], verbose=0))

    def test_weights_go_from_the_wrapped_model_to_the_plain_one_and_back(self, few, tmp_path):
        model, path = network(), tmp_path / "model.weights.h5"
        training = compiled(FBIModel(model, WEIGHT), "adam")
        training.fit(*few, verbose=0)
        training.switch(True, for_good=True)
        training.save_weights(path)
        plain = network()
        plain.load_weights(path)
        again = compiled(FBIModel(network(), WEIGHT), "adam")
        again.switch(False)
        again.optimizer.build(again.trainable_variables)
        again.load_weights(path)
        for one, other, third in zip(model.get_weights(), plain.get_weights(), again.plain_model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(one, third)
        assert float(again.latched) == 1 and float(again.current_weight) == pytest.approx(WEIGHT)
        for one, other in zip(training.optimizer.variables, again.optimizer.variables, strict=True):
            np.testing.assert_array_equal(one, other)
        plain.save_weights(path)
        again.load_weights(path)
        assert float(again.latched) == 1  # of which a plain file says nothing
        with pytest.raises(ValueError, match="plain_model"):
            training.save_weights(path, max_shard_size=1)

    def test_the_wrapped_model_can_be_saved_as_such(self, few, tmp_path):
        training = FBIModel(network(), WEIGHT, rule="zplus", layers=["conv"])
        keras.saving.save_model(training, tmp_path / "wrapped.keras")
        loaded = keras.saving.load_model(tmp_path / "wrapped.keras")
        assert isinstance(loaded, FBIModel) and loaded.weight == WEIGHT and list(loaded.layer_penalties) == ["conv"]
        assert_rounded(loaded.predict(few[0], verbose=0), training.predict(few[0], verbose=0))
        assert json.loads(json.dumps(training.get_config()))["rule"] == "zplus"


@pytest.mark.parametrize("options", [{}, pytest.param({"steps_per_execution": 2}, marks=pytest.mark.slow)])
def test_a_penalty_that_is_not_finite_stops_training_and_gives_the_weights_back(few, options):
    model = network()
    training = compiled(FBIModel(model, WEIGHT), **options)
    x = few[0].copy()
    training.fit(x, few[1], verbose=0)
    before = model.get_weights()
    x[50] = np.inf
    with pytest.warns(UserWarning, match="not finite in .*'conv'"):
        history = training.fit(x, few[1], epochs=3, verbose=0).history
    assert len(history["loss"]) == 1
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


class TestBadInput:
    def refused(self, match, model=None, error=ValueError, **options):
        with pytest.raises(error, match=match):
            FBIModel(network() if model is None else model, **options)

    @pytest.mark.parametrize("weight", [-0.1, 1.5, float("nan"), "0.1", True, None])
    def test_weight(self, weight):
        self.refused("from 0 to 1", weight=weight)

    def test_options(self):
        self.refused("'z', 'zplus'.*'epsilon'", rule="epsilon")
        self.refused("'label', 'predicted', 'all'.*'best'", target="best")
        self.refused("'mean', 'sum'.*'max'", reduction="max")
        self.refused("nearest paths are .*'conv'", layers=["conv9"])
        self.refused("list of different paths of layers, .*Received: layers='conv'", layers="conv")

    def test_models(self):
        self.refused("plain_model", FBIModel(network()), TypeError)
        self.refused("keras.Model", lambda x: x, TypeError)
        self.refused("built", keras.Sequential([layers.Dense(3)]))
        x = keras.Input((8, 8, 1))
        self.refused("one score per class", keras.Model(x, layers.Conv2D(3, 3)(x)))
        self.refused("one output", keras.Model(x, [layers.Flatten()(x), layers.Flatten()(x)]))
        attention = layers.MultiHeadAttention(1, 2, name="attention")(layers.Reshape((8, 8))(x), layers.Reshape((8, 8))(x))
        model = keras.Model(x, layers.Dense(2)(layers.Flatten()(attention)))
        self.refused("'attention' \\(MultiHeadAttention\\)", model, UnsupportedLayerError)

    @pytest.mark.parametrize(
        "labels, match",
        [
            (lambda y: y + 1, "integers from 0 to 9"),
            (lambda y: -y, "integers from 0 to 9"),
            (lambda y: y + 0.5, "integers"),
            (lambda y: np.stack([y, y], axis=1), "shape \\(n,\\) or \\(n, 1\\), or rows of shape \\(n, 10\\)"),
            (lambda y: None, "expected labels"),
        ],
    )
    def test_labels_before_the_first_step(self, few, labels, match):
        model = network()
        training = compiled(FBIModel(model, WEIGHT))
        before = model.get_weights()
        x, y = few[0], labels(few[1])
        with pytest.raises(ValueError, match=match):
            training.fit(x, y, verbose=0)
        with pytest.raises(ValueError, match=match):
            training.fit(*few, validation_data=(x, y), verbose=0)
        if y is not None and y.ndim == 2:
            with pytest.raises(ValueError, match=match):
                training.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(32), verbose=0)
        for one, other in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_labels_do_not_matter_where_they_are_not_read(self, few):
        training = FBIModel(network(head=None), WEIGHT, target="all")
        training.compile("sgd", "mse")
        assert training.fit(few[0], np.zeros((96, 10)) - 0.5, verbose=0).history["fbi_penalty"][0] > 0

    def test_the_warm_up_is_for_wrapped_models(self, few):
        with pytest.raises(ValueError, match="Wrap the model in `keras_xai.models.FBIModel`"):
            compiled(network()).fit(*few, verbose=0, callbacks=[FBIWarmUp()])
