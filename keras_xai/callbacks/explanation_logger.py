"""Explanations of fixed samples at the end of epochs."""

import pathlib
from typing import Any, final

import keras

from keras_xai.attribution import Explanation, Method
from keras_xai.backend import SummaryWriter
from keras_xai.data.checks import check_count
from keras_xai.data.streams import is_once


@final
class ExplanationLogger(keras.callbacks.Callback):
    """Saves explanations of fixed samples during training, to a folder and TensorBoard.

    After each `every`-th epoch the method explains the samples as the network is then, and a picture of it is written: to a
    folder as `GradCAM_epoch_0003.png`, to TensorBoard's "Images" under the tag `explanations/GradCAM` with the epoch as step, or
    both. Training itself goes on as without the callback.

    Args:
        method: An attribution method on the model that is trained, such as `GradCAM(model)`, or on one that shares its layers.
        x: Some samples, as the method takes them; those of a generator are kept.
        target: What is explained, as for the method. By default the class that is predicted, which may change from epoch to
            epoch; name the true classes to see how the same score comes about.
        folder: Folder for the pictures; made when it is not there.
        log_dir: Folder of the file for TensorBoard, best one of its own within that of `keras.callbacks.TensorBoard`.
        every: Number of epochs from one picture to the next.
        plot_options: Arguments of `Explanation.plot`, such as `{"samples": 8}`.

    Attributes:
        latest: The latest `Explanation`.

    Raises:
        ValueError: If there is neither a `folder` nor a `log_dir`, or `every` is not a whole number of at least 1. When training
            begins: if the method is on a model that shares no weights with the one that is trained. If the samples or the target
            do not fit the model, when training begins, too.

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
                f"Expected an attribution method on the model that is trained, such as `GradCAM(model)`. Received: method={method!r}"
            )
        if folder is None and log_dir is None:
            raise ValueError("Expected a `folder` for the pictures, a `log_dir` for TensorBoard, or both. Received: neither.")
        self.latest: Explanation | None = None
        self._method = method
        self._x = x
        self._target = target
        self._folder = None if folder is None else pathlib.Path(folder)
        self._log_dir = log_dir
        self._every = every
        self._plot_options = plot_options or {}
        self._writer: SummaryWriter | None = None

    def on_train_begin(self, logs=None):
        trained = {id(variable) for variable in self.model.variables}
        if trained.isdisjoint(id(variable) for variable in self._method.variables):
            raise ValueError(
                f"Expected a method on the model that is trained, '{self.model.name}', so that its pictures change as it learns. "
                f"Received: {self._method.label} on a model that shares no weights with it. Pass {self._method.label}(model)."
            )
        found = self._method(self._x, self._target)  # what does not fit is told before the first epoch, not after it
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
        from keras_xai.report import explanations_plot

        # Not by `plot`, whose figures are windows where pyplot has some.
        figure = explanations_plot({self.latest.method: self.latest}, **self._plot_options)
        if self._folder is not None:
            figure.savefig(self._folder / f"{self._method.label}_epoch_{epoch + 1:04d}.png")
        if self._writer is not None:
            self._writer.figure(f"explanations/{self._method.label}", figure, step=epoch)

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()
            self._writer = None
