"""Internal callback of `FBIModel`: switching the penalty, and stopping at non-finite values."""

from typing import final

import keras
import numpy as np


@final
class Guard(keras.callbacks.Callback):
    """Synchronizes compiled steps with the penalty's switch, and stops if the penalty is not finite.

    The model's `ruin` describes it. Backups save `ruin`, so resumed training stays stopped.
    """

    async_safe = True  # batches need not wait for this callback

    def on_train_begin(self, logs=None):
        self.model.ruin = ""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.make_train_function()
        self._kept = self.model.plain_model.get_weights()

    def on_train_batch_end(self, batch, logs=None):
        if self.model.computes_penalty:
            self._check(logs)

    def on_epoch_end(self, epoch, logs=None):
        if self.model.ruin:
            self.model.plain_model.set_weights(self._kept)

    def _check(self, logs):
        if self.model.ruin or np.isfinite(float((logs or {}).get("fbi_penalty", 0.0))):
            return
        self.model.stop_training = True
        paths = [path for path, value in self.model.layer_penalties.items() if not np.isfinite(value)]
        self.model.ruin = f"The FBI penalty is not finite in {', '.join(map(repr, paths))}."
        self.model.plain_model.set_weights(self._kept)  # of a backup in mid-epoch as well
