"""Shared by callbacks that inspect layers: the model to inspect, and logging of values."""

import pathlib
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from keras_xai.backend import SummaryWriter


def model_with_layers(model: keras.Model) -> keras.Model:
    """The model whose layers can be inspected.

    A model that regularizes another, such as an `FBIModel`, has no graph itself, unlike the wrapped one.

    Args:
        model: The trained model.
    """
    plain_model = getattr(model, "plain_model", None)
    return model if plain_model is None else plain_model


class Recorder:
    """Records values of each epoch in the history of a `fit()` call and in a TensorBoard file.

    Create it when training begins, after all arguments have been checked, because it creates the file.

    Args:
        model: The trained model.
        log_dir: Folder of the file; `None` for no file.
    """

    def __init__(self, model: keras.Model, log_dir: str | pathlib.Path | None):
        self._model = model
        self._writer = None if log_dir is None else SummaryWriter(log_dir)
        self._recorded: dict[str, list[float]] = {}
        self._before = {name: list(values) for name, values in self._history().items()}

    def record(self, values: Mapping[str, float], epoch: int) -> None:
        """Records values by name, each at most once per epoch, in the history and the file."""
        for name, value in values.items():
            self._append(name, value)
        if self._writer is not None and values:
            self._writer.scalars(values, step=epoch)

    def skip(self, names: Iterable[str]) -> None:
        """Records NaN in the history for names without a value, so that every epoch has an entry."""
        for name in names:
            self._append(name, np.nan)

    def close(self) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()

    def _append(self, name, value):
        # A history that the user passed to `fit()` keeps its earlier entries; each callback has its own list, since two callbacks appending
        # to one list would add two values per epoch.
        values = self._recorded.setdefault(name, self._before.get(name, []))
        values.append(value)
        self._history()[name] = values

    def _history(self):
        """The history that `fit()` will return, or an unused one in a custom training loop."""
        history = getattr(self._model, "history", None)
        return history.history if isinstance(history, keras.callbacks.History) else {}
