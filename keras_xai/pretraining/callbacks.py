"""Internal callbacks of pretraining: seeds, momentum, safe weights, progress."""

import copy
import math
import os
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.pretraining.data import Shuffled


@final
class Randomness(keras.callbacks.Callback):
    """Seeds the order of the data and the samples of the rule by the seed and the epoch alone.

    Resumed training thus continues as if it had not been interrupted.

    Args:
        data: The training data; datasets of the user keep their own order.
    """

    def __init__(self, data: Any):
        super().__init__()
        self._data = data

    def on_epoch_begin(self, epoch, logs=None):
        seed = int(ops.convert_to_numpy(self.model.seed))
        self.model.rule.begin_epoch(seed, epoch)
        if isinstance(self._data, Shuffled):
            self._data.order = (seed, epoch)


@final
class RaisedMomentum(keras.callbacks.Callback):
    """Raises the momentum of gradient descent after the first epochs, when the reconstructions have settled.

    Source: [Hinton, 2010](https://www.cs.toronto.edu/~hinton/absps/guideTR.pdf), section 9; the epoch and the values are those of
    Kroshchanka and Golovko.
    """

    FIRST, LATER, EPOCH = 0.5, 0.9, 5

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)  # unwraps loss scaling
        if epoch >= self.EPOCH and optimizer.momentum != self.LATER:
            optimizer.momentum = self.LATER
            self.model.make_train_function(force=True)  # the momentum is a constant of the compiled step


@final
class KeptWeights(keras.callbacks.Callback):
    """Restores a layer's weights from before the epoch that ruined it, and stops.

    Such an epoch ends with non-finite weights or loss, with a reconstruction error far above that of zeros, or with most hidden units that
    were active at the start being 0 for all samples.

    The trainer's `ruin` describes it. Backups save `ruin`, so resumed training stays stopped.

    Args:
        visible: The layer's inputs for some samples, `(n, ..., features)`, or `None` if there are none.
    """

    # The error of zeros is the data's mean square, which training begins with and goes below.
    MOST_ERROR, MOST_DEAD = 10, 0.75

    def __init__(self, visible: Any):
        super().__init__()
        self._visible = visible

    def on_train_begin(self, logs=None):
        self.model.ruin = ""
        self._limit, self._alive = np.inf, None
        if self._visible is not None:
            reconstruction = ops.convert_to_numpy(self.model.layer.machine().reconstruct(self._visible))
            visible = ops.convert_to_numpy(self._visible).astype("float64")
            errors = np.square(reconstruction - visible).mean(), np.square(visible).mean()
            self._limit, self._alive = self.MOST_ERROR * max(errors), self._active()

    def on_epoch_begin(self, epoch, logs=None):
        self._kept = self.model.layer.get_weights()

    def on_epoch_end(self, epoch, logs=None):
        ruin = self._ruin(logs or {})
        if ruin:
            self.model.layer.set_weights(self._kept)
            self.model.stop_training = True
            self.model.ruin = f"{ruin} in epoch {epoch + 1}"

    def _ruin(self, logs):
        values = [*self.model.layer.get_weights(), logs.get("loss", 0.0)]
        if not all(np.isfinite(np.asarray(value, "float64")).all() for value in values):
            return "weights or loss of layer {layer} became infinite or NaN"
        error = logs.get("reconstruction_error", 0.0)
        if error > self._limit:
            return f"the reconstruction error of layer {{layer}} rose to {error:.3g}, where {self._limit:.3g} is too much,"
        if self._alive is not None:
            died = int((self._alive & ~self._active()).sum())
            if died > self.MOST_DEAD * self._alive.sum():
                return f"{died} of the {self._alive.sum()} active units of layer {{layer}} became 0 for all samples"
        return ""

    def _active(self):
        """`(units,)`, whether a hidden unit is not 0 for all samples."""
        hidden = ops.convert_to_numpy(self.model.layer.machine().hidden_means(self._visible))
        return (hidden != 0).reshape(-1, hidden.shape[-1]).any(axis=0)


@final
class Progress(keras.callbacks.Callback):
    """One progress bar for all layers.

    Args:
        paths: The layers' paths.
        num_epochs: Total number of epochs of all layers.
    """

    def __init__(self, paths: Sequence[str], num_epochs: int):
        super().__init__()
        self._num_epochs = num_epochs
        self._bar = keras.utils.Progbar(None, unit_name="batch", stateful_metrics=[self._label(path) for path in paths])
        self._steps: int | None = None  # per epoch, if known
        self._before = self._done = 0

    def start(self, path: str, before: int) -> None:
        """Sets the next layer, and the number of epochs of the layers before it."""
        self._path, self._before = path, before

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = self._before + epoch
        self._learn(self.params["steps"])

    def on_train_batch_end(self, batch, logs=None):
        self._batch = min(batch + 1, self.params["steps"] or math.inf)  # the last execution of an epoch may have fewer steps
        self._done = self._epoch * (self._steps or 0) + self._batch
        self._bar.update(self._done, finalize=False)

    def on_epoch_end(self, epoch, logs=None):
        self._learn(self._batch)
        self._done = (self._epoch + 1) * self._batch
        self._bar.update(self._done, [(self._label(self._path), (logs or {})["reconstruction_error"])], finalize=False)

    def finish(self) -> None:
        """Ends the line, also if a layer took fewer epochs than planned."""
        if self._done:
            self._bar.update(self._done, finalize=True)

    def _learn(self, steps):
        if steps is not None:
            self._steps = steps
            self._bar.target = self._num_epochs * steps

    @staticmethod
    def _label(path):
        return f"{path} reconstruction_error"


def for_stage(callbacks: Sequence[keras.callbacks.Callback], name: str) -> list[keras.callbacks.Callback]:
    """The user's callbacks for one of several trainings; those with a folder get a subfolder.

    Otherwise a `BackupAndRestore` would restore one layer's training into another's, and delete its backup after the first, and a
    `TensorBoard` would mix the layers' curves.

    Args:
        callbacks: The user's callbacks.
        name: Name of the subfolders.
    """
    return [_in_folder(callback, name) for callback in callbacks]


def delete_backups(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Deletes the backups of `BackupAndRestore` callbacks, unless they are configured to keep them."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore) and callback.delete_checkpoint:
            # From the last layer to the first, so that a run that is killed meanwhile is still resumed as far as backups are left.
            for folder in sorted(pathlib.Path(callback.backup_dir).glob("*/"), reverse=True):
                shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(callback.backup_dir, ignore_errors=True)


def _in_folder(callback, name):
    if isinstance(callback, keras.callbacks.BackupAndRestore):
        inner = copy.copy(callback)
        keras.callbacks.BackupAndRestore.__init__(
            inner,
            os.path.join(callback.backup_dir, name),
            save_freq=callback.save_freq,
            double_checkpoint=callback.double_checkpoint,
            delete_checkpoint=False,  # finished layers are not trained again when a later one is resumed
        )
        return inner
    if isinstance(callback, keras.callbacks.TensorBoard):
        inner = copy.copy(callback)
        inner.log_dir = os.path.join(callback.log_dir, name)
        return inner
    return callback
