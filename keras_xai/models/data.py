"""Checks of the arguments of `fit()`."""

import warnings
from collections.abc import Mapping
from typing import Any

import keras
from keras import tree

from keras_xai.data.streams import is_once, is_stream, labels_of
from keras_xai.losses.fbi import Penalty


def check_labels_of(arguments: Mapping[str, Any], penalty: Penalty) -> None:
    """Rejects labels that do not fit the penalty.

    Args:
        arguments: Arguments of `keras.Model.fit`. Datasets are checked as far as possible without reading from them.
        penalty: The penalty.
    """
    pairs = [(arguments.get("x"), arguments.get("y"))]
    validation = arguments.get("validation_data")
    if validation is not None:
        pairs.append((validation, None) if is_stream(validation) else tuple(validation)[:2])
    for x, y in pairs:
        labels = labels_of(x) if is_stream(x) else tree.flatten(y)
        for each in [] if labels is None else labels or [None]:
            penalty.check(each)


def warn_of_order(arguments: Mapping[str, Any], epoch: int) -> None:
    """Warns if training is resumed with samples in another order than without the interruption.

    Args:
        arguments: Arguments of `keras.Model.fit`.
        epoch: The epoch at which training is resumed, 0 if it is not.
    """
    x = arguments.get("x")
    if is_once(x):
        reason = "The generator starts over"
    elif arguments.get("shuffle", True) and (not is_stream(x) or isinstance(x, keras.utils.PyDataset)):
        reason = "Keras draws the order of the samples anew"
    else:
        return
    if epoch:
        warnings.warn(
            f"Training is resumed at epoch {epoch + 1}. {reason}, so that the result is not that of a run without interruption. Pass "
            "`shuffle=False` or a dataset whose order depends on nothing but the epoch to resume exactly.",
            stacklevel=3,
        )
