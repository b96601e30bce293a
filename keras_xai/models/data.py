"""Checks of the arguments of `fit()`."""

from collections.abc import Mapping
from typing import Any

from keras import tree

from keras_xai.data.streams import is_stream, labels_of
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
