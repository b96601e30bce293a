"""Metrics and losses of Keras as one number for all samples, with a direction."""

from collections.abc import Callable
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.data.checks import short

_ACCURACY, _CROSSENTROPY = ("accuracy", "acc"), ("crossentropy", "ce")


@final
class Quality:
    """A metric or loss of all samples.

    Args:
        metric: A loss or metric of Keras, its name, or a function of labels and predictions; `None` for the loss of the compiled model.
        model: The model.

    Attributes:
        name: Its name.
        higher_is_better: False for losses and for metrics that Keras minimizes.

    Raises:
        ValueError: If it is none of these, or the model has no loss.
    """

    def __init__(self, metric: Any, model: keras.Model):
        given = getattr(model, "loss", None) if metric is None else metric
        if metric is None and not (isinstance(given, (str, keras.losses.Loss)) or callable(given)):
            raise ValueError(
                "Expected a `metric`, or a model that is compiled with one loss, which is then used. Received: metric=None and a model "
                f"whose loss is {given!r}."
            )
        self._given = _found(given)
        self.higher_is_better = not _is_minimized(self._given)
        name = (
            given
            if isinstance(given, str)
            else getattr(given, "name", None) or getattr(given, "__name__", type(given).__name__)
        )
        self.name = str(name)

    def __call__(self, labels: np.ndarray, predictions: np.ndarray) -> float:
        """The metric of all samples.

        Args:
            labels: `(n, ...)`.
            predictions: `(n, ...)`.

        Raises:
            ValueError: If labels have more axes than predictions, the metric does not fit them, or it is not one finite number, or one
                for each sample.
        """
        given = self._given
        if labels.ndim > predictions.ndim:
            raise ValueError(
                f"Expected labels `y` with no more axes than the predictions, which have the shape {predictions.shape}. Received: labels "
                f"of shape {labels.shape}."
            )
        if isinstance(given, str):
            given = _of_shapes(given, labels, predictions)
        if predictions.shape == (*labels.shape, 1) and _is_of_keras(given):
            labels = labels[..., np.newaxis]  # as `fit` does; the functions of Keras need the same axes
        try:
            if isinstance(given, keras.Metric):
                given = type(given).from_config(given.get_config())  # its state belongs to the user
                given.update_state(labels, predictions)
                found = given.result()
            else:
                found = given(labels, predictions)
        except Exception as error:  # TensorFlow has many for shapes that do not fit
            raise ValueError(
                f"Expected a metric that fits labels and predictions. Received: '{self.name}', which raises {type(error).__name__} for "
                f"labels of shape {labels.shape} and predictions of shape {predictions.shape}. For class indices choose a metric such as "
                "'sparse_categorical_crossentropy' or 'accuracy'."
            ) from error
        try:
            value = np.asarray(ops.convert_to_numpy(found), "float64")
        except (TypeError, ValueError):
            value = np.array(np.nan)
        if value.shape[:1] not in ((), (len(labels),)) or not np.isfinite(value).all():
            raise ValueError(
                f"Expected the metric '{self.name}' to be a finite number, or one for each of {len(labels)} samples. Received: "
                f"{short(found)}. Check that the metric fits the labels, and that the predictions of the model are finite."
            )
        return float(value.mean())


def _found(given: Any) -> Any:
    """A loss, a metric or a function; a name that depends on the shapes of labels as it is."""
    if isinstance(given, (keras.losses.Loss, keras.Metric)):
        return given
    if isinstance(given, str):
        if given in (*_ACCURACY, *_CROSSENTROPY):
            return given
        for known in (keras.losses, keras.metrics):
            try:
                return known.get(given)
            except ValueError:
                continue
    elif callable(given) and not isinstance(given, type):
        return given
    raise ValueError(
        "Expected `metric` to be a loss or a metric of Keras, its name, such as 'accuracy', or a function of labels and predictions. "
        f"Received: metric={given!r}"
    )


def _is_minimized(given):
    if isinstance(given, str):
        return given in _CROSSENTROPY
    if isinstance(given, keras.Metric):
        return getattr(given, "_direction", None) == "down"  # as Keras' callbacks read it
    return isinstance(given, keras.losses.Loss) or getattr(keras.losses, getattr(given, "__name__", ""), None) is given


def _is_of_keras(given):
    return isinstance(given, (keras.losses.Loss, keras.Metric)) or getattr(given, "__module__", "").startswith("keras.")


def _of_shapes(name: str, labels: np.ndarray, predictions: np.ndarray) -> Callable:
    """The accuracy or cross-entropy that fits labels and predictions, chosen as by `keras.Model.compile`."""
    kind = "accuracy" if name in _ACCURACY else "crossentropy"
    if predictions.shape[-1] == 1:
        kind = f"binary_{kind}"
    elif labels.ndim < predictions.ndim or labels.shape[-1] == 1:
        kind = f"sparse_categorical_{kind}"
    else:
        kind = f"categorical_{kind}"
    return getattr(keras.metrics, kind)
