"""Activation statistics per layer and epoch."""

import pathlib
from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.callbacks.recording import Recorder, model_with_layers
from keras_xai.data.arrays import typed
from keras_xai.data.checks import check_path
from keras_xai.data.reader import Samples
from keras_xai.features.activations import graph_to, program
from keras_xai.network.axes import Axes
from keras_xai.network.batching import batch_size_for


def activation_statistics(values: Any) -> dict[str, float]:
    """Five statistics of a layer's activations: maximum, skewness, inverse variance, Hoyer sparseness, dead filters.

    `maximum`
        The largest value.

    `skewness`
        The third standardized moment of all values, `mean((a - mean(a))**3) / std(a)**3`; 0 if all are equal.

    `inverse_variance`
        The inverse of the variance of the activations divided by their root mean square, so that they have unit energy: `mean(a**2) /
        var(a)`, which is `1 + mean(a)**2 / var(a)`. Infinite if all values are equal, NaN if all are 0.

        This is our interpretation of the quantity that Yoo, Kim and Kang call skewness, "the inverse of the variance in the
        energy-normalized curves". It is never below 1, so the values below 1 in their table 1 come from another, unstated normalization. It
        decreases when fewer activations hold the energy, while `skewness` and `hoyer` increase.

    `hoyer`
        Hoyer's sparsity of the n units of a sample, `(sqrt(n) - sum(|a|) / sqrt(sum(a**2))) / (sqrt(n) - 1)`, averaged over samples: 0 if
        all units are equally active, 1 if only one is. A sample without any activation counts as 1.

    `dead_filters`
        The number of channels that are 0 for all samples, everywhere.

    Source: Yoo, Kim & Kang, "Relevance Regularization of Convolutional Neural Network for Interpretable Classification",
    section 4.3; [Hoyer, 2004](https://www.jmlr.org/papers/v5/hoyer04a.html).

    Args:
        values: `(n, ..., channels)`, for example from `keras_xai.features.activations`; reduced in float64.

    Returns:
        The statistics by name. All but `dead_filters` are NaN if a value is NaN.

    Raises:
        ValueError: If the values have no channels, or are empty.

    Example:

    >>> import numpy as np
    >>> from keras_xai.callbacks.activation_statistics import activation_statistics
    >>> values = np.zeros((10, 4, 4, 3))
    >>> values[:, 1, 2, 0] = 2.0  # one unit in each sample
    >>> found = activation_statistics(values)
    >>> found["maximum"], found["hoyer"], found["dead_filters"]
    (2.0, 1.0, 2.0)
    """
    values = np.asarray(values, dtype="float64")
    if values.ndim < 2 or not values.size:
        raise ValueError(f"Expected values of shape (n, ..., channels), at least one. Received: shape {values.shape}.")
    return _statistics([_moments(ops.convert_to_tensor(values), -1)])


