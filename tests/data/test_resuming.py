"""Training that is killed at any step of a backup is resumed as if it had not been, or says what it lost."""

import builtins
import contextlib
import json
import os
import pathlib
import shutil
import warnings

import h5py
import keras
import numpy as np
import pytest

from keras_xai.layers import RBMDense
from keras_xai.models import FBIModel
from keras_xai.pretraining import ContrastiveDivergence, Hybrid, pretrain

X = np.random.default_rng(0).uniform(size=(12, 4)).astype("float32")
Y = np.arange(12) % 2


class Killed(BaseException):
    """Not an `Exception`, so that no handler goes on."""


def fbi(folder, *, seed=1, backup=True, save_freq="epoch", more=(), more_layers=(), x=X, shuffle=False):
    """The weights after training with the penalty and an optimizer that has a state."""
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((4,)), keras.layers.Dense(3, "relu"), *more_layers, keras.layers.Dense(2, "softmax")]
    model = FBIModel(keras.Sequential(layers), 0.3)
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", run_eagerly=True)
    callbacks = [*more, *([keras.callbacks.BackupAndRestore(folder, save_freq=save_freq)] if backup else [])]
    options = {"epochs": 3, "shuffle": shuffle, "verbose": 0, "callbacks": callbacks}
    model.fit(x, **options) if isinstance(x, keras.utils.PyDataset) else model.fit(x, Y, batch_size=6, **options)
    return model.get_weights()


