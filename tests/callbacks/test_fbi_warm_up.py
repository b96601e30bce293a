"""The penalty is off until the threshold is passed, and on for good from then on."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai.callbacks import FBIWarmUp
from keras_xai.models import FBIModel


def network():
    keras.utils.set_random_seed(0)
    hidden = [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(2), layers.Dropout(0.2, seed=3), layers.Flatten()]
    return keras.Sequential([keras.Input((8, 8, 1)), *hidden, layers.Dense(10, "softmax")])


def wrapped(**options):
    training = FBIModel(network(), 0.25)
    training.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return training


@pytest.fixture(scope="module")
def few(digits):
    images, labels = digits
    return images[:96].astype("float32"), labels[:96]


class Figures(keras.callbacks.Callback):
    """Sets a figure to given values, and notes the weight of the penalty in each epoch."""

    def __init__(self, name, values):
        super().__init__()
        self._name, self._values = name, values
        self.weights = []

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            self.weights.append(float(self.model.current_weight))

    def on_epoch_end(self, epoch, logs=None):
        logs[self._name] = self._values[epoch]


@pytest.mark.parametrize(
    "name, values, warm_up, expected",
    [
        ("val_accuracy", [0.2, 0.7, 0.71, 0.1], FBIWarmUp(), [0, 0, 0, 0.25]),
        pytest.param("val_loss", [2.0, 1.0, 0.5, 3.0], FBIWarmUp("val_loss", 0.9), [0, 0, 0, 0.25], marks=pytest.mark.slow),
        ("loss", [2.0, 1.0, 0.5, 3.0], FBIWarmUp("loss", 0.9, mode="max"), [0, 0.25, 0.25, 0.25]),
        ("val_accuracy", [0.1] * 4, FBIWarmUp(epoch=2), [0, 0, 0.25, 0.25]),
        pytest.param("val_accuracy", [0.9] * 3, FBIWarmUp(epoch=2), [0, 0.25, 0.25], marks=pytest.mark.slow),
        pytest.param("accuracy", [0.1] * 2, FBIWarmUp(None, epoch=0), [0.25, 0.25], marks=pytest.mark.slow),
    ],
)
def test_it_is_a_latch(few, name, values, warm_up, expected):
    """Step by step, which is the faster here; that the compiled program follows is seen in the next tests."""
    training, figures = wrapped(run_eagerly=True), Figures(name, values)
    history = training.fit(
        *few, epochs=len(values), batch_size=96, validation_data=few, verbose=0, callbacks=[figures, warm_up]
    ).history
    assert figures.weights == expected
    np.testing.assert_array_equal(np.array(history["fbi_penalty"]) > 0, np.array(expected) > 0)
    # The weight is that of the whole epoch's validation too.
    np.testing.assert_array_equal(np.array(history["val_fbi_penalty"]) > 0, np.array(expected) > 0)


def test_without_it_the_penalty_is_on_from_the_start(few):
    training, figures = wrapped(), Figures("accuracy", [0, 0])
    training.fit(*few, epochs=2, verbose=0, callbacks=[figures])
    assert figures.weights == [0.25, 0.25]


def test_it_stays_on_in_later_calls_of_fit(few):
    training = wrapped()
    for values, expected in (([0.9, 0.9], [0, 0.25]), ([0.1, 0.1], [0.25, 0.25])):
        figures = Figures("val_accuracy", values)
        history = training.fit(*few, epochs=2, validation_data=few, verbose=0, callbacks=[figures, FBIWarmUp()]).history
        assert figures.weights == expected
        for prefix in ("", "val_"):
            np.testing.assert_array_equal(np.array(history[f"{prefix}fbi_penalty"]) > 0, np.array(expected) > 0)


def test_the_line_that_it_prints(few, capsys):
    training, figures = wrapped(run_eagerly=True), Figures("val_accuracy", [0.1, 0.9])
    callbacks = [figures, FBIWarmUp(verbose=1)]
    training.fit(*few, epochs=2, validation_data=few, verbose=0, callbacks=callbacks)
    assert capsys.readouterr().out.strip() == "Epoch 2: val_accuracy 0.9000: the FBI penalty is on, with weight 0.25."


class Interruption(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._epoch:
            raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("interrupted_in", [1, 2, 3])
@pytest.mark.parametrize("backup_first", [True, False])
def test_training_that_is_resumed_ends_as_if_it_had_not_been_interrupted(few, tmp_path, interrupted_in, backup_first):
    values = [0.1, 0.9, 0.1, 0.1]

    def train(*, interruption=None, backup=True):
        training = wrapped()
        training.plain_model.get_layer(index=2).rate = 0.0  # Keras does not save the state of random numbers
        backups = [keras.callbacks.BackupAndRestore(tmp_path / "backup")] if backup else []
        callbacks = [Figures("val_accuracy", values), FBIWarmUp()]
        callbacks = [*backups, *callbacks] if backup_first else [*callbacks, *backups]
        callbacks += [Interruption(interruption)] if interruption else []
        training.fit(*few, epochs=4, validation_data=few, verbose=0, shuffle=False, callbacks=callbacks)
        return training

    whole = train(backup=False)
    with pytest.raises(KeyboardInterrupt):
        train(interruption=interrupted_in)
    resumed = train()
    assert float(resumed.latched) == 1
    for one, other in zip(whole.plain_model.get_weights(), resumed.plain_model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


class TestBadInput:
    @pytest.mark.parametrize(
        "arguments, options, match",
        [
            ((None,), {}, "a metric to monitor or an epoch"),
            ((), {"mode": "up"}, "one of \\['auto', 'max', 'min'\\]"),
            (("val_wonder",), {}, "whose direction is unknown"),
            ((), {"epoch": -1}, "nonnegative integer"),
            ((), {"epoch": 1.5}, "nonnegative integer"),
            (("val_accuracy", "high"), {}, "to be a number"),
        ],
    )
    def test_arguments(self, arguments, options, match):
        with pytest.raises(ValueError, match=match):
            FBIWarmUp(*arguments, **options)

    def test_no_validation_data_before_the_first_step(self, few):
        training = wrapped()
        before = training.plain_model.get_weights()
        with pytest.raises(ValueError, match="validation_split"):
            training.fit(*few, verbose=0, callbacks=[FBIWarmUp()])
        for one, other in zip(before, training.plain_model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_a_figure_that_the_history_will_lack_before_the_first_step(self, few):
        training = wrapped()
        with pytest.raises(ValueError, match="'accuracy'.*prefix 'val_'.*val_acc_top_5"):
            training.fit(*few, validation_split=0.2, verbose=0, callbacks=[FBIWarmUp("val_acc_top_5")])

    def test_figures_by_every_name_that_keras_gives_them(self, few):
        for metric, name in (
            ("acc", "acc"),
            (keras.metrics.SparseTopKCategoricalAccuracy(3, name="top"), "top"),
            (keras.metrics.sparse_categorical_accuracy, "sparse_categorical_accuracy"),
        ):
            training = FBIModel(network(), 0.25)
            training.compile("adam", "sparse_categorical_crossentropy", metrics=[metric], run_eagerly=True)
            warm_up = FBIWarmUp(f"val_{name}", 0.0, mode="max")
            history = training.fit(*few, epochs=2, validation_split=0.2, verbose=0, callbacks=[warm_up]).history
            assert f"val_{name}" in history and history["fbi_penalty"][-1] > 0
