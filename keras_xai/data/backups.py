"""Backups of training by `keras.callbacks.BackupAndRestore`, resumed right whenever the process was killed.

Keras writes the weights, then how many epochs they have seen, to a second file. A kill between the two would have an epoch
trained twice, and a kill after training was stopped would have it continued. Here the file of weights holds all of it, and that
file is written in one step.
"""

import json
import pathlib
import warnings
from collections.abc import Callable, Iterable
from typing import Any, final

import h5py
import keras

from keras_xai.data.archive import replace, replacing

_GROUP = "keras_xai"
_TRAINED, _STOPPED, _RUIN = "trained", "stopped", "ruin"
_AFTER_ALL = 2**31  # an epoch after all those of a training


@final
class Trained(keras.callbacks.Callback):
    """Counts the finished epochs, and batches of the next one, in `model.trained`. To be called before backups."""

    async_safe = True  # batches need not wait for it

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self.model.trained = (epoch, 0)

    def on_train_batch_end(self, batch, logs=None):
        self.model.trained = (self._epoch, batch + 1)

    def on_epoch_end(self, epoch, logs=None):
        self.model.trained = (epoch + 1, 0)


def save_resumable(
    model: keras.Model, filepath: Any, write: Callable[[pathlib.Path], None], *, overwrite: bool, max_shard_size: Any
) -> None:
    """Saves weights with the progress of training, which Keras ignores; a file is replaced once the new one is complete.

    Args:
        model: The trained model. Its attributes `trained`, as in `Trained`, and `ruin`, a description of what has ruined the weights or
            an empty string, are saved.
        filepath: Path of the file.
        write: Writes the weights to a path.
        overwrite: Whether to replace an existing file without asking in the terminal.
        max_shard_size: Must be `None`.

    Raises:
        ValueError: If the weights are to be split into several files, which cannot be replaced in one step.
    """
    if max_shard_size is not None:
        raise ValueError(
            f"Expected one file for all weights. Received: max_shard_size={max_shard_size}. Save a plain model, whose file holds no "
            "state of training, such as `FBIModel.plain_model`."
        )

    def write_all(path):
        write(path)
        with h5py.File(path, "a") as file:
            attributes = {_TRAINED: model.trained, _STOPPED: getattr(model, "stop_training", False), _RUIN: model.ruin}
            file.require_group(_GROUP).attrs.update(attributes)

    replace(filepath, write_all, overwrite=overwrite)


def read_ruin(path: Any) -> str:
    """The reason why the saved weights of a file are invalid, an empty string if they are valid."""
    return str(_attributes(path).get(_RUIN, ""))


def mend(callbacks: Iterable[keras.callbacks.Callback]) -> int:
    """Repairs the backups that callbacks are about to restore, after a kill at any moment.

    To be called before `fit()`. Keras resumes at the epoch in the weights file, or at the first epoch without weights. Training that was
    stopped is not continued. A warning names what cannot be resumed exactly.

    Args:
        callbacks: The callbacks; only `keras.callbacks.BackupAndRestore` are used.

    Returns:
        The epoch at which training is continued, 0 if it begins anew or is not continued.
    """
    folders = [pathlib.Path(each.backup_dir) for each in callbacks if isinstance(each, keras.callbacks.BackupAndRestore)]
    return max(map(_mend, folders), default=0)


def _attributes(path):
    with h5py.File(path) as file:
        return dict(file[_GROUP].attrs) if _GROUP in file else {}


def _mend(folder):
    weights, metadata = folder / "latest.weights.h5", folder / "training_metadata.json"
    if not weights.exists():
        metadata.unlink(missing_ok=True)  # would skip epochs with weights that have not seen them
        return 0
    try:
        found = _attributes(weights)
    except OSError:  # written by another program; Keras may restore its previous backup
        return 0
    if _TRAINED not in found:
        warnings.warn(
            f"The backup '{weights}' holds weights without the state of training. If it was made by an earlier version or by "
            "another model, training is not resumed exactly: the optimizer starts anew, and an epoch may be trained twice. Delete "
            "the folder to train from the start.",
            stacklevel=4,
        )
        return 0
    epoch, batch = map(int, found[_TRAINED])
    stopped = not batch and bool(found.get(_STOPPED, False))
    with replacing(metadata) as path:
        path.write_text(json.dumps({"epoch": _AFTER_ALL if stopped else epoch, "batch": batch}))
    if stopped and not found.get(_RUIN):
        warnings.warn(
            f"The backup '{weights}' was made after a callback had stopped training, in epoch {epoch}. Training is not continued. "
            "What the callback itself kept, such as the best weights of `EarlyStopping`, is lost.",
            stacklevel=4,
        )
    if batch:
        warnings.warn(
            f"The backup '{weights}' was made after batch {batch} of epoch {epoch + 1}. Training is resumed at the beginning of that "
            "epoch, so that these batches are trained twice and the result is not that of a run without interruption. Make backups "
            "with `save_freq='epoch'`.",
            stacklevel=4,
        )
    return 0 if stopped else epoch
