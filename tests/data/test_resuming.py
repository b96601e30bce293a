"""Training that is killed at any step of a backup is resumed as if it had not been, or says what it lost."""

import builtins
import contextlib
import json
import os
import pathlib
import shutil

import h5py
import keras
import numpy as np
import pytest

from keras_xai.layers import RBMDense
from keras_xai.models import FBIModel
from keras_xai.pretraining import ContrastiveDivergence, pretrain

X = np.random.default_rng(0).uniform(size=(12, 4)).astype("float32")
Y = np.arange(12) % 2


class Killed(BaseException):
    """Not an `Exception`, so that no handler goes on."""


def fbi(folder, *, seed=1, backup=True, save_freq="epoch"):
    """The weights after training with the penalty and an optimizer that has a state."""
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2, "softmax")]
    model = FBIModel(keras.Sequential(layers), 0.3)
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", run_eagerly=True)
    callbacks = [keras.callbacks.BackupAndRestore(folder, save_freq=save_freq)] if backup else []
    model.fit(X, Y, epochs=3, batch_size=6, shuffle=False, verbose=0, callbacks=callbacks)
    return model.get_weights()


def pretraining(folder, *, seed=1, backup=True, save_freq="epoch"):
    """The weights after pretraining two layers, drawing at random."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((4,)), RBMDense(3, "sigmoid", name="first"), RBMDense(2, "sigmoid", name="second")])
    keras.utils.set_random_seed(seed)
    callbacks = [keras.callbacks.BackupAndRestore(folder, save_freq=save_freq)] if backup else []
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