def pretraining(folder, *, seed=1, backup=True, save_freq="epoch", more=()):
    """The weights after pretraining two layers, drawing at random."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((4,)), RBMDense(3, "sigmoid", name="first"), RBMDense(2, "sigmoid", name="second")])
    keras.utils.set_random_seed(seed)
    callbacks = [*more, *([keras.callbacks.BackupAndRestore(folder, save_freq=save_freq)] if backup else [])]
    options = {"epochs": 2, "batch_size": 6, "verbose": 0, "run_eagerly": True}
    pretrain(model, X, ContrastiveDivergence(sampling=True), callbacks=callbacks, **options)
    return model.get_weights()


TRAININGS = {"FBIModel": fbi, "pretrain": pretraining}


def kill_at(number, folder, patch):
    """Has the process end at a step of what is written below a folder: before and after, and half way through a text.

    Args:
        number: Of the step.
        folder: In which steps count.
        patch: Of pytest.
    """
    left, dead = iter(range(number)), []

    def step(path=folder):
        if not dead and str(path).startswith(str(folder)) and next(left, None) is None:
            dead.append(True)
            raise Killed

    def around(function):
        def called(*arguments, **options):
            if dead:
                raise Killed  # nothing that comes after a kill, such as the removal of temporary files, takes place
            place = arguments[0] if arguments and isinstance(arguments[0], (str, os.PathLike)) else folder.parent
            step(place)
            result = function(*arguments, **options)
            step(place)
            return result

        return called

    def opened(path, mode="r", *arguments, **options):
        writes = "w" in str(mode) and isinstance(path, (str, os.PathLike)) and str(path).startswith(str(folder))
        if writes:
            if dead:
                raise Killed
            step(path)
        file = real_open(path, mode, *arguments, **options)
        if writes:
            step_in_file(file)
        return file

    def step_in_file(file):
        try:
            step()  # the file is empty
        except Killed:
            file.close()
            raise

    real_open = builtins.open
    for name in ("replace", "fsync", "unlink", "rmdir", "mkdir"):
        patch.setattr(os, name, around(getattr(os, name)))
    patch.setattr(builtins, "open", opened)
    real_file = h5py.File

    class File(real_file):
        def __init__(self, name, mode="r", **options):
            if mode != "r":
                if dead:
                    raise Killed
                step(name if isinstance(name, (str, os.PathLike)) else folder.parent)
            super().__init__(name, mode, **options)

    patch.setattr(h5py, "File", File)
    return dead


def check_kill(training, number, folder, expected):
    """Whether the step existed; what was trained after it is what it should be."""
    shutil.rmtree(folder, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        dead = kill_at(number, folder, patch)
        with contextlib.suppress(Killed):
            TRAININGS[training](folder)
    if not dead:
        return False
    for found, right in zip(
        TRAININGS[training](folder, seed=9 if _has_backup(training, folder) else 1), expected, strict=True
    ):
        np.testing.assert_array_equal(found, right, err_msg=f"killed at step {number}")
    assert not folder.exists()
    return True


def _has_backup(training, folder):
    """Whether there is one of the first layer, from which the seed is restored."""
    return (folder / "00_first" if training == "pretrain" else folder).joinpath("latest.weights.h5").exists()


@pytest.mark.parametrize("training", TRAININGS)
@pytest.mark.parametrize("number", [3, 8, 12, 13])
def test_some_kills(training, number, tmp_path):
    expected = TRAININGS[training](tmp_path / "backup", backup=False)
    assert check_kill(training, number, tmp_path / "backup", expected)


@pytest.mark.slow
@pytest.mark.parametrize("training", TRAININGS)
def test_a_kill_at_each_step(training, tmp_path):
    expected = TRAININGS[training](tmp_path / "backup", backup=False)
    number = 0
    while check_kill(training, number, tmp_path / "backup", expected):
        number += 1
    assert number >= 25


@pytest.mark.parametrize("training", TRAININGS)
def test_each_moment_between_weights_and_metadata(training, tmp_path):
    """The metadata are those of the backup before, half written, or not there."""
    folder = tmp_path / "backup"
    expected = TRAININGS[training](folder, backup=False)
    real_dump, written = json.dumps, []
    for metadata in ("", '{"epoch": 0, "batch": 0}', None):
        shutil.rmtree(folder, ignore_errors=True)
        written.clear()
        with pytest.MonkeyPatch.context() as patch:

            def dumps(value, *arguments, **options):
                if isinstance(value, dict) and set(value) == {"epoch", "batch"}:
                    written.append(value)
                    if len(written) == 2:
                        raise Killed
                return real_dump(value, *arguments, **options)

            patch.setattr(json, "dumps", dumps)
            with pytest.raises(Killed):
                TRAININGS[training](folder)
        (path,) = folder.rglob("training_metadata.json")
        path.unlink() if metadata is None else path.write_text(metadata)
        for found, right in zip(TRAININGS[training](folder, seed=9), expected, strict=True):
            np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("training", TRAININGS)
def test_what_is_lost_is_said(training, tmp_path):
    """Keras resumes at the beginning of an epoch also where a backup was made within one."""
    folder = tmp_path / "backup"
    with pytest.MonkeyPatch.context() as patch:
        real_save = keras.callbacks.BackupAndRestore._save_model

        def save(self):
            real_save(self)
            raise Killed

        patch.setattr(keras.callbacks.BackupAndRestore, "_save_model", save)
        with pytest.raises(Killed):
            TRAININGS[training](folder, save_freq=1)
    with pytest.warns(UserWarning, match="made after batch 1 of epoch 1.*trained twice"):
        TRAININGS[training](folder, save_freq=1)


def test_a_backup_without_the_state_of_training(tmp_path):
    folder = tmp_path / "backup"
    folder.mkdir()
    keras.utils.set_random_seed(1)
    layers = [keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2, "softmax")]
    keras.Sequential(layers).save_weights(folder / "latest.weights.h5")
    with pytest.warns(UserWarning, match="without the state of training"):
        fbi(folder)


def test_weights_that_are_not_to_be_replaced_without_asking(tmp_path, monkeypatch):
    path = tmp_path / "file.weights.h5"
    model = FBIModel(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, "softmax")]), 0.3)
    path.write_bytes(b"what was there")
    asked = iter(["what", "n", "y"])
    monkeypatch.setattr(builtins, "input", lambda text: next(asked))
    model.save_weights(path, overwrite=False)
    assert path.read_bytes() == b"what was there" and next(asked) == "y"
    asked = iter(["y", "y"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space left"):
            model.save_weights(path, overwrite=False)
    assert path.read_bytes() == b"what was there"
    model.save_weights(path, overwrite=False)
    model.load_weights(path)
    assert pathlib.Path(path).stat().st_size > 1000


def test_weights_of_pretraining_that_are_not_to_be_replaced_without_asking(tmp_path, monkeypatch):
    path, answers = tmp_path / "file.weights.h5", iter(["n", "y"])

    class Saving(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            path.write_bytes(b"what was there")
            self.model.save_weights(path, overwrite=False)
            assert path.read_bytes() == b"what was there"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
                with pytest.raises(OSError, match="No space left"):
                    self.model.save_weights(path)
            assert path.read_bytes() == b"what was there"
            self.model.save_weights(path, overwrite=False)
            with pytest.raises(ValueError, match="Expected one file for all weights. Received: max_shard_size=1"):
                self.model.save_weights(path, max_shard_size=1)

    monkeypatch.setattr(builtins, "input", lambda text: next(answers))
    model = keras.Sequential([keras.Input((4,)), RBMDense(3, "sigmoid")])
    pretrain(model, X, epochs=1, verbose=0, callbacks=[Saving()])
    assert path.stat().st_size > 1000 and [each.name for each in tmp_path.iterdir()] == [path.name]


class KilledAtTheEnd(keras.callbacks.BackupAndRestore):
    """Is killed between the last backup and its removal."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if self.model.stop_training:
            raise Killed


