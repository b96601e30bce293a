"""Backups of training by `keras.callbacks.BackupAndRestore`, resumed right whenever the process was killed.

Keras writes the weights, then how many epochs they have seen, to a second file. A kill between the two would have an epoch
trained twice. Here the file of weights holds the number as well, and that file is written in one step.
"""

import json
import pathlib
import warnings
from collections.abc import Iterable
from typing import Any, final

import h5py
import keras

from keras_xai.data.archive import replacing

_GROUP = "keras_xai"
_TRAINED = "trained"


@final
class Trained(keras.callbacks.Callback):
    """Keeps in `model.trained` how many epochs, and batches of the next, the weights have seen. To be called before backups."""

    async_safe = True  # batches need not wait for it

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self.model.trained = (epoch, 0)

    def on_train_batch_end(self, batch, logs=None):
        self.model.trained = (self._epoch, batch + 1)

    def on_epoch_end(self, epoch, logs=None):
        self.model.trained = (epoch + 1, 0)


def write_trained(path: Any, trained: tuple[int, int]) -> None:
    """Adds how much the weights have seen to their file, which Keras reads past."""
    with h5py.File(path, "a") as file:
        file.require_group(_GROUP).attrs[_TRAINED] = trained


def mend(callbacks: Iterable[keras.callbacks.Callback]) -> None:
    """Makes the backups that callbacks are about to restore consistent, wherever a kill has interrupted them.

    To be called before `fit()`. The epoch at which Keras resumes is what the file of weights says, and without weights it is the
    first. A warning says what cannot be resumed exactly.

    Args:
        callbacks: Of which those that are `keras.callbacks.BackupAndRestore` count.
    """
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            _mend(pathlib.Path(callback.backup_dir))


def _mend(folder):
    weights, metadata = folder / "latest.weights.h5", folder / "training_metadata.json"
    if not weights.exists():
        metadata.unlink(missing_ok=True)  # would skip epochs with weights that have not seen them
        return
    try:
        with h5py.File(weights) as file:
            trained = file[_GROUP].attrs[_TRAINED] if _GROUP in file and _TRAINED in file[_GROUP].attrs else None
    except OSError:  # of another program's making, whose previous backup Keras may restore
        return
    if trained is None:
        warnings.warn(
            f"The backup '{weights}' holds weights without the state of training. If it was made by an earlier version or by "
            "another model, training is not resumed exactly: the optimizer starts anew, and an epoch may be trained twice. Delete "
            "the folder to train from the start.",
            stacklevel=4,
        )
        return
    epoch, batch = map(int, trained)
    with replacing(metadata) as path:
        path.write_text(json.dumps({"epoch": epoch, "batch": batch}))
    if batch:
        warnings.warn(
            f"The backup '{weights}' was made after batch {batch} of epoch {epoch + 1}. Training is resumed at the beginning of that "
            "epoch, so that these batches are trained twice and the result is not that of a run without interruption. Make backups "
            "with `save_freq='epoch'`.",
            stacklevel=4,
        )