@final
class ActivationStatistics(keras.callbacks.Callback):
    """Records activation statistics of layers during training.

    At the end of each epoch, the `activation_statistics` of each layer are computed on the same samples at inference. They are recorded in
    the history returned by `fit()` as `"conv1/maximum"`, `"conv1/skewness"` and so on, but not in the line that `fit()` prints, because
    there are too many. If two of these callbacks monitor the same layers, the history contains the values of the later one.

    The TensorBoard file uses the same names as tags, and the epoch as step.

    Args:
        x: The samples in the form that the model takes: an array or tensor `(n, *input_shape)`, a list, tuple or dict of them, or a dataset
            of batches `x` or `(x, y, ...)`, which is read once, when training begins.
        layers: Layers or their paths, as in `keras_xai.features.activations`; by default all convolutional layers, after their activation.
        log_dir: Folder of the TensorBoard file, preferably a separate one within that of `keras.callbacks.TensorBoard`. By default no file
            is written.
        batch_size: Samples per batch; `None` to derive it from the size of the model's tensors.

    Attributes:
        statistics: Maps a layer's path and the name of a statistic to its values, one per epoch, over all calls of `fit()` with this
            callback.

    Raises:
        ValueError: When training begins, before the first step: if the samples do not fit the model, it has no such layers or no
            convolutional layer, or it is subclassed and was never called.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.callbacks import ActivationStatistics
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 1)),
    ...     keras.layers.Conv2D(4, 3, activation="relu", name="conv1"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(2, activation="softmax"),
    ... ])
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> x, y = np.random.default_rng(0).normal(size=(20, 8, 8, 1)), np.arange(20) % 2
    >>> history = model.fit(x, y, epochs=3, callbacks=[ActivationStatistics(x)], verbose=0).history
    >>> list(history)
    ['conv1/maximum', 'conv1/skewness', 'conv1/inverse_variance', 'conv1/hoyer', 'conv1/dead_filters', 'loss']
    >>> len(history["conv1/maximum"])
    3
    """

    def __init__(
        self,
        x: Any,
        layers: Sequence[str | keras.Layer] | None = None,
        *,
        log_dir: str | pathlib.Path | None = None,
        batch_size: int | None = None,
    ):
        super().__init__()
        self.statistics: dict[str, dict[str, list[float]]] = {}
        self._x = x
        self._layers = layers
        if log_dir is not None:
            check_path("log_dir", log_dir)
        self._log_dir = log_dir
        self._batch_size = batch_size

    def on_train_begin(self, logs=None):
        """Checks all arguments against the model."""
        graph = graph_to(model_with_layers(self.model), self._layers)
        steps = {path: graph.end_of(path) for path in graph.output_names}
        known = Axes(graph)
        axes = {path: known.channel(step.outputs[0]) for path, step in steps.items()}
        self._batches = [typed(batch, graph) for batch in Samples(self._x, graph, batch_size_for(graph, self._batch_size))]
        self._program = program(graph, lambda path, values: _moments(values, axes[path]))
        self._recorder = Recorder(self.model, self._log_dir)

    def on_epoch_end(self, epoch, logs=None):
        """Computes and records the statistics."""
        found: dict[str, list] = {}
        for batch in self._batches:
            for path, moments in self._program(batch).items():
                found.setdefault(path, []).append(moments)
        statistics = {}
        for path, parts in found.items():
            for name, value in _statistics(parts).items():
                self.statistics.setdefault(path, {}).setdefault(name, []).append(value)
                statistics[f"{path}/{name}"] = value
        self._recorder.record(statistics, epoch)

    def on_train_end(self, logs=None):
        """Closes the TensorBoard file."""
        self._recorder.close()


def _moments(values, axis):
    """The moments of one batch, from which the statistics of all samples follow, as a dict of tensors.

    Computed batch by batch, so that memory is bounded by the batch size; centered moments, since raw moments of values far from zero
    cancel.
    """
    values = ops.cast(values, "float64")
    others = [i for i in range(len(values.shape)) if i != axis % len(values.shape)]
    units = ops.reshape(values, (ops.shape(values)[0], -1))
    mean = ops.mean(units)
    centered = units - mean
    squares = ops.square(centered)
    length = ops.sqrt(ops.sum(ops.square(units), axis=1))
    # The square root of their number, as a tensor for inputs of unknown size.
    root = ops.sqrt(ops.sum(ops.ones_like(units[:1])))
    one_norm = ops.sum(ops.abs(units), axis=1) / ops.where(length == 0, 1.0, length)
    sparsity = ops.clip((root - one_norm) / ops.where(root == 1, 1.0, root - 1), 0.0, 1.0)
    return {
        "count": ops.sum(ops.ones_like(units)),
        "maximum": ops.max(units),
        "mean": mean,
        "second": ops.sum(squares),
        "third": ops.sum(squares * centered),
        "samples": ops.sum(ops.ones_like(length)),
        "sparsity": ops.sum(ops.where(ops.logical_or(length == 0, root == 1), 1.0, sparsity)),
        "alive": ops.any(values != 0, axis=others),
    }


@np.errstate(divide="ignore", invalid="ignore", over="ignore")  # weights may have diverged
def _statistics(parts):
    """The statistics from the moments of all batches."""
    joined = {name: np.stack([ops.convert_to_numpy(part[name]) for part in parts]) for name in parts[0]}
    count = joined["count"].sum()
    mean = (joined["count"] * joined["mean"]).sum() / count
    shift = joined["mean"] - mean
    second = (joined["second"] + joined["count"] * shift**2).sum() / count
    third = (joined["third"] + 3 * shift * joined["second"] + joined["count"] * shift**3).sum() / count
    # Rounding leaves a small variance for equal values.
    if second <= (64 * np.finfo("float64").eps * mean) ** 2:
        second = third = np.float64(0)
    return {
        "maximum": float(joined["maximum"].max()),
        "skewness": float(third / second**1.5) if second else 0.0,
        "inverse_variance": float((second + mean**2) / second),
        "hoyer": float(joined["sparsity"].sum() / joined["samples"].sum()),
        "dead_filters": float((~joined["alive"].any(axis=0)).sum()),
    }