def test_a_layer_that_was_ruined_is_not_trained_on(tmp_path):
    """The kill comes after its weights were restored, and before the layers behind it would have been trained."""

    def train(callback):
        keras.utils.set_random_seed(3)
        layers = [RBMDense(3, "sigmoid", name="first"), RBMDense(3, "linear", name="second"), RBMDense(2, "sigmoid")]
        model = keras.Sequential([keras.Input((4,)), *layers])
        ruining = {"first": ContrastiveDivergence(), "second": Ruining(), layers[2].name: ContrastiveDivergence()}
        with pytest.warns(UserWarning, match=r"stopped: weights or loss of layer 'second' .* in epoch 2 of 4\."):
            pretrain(model, X, Hybrid(ruining), epochs=4, batch_size=6, verbose=0, run_eagerly=True, callbacks=[callback])
        return model.get_weights()

    expected = train(keras.callbacks.Callback())
    with pytest.raises(Killed):
        pytest.fail(str(train(KilledAtTheEnd(tmp_path / "backup"))))
    found = train(keras.callbacks.BackupAndRestore(tmp_path / "backup"))
    for each, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(each, right)
    assert not (tmp_path / "backup").exists()


class Ruining(ContrastiveDivergence):
    """Has infinite weights in the second epoch."""

    def begin_epoch(self, seed, epoch):
        super().begin_epoch(seed, epoch)
        self.factor = np.inf if epoch == 1 else 1.0

    def loss(self, machine, visible, *, training):
        return super().loss(machine, visible, training=training) * self.factor


def test_training_that_a_penalty_has_stopped_is_not_continued(tmp_path):
    def train(callback):
        keras.utils.set_random_seed(1)
        model = FBIModel(
            keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu", name="hidden"), keras.layers.Dense(2)]), 0.3
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss, run_eagerly=True)
        ruin = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: epoch == 1 and model.plain_model.layers[0].bias.assign(np.full(3, np.inf))
        )
        with pytest.warns(UserWarning, match="not finite in 'hidden'.*Training was stopped, and the model has the weights"):
            model.fit(X, Y, epochs=4, batch_size=6, shuffle=False, verbose=0, callbacks=[ruin, callback])
        return model.get_weights()

    expected = train(keras.callbacks.Callback())
    with pytest.raises(Killed):
        pytest.fail(str(train(KilledAtTheEnd(tmp_path / "backup"))))
    for each, right in zip(train(keras.callbacks.BackupAndRestore(tmp_path / "backup")), expected, strict=True):
        np.testing.assert_array_equal(each, right)


@pytest.mark.parametrize("training", TRAININGS)
def test_training_that_a_callback_has_stopped_is_not_continued(training, tmp_path):
    stopping = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(stopping.model, "stop_training", True))
    expected = TRAININGS[training](tmp_path, backup=False, more=[stopping])
    with pytest.raises(Killed):
        TRAININGS[training](tmp_path / "backup", backup=False, more=[KilledAtTheEnd(tmp_path / "backup"), stopping])
    with pytest.warns(UserWarning, match="after a callback had stopped training, in epoch 1. Training is not continued"):
        found = TRAININGS[training](tmp_path / "backup", more=[stopping])
    for each, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(each, right)


def test_random_layers_go_on_where_they_were(tmp_path):
    """Keras itself saves no state of their generators."""
    layers = (keras.layers.GaussianNoise(0.3, seed=4), keras.layers.Dropout(0.5, seed=5))
    expected = fbi(tmp_path, backup=False, more_layers=layers)
    plain = fbi(tmp_path, backup=False)
    assert max(np.abs(a - b).max() for a, b in zip(expected, plain, strict=True)) > 1e-3
    with pytest.raises(Killed):
        fbi(tmp_path / "backup", backup=False, more=[KilledAfter(tmp_path / "backup", 1)], more_layers=_copies(layers))
    found = fbi(tmp_path / "backup", seed=9, more_layers=_copies(layers))
    for each, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(each, right)


def _copies(layers):
    return [type(layer).from_config(layer.get_config()) for layer in layers]


class KilledAfter(keras.callbacks.BackupAndRestore):
    """Is killed after the backup of an epoch."""

    def __init__(self, folder, epoch):
        super().__init__(folder)
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if epoch == self.epoch:
            raise Killed


def test_an_order_that_is_drawn_anew_is_said(tmp_path):
    for shuffle, x in ((True, X), (False, X), (True, Reversed()), (False, Reversed())):
        folder = tmp_path / f"{shuffle} {type(x).__name__}"
        for callback in (KilledAfter(folder, 0), keras.callbacks.BackupAndRestore(folder)):
            with warnings.catch_warnings(record=True) as told, contextlib.suppress(Killed):
                warnings.simplefilter("always")
                fbi(folder, backup=False, more=[callback], x=x, shuffle=shuffle)
            said = [str(each.message) for each in told if "resumed at epoch 2. Keras draws the order" in str(each.message)]
            assert len(said) == (shuffle and type(callback) is keras.callbacks.BackupAndRestore)


class Reversed(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[6 * index :][:6][::-1], Y[6 * index :][:6][::-1]
