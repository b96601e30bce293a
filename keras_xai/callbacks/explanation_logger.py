"""Explanations of fixed samples at the end of epochs."""

import dataclasses
import pathlib
from typing import Any, final

import keras

from keras_xai.attribution import Explanation, Method
from keras_xai.backend import SummaryWriter
from keras_xai.data.checks import check_count, check_path
from keras_xai.data.streams import is_once
from keras_xai.results.plot_options import PlotOptions


@final
class ExplanationLogger(keras.callbacks.Callback):
    """Saves explanations of fixed samples during training, to a folder and TensorBoard.

    After each `every`-th epoch the method explains the samples with the current weights, and a plot is written to a folder as
    `GradCAM_epoch_0003.png`, to TensorBoard's "Images" under the tag `explanations/GradCAM` with the epoch as step, or both. The training
    itself is not affected.

    Args:
        method: An attribution method of the trained model, such as `GradCAM(model)`, or of a model that shares its layers.
        x: Some samples, in the form that the method takes; those of a generator are kept.
        target: The target, as in the method. By default the predicted class, which may change between epochs; give the true classes to
            follow the same score.
        folder: Folder for the plots; created if it does not exist.
        log_dir: Folder of the TensorBoard file, preferably a separate one within that of `keras.callbacks.TensorBoard`.
        every: Number of epochs between plots.
        plot_options: Arguments of `Explanation.plot`, such as `{"samples": 8}`.

    Attributes:
        latest: The latest `Explanation`.

    Raises:
        ValueError: If there is neither a `folder` nor a `log_dir`, or `every` is not an integer of at least 1. When training begins: if the
            method is of a model that shares no weights with the trained one, or the samples or the target do not fit the model.

    Example:

    >>> import keras, numpy as np, pathlib, tempfile
    >>> from keras_xai.attribution import Saliency
    >>> from keras_xai.callbacks import ExplanationLogger
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")])
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> x, y = np.random.default_rng(0).normal(size=(20, 8, 8, 1)), np.arange(20) % 2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     logger = ExplanationLogger(Saliency(model), x[:2], y[:2], folder=folder, every=2)
    ...     _ = model.fit(x, y, epochs=4, callbacks=[logger], verbose=0)
    ...     sorted(path.name for path in pathlib.Path(folder).iterdir())
    ['Saliency_epoch_0002.png', 'Saliency_epoch_0004.png']
    """

    def __init__(
        self,
        method: Method,
        x: Any,
        target: Any = None,
        *,
        folder: str | pathlib.Path | None = None,
        log_dir: str | pathlib.Path | None = None,
        every: int = 1,
        plot_options: dict[str, Any] | None = None,
    ):
        super().__init__()
        check_count("every", every)
        if not isinstance(method, Method):
            raise ValueError(
                f"Expected `method` to be an attribution method of the trained model, such as `GradCAM(model)`. Received: method={method!r}"
            )
        if folder is None and log_dir is None:
            raise ValueError("Expected a `folder` for the plots, a `log_dir` for TensorBoard, or both. Received: neither.")
        self.latest: Explanation | None = None
        self._method = method
        self._x = x
        self._target = target
        if folder is not None:
            check_path("folder", folder)
        if plot_options is not None:
            _check_options(plot_options)
        self._folder = None if folder is None else pathlib.Path(folder)
        if log_dir is not None:
            check_path("log_dir", log_dir)
        self._log_dir = log_dir
        self._every = every
        self._plot_options = plot_options or {}
        self._writer: SummaryWriter | None = None

    def on_train_begin(self, logs=None):
        trained = {id(variable) for variable in self.model.variables}
        if trained.isdisjoint(id(variable) for variable in self._method.variables):
            raise ValueError(
                f"Expected a method of the trained model '{self.model.name}', so that its plots change during training. Received: "
                f"{self._method.label} of a model that shares no weights with it. Pass {self._method.label}(model)."
            )
        found = self._method(self._x, self._target)  # raises errors before the first epoch
        if is_once(self._x):
            self._x = found.inputs
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        if self._log_dir is not None:
            self._writer = SummaryWriter(self._log_dir)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self._every:
            return
        self.latest = self._method(self._x, self._target)
        from keras_xai.report.explanations import explanations_plot

        # Not `plot`, which opens windows if pyplot has any.
        figure = explanations_plot({self.latest.method: self.latest}, **self._plot_options)
        if self._folder is not None:
            figure.savefig(self._folder / f"{self._method.label}_epoch_{epoch + 1:04d}.png")
        if self._writer is not None:
            self._writer.figure(f"explanations/{self._method.label}", figure, step=epoch)

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _check_options(options):
    """Refuses options that `keras_xai.report.explanations_plot` does not have, before training."""
    known = tuple(field.name for field in dataclasses.fields(PlotOptions))
    if not isinstance(options, dict) or not set(options) <= set(known):
        raise ValueError(f"Expected `plot_options` to be a dict of {list(known)}. Received: plot_options={options!r}")
    PlotOptions(**options)
