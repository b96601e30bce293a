"""Warm-up of the FBI penalty by a metric threshold."""

from typing import Any, Literal, final, get_args

import keras
from keras import ops

from keras_xai.data.checks import check_choice, check_number, check_text, check_verbose, is_integer

_Mode = Literal["auto", "max", "min"]
_LARGER_IS_BETTER = ("acc", "auc", "precision", "recall", "f1", "iou", "cosine_similarity")
_SMALLER_IS_BETTER = ("loss", "error", "crossentropy", "fbi_penalty")


@final
class FBIWarmUp(keras.callbacks.Callback):
    """Turns on the penalty of an `FBIModel` once a monitored metric has passed a threshold.

    The penalty is on from the next epoch, whatever the metric does later, also in later calls of `fit()` and in training resumed by
    `keras.callbacks.BackupAndRestore`.

    Source: Yoo, Kim & Kang, "Relevance Regularization of Convolutional Neural Network for Interpretable Classification", section 3.2, where
    the penalty is on once the validation accuracy exceeds 70 %.

    Args:
        monitor: Name of a loss or compiled metric in the training's history; `None` to use `epoch` alone.
        threshold: Threshold to pass.
        mode: `"max"` if the metric must exceed the threshold, `"min"` if it must fall below, `"auto"` to infer this from the name.
        epoch: Epoch, counted from 0, from which the penalty is on at the latest; `None` for no such epoch.
        verbose: 1 to print a line when the penalty is turned on, 0 for none.

    Raises:
        ValueError: If an argument is invalid. When training begins: if the model is not an `FBIModel`, if a metric of validation data is
            monitored without such data, or if it is not one of the losses and compiled metrics, so that it is not known to be in the
            history.

    Example:

    >>> from keras_xai.callbacks import FBIWarmUp
    >>> FBIWarmUp("val_accuracy", 0.7).mode
    'max'
    """

    def __init__(
        self,
        monitor: str | None = "val_accuracy",
        threshold: float = 0.70,
        *,
        mode: _Mode = "auto",
        epoch: int | None = None,
        verbose: int = 0,
    ):
        super().__init__()
        if monitor is None and epoch is None:
            raise ValueError("Expected a metric to monitor or an epoch. Received: monitor=None, epoch=None.")
        if epoch is not None and (not is_integer(epoch) or epoch < 0):
            raise ValueError(f"Expected `epoch` to be None or a nonnegative integer. Received: epoch={epoch!r}")
        check_number("threshold", threshold)
        check_verbose(verbose)
        self.monitor = monitor
        self.threshold = threshold
        self.mode = _mode(monitor, mode)
        self.epoch = epoch
        self.verbose = verbose

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if not hasattr(self.model, "latched"):
            raise ValueError(
                "Expected `FBIWarmUp` to be a callback of an `FBIModel`. Received: the training of "
                f"'{self.model.name}' ({type(self.model).__name__}). Wrap the model in `keras_xai.models.FBIModel`."
            )
        if self.monitor is None:
            return
        if self.monitor.startswith("val_") and not self.model.validates:
            raise ValueError(
                f"Expected validation data, since `FBIWarmUp` monitors {self.monitor!r}. Received: no validation data. Pass "
                "`validation_data` or `validation_split` to `fit()`, or monitor a metric of the training data."
            )
        known = self.model.figures
        if self.monitor.removeprefix("val_") not in known:
            raise ValueError(
                f"Expected `monitor` to be one of {known}, or of these with the prefix 'val_'. "
                f"Received: monitor={self.monitor!r}. Is it among the `metrics` of `compile()`?"
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if ops.convert_to_numpy(self.model.latched):
            return
        if self.epoch is not None and epoch >= self.epoch:
            self._turn_on(f"Epoch {epoch + 1}")
        elif ops.convert_to_numpy(self.model.current_weight):
            self.model.switch(False)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.monitor is None or ops.convert_to_numpy(self.model.latched):
            return
        value = (logs or {}).get(self.monitor)  # absent in epochs without validation
        if value is not None and (value > self.threshold if self.mode == "max" else value < self.threshold):
            self._turn_on(f"Epoch {epoch + 1}: {self.monitor} {value:.4f}")

    def _turn_on(self, reason):
        self.model.switch(True, for_good=True)
        if self.verbose:
            print(f"{reason}: the FBI penalty is on, with weight {self.model.weight:g}.")


def _mode(monitor, mode):
    check_choice("mode", mode, get_args(_Mode))
    if monitor is not None:
        check_text("monitor", monitor)
    if mode != "auto" or monitor is None:
        return mode
    for names, direction in ((_LARGER_IS_BETTER, "max"), (_SMALLER_IS_BETTER, "min")):
        if any(name in monitor for name in names):
            return direction
    raise ValueError(
        f"Expected `mode` to be 'max' or 'min' for a metric whose direction is unknown. Received: monitor={monitor!r}, mode='auto'"
    )
