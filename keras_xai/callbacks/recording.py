"""Shared by callbacks that inspect layers: the model to inspect, and logging of values."""

import pathlib
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from keras_xai.backend import SummaryWriter


def model_with_layers(model: keras.Model) -> keras.Model:
    """The model whose layers can be inspected.

    A model that regularizes another, such as an `FBIModel`, has no graph itself; the other one has.

    Args:
        model: The model that is trained.
    """
    plain_model = getattr(model, "plain_model", None)
    return model if plain_model is None else plain_model


class Recorder:
    """Records values of each epoch in the history of a `fit()` call and in a TensorBoard file.

    To be made when training begins, once all arguments have been checked, since it makes the file.

    Args:
        model: The model that is trained.
        log_dir: Folder of the file; `None` for none.
    """

    def __init__(self, model: keras.Model, log_dir: str | pathlib.Path | None):
        self._model = model
        self._writer = None if log_dir is None else SummaryWriter(log_dir)
        self._recorded: dict[str, list[float]] = {}
        self._before = {name: list(values) for name, values in self._history().items()}

    def record(self, figures: Mapping[str, float], epoch: int) -> None:
        """Takes figures by name, each at most once in an epoch, into the history and the file."""
        for name, value in figures.items():
            self._append(name, value)
        if self._writer is not None and figures:
            self._writer.scalars(figures, step=epoch)

    def skip(self, names: Iterable[str]) -> None:
        """Takes NaN into the history for figures that have no value in an epoch, so that it has one for each epoch all the same."""
        for name in names:
            self._append(name, np.nan)

    def close(self) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()

    def _append(self, name, value):
        # A history that the user passed to `fit()` goes on with what it had; one list for each callback, since what two of them
        # append would no longer be one value for each epoch.
        values = self._recorded.setdefault(name, self._before.get(name, []))
        values.append(value)
        self._history()[name] = values

    def _history(self):
        """What `fit()` will return, or, in a loop of the user's own, nothing that is looked at."""
        history = getattr(self._model, "history", None)
        return history.history if isinstance(history, keras.callbacks.History) else {}
