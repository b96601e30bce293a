"""Neighborhood hit of hidden layers per epoch."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, final

import keras
import numpy as np

from keras_xai.callbacks.recording import Recorder, model_with_layers
from keras_xai.data.checks import check_path, is_integer
from keras_xai.diagnosis.blocks import block_ends
from keras_xai.diagnosis.protocol import check_protocol
from keras_xai.diagnosis.sampling import Drawn, draw
from keras_xai.diagnosis.vectors import Extractor, normalized
from keras_xai.graph.trace import trace
from keras_xai.results.protocol import Protocol
from keras_xai.statistics.neighborhood import check_neighbors, neighborhood_hit
from keras_xai.statistics.tsne import principal_components


@dataclasses.dataclass(frozen=True, eq=False)
class _Measure:
    """A measure of layers, with its values.

    Attributes:
        name: Name in the history, after the layer's path.
        every: Number of epochs between measurements.
        of: Maps the vectors of a layer `(n, d)` to the value.
        hits: Maps each path to the value in each measured epoch.
        epochs: The measured epochs.
    """

    name: str
    every: int
    of: Callable[[np.ndarray], float]
    hits: dict[str, list[float]]
    epochs: list[int]


@final
class NeighborhoodHit(keras.callbacks.Callback):
    """Records the class separation of hidden layers during training, by the neighborhood hit.

    At the end of every `every`-th epoch, the neighborhood hit of each layer is measured on the same samples at inference: the share of a
    sample's `k` nearest neighbors with the same label, averaged over samples. By default the neighbors are among the activations: for 1,000
    samples this takes a forward pass, and at most a second or two per layer. A t-SNE map, as in the source, takes several seconds, and
    there are several per layer: the hit on maps is only measured if `every` requests it.

    After training, `keras_xai.diagnosis.diagnose` with the same protocol gives more detail. A layer without information on the classes has
    about `keras_xai.diagnosis.chance_hit(y)`.

    The hits are recorded in the history returned by `fit()` as `"conv1/neighborhood_hit"`, and on maps as `"conv1/neighborhood_hit_map"`,
    but not in the line that `fit()` prints. Skipped epochs are NaN in the history, so that all its lists have the length of the loss and
    `pandas.DataFrame(history.history)` works. If two of these callbacks monitor the same layers, the history contains the values of the
    later one; `hits` and the TensorBoard files contain both.

    The TensorBoard file uses the same names as tags, and the epoch as step. It has no entries for skipped epochs.

    A diverging network is not stopped: the hit of a layer is NaN in an epoch in which one of its activations is NaN or infinite. A layer
    that returns the same values for all samples has the chance-level hit, as does one whose ReLU turns NaN into 0, which TensorFlow's may
    do. The training itself is not affected.

    Source: equations 2 and 3 of Wang & Liu, "Refining Deep Neural Networks via Interpretability Using Transfer Learning" (2024), who
    measure it once, in trained networks, and only on t-SNE maps.

    Args:
        x: The samples, as in `keras_xai.diagnosis.diagnose`: an array or tensor `(n, *input_shape)`, a list, tuple or dict of them, or a
            dataset of batches `(x, y, ...)`, which is read when training begins. The samples are then drawn as specified by `protocol`.
            Reading a shuffling `tf.data.Dataset` changes its later order: training on the same object then proceeds differently.
        y: Labels `(n,)` or `(n, 1)`, numbers or strings; `None` for a dataset.
        layers: Layers or their paths, such as `"backbone/conv5"`; by default `keras_xai.diagnosis.block_ends(model)`.
        k: Number of neighbors, less than the number of samples.
        every: Number of epochs between measurements. A pair requests measurements on maps as well: `(1, 10)` measures the hit among the
            activations in each epoch and that on maps in every tenth, as a mean over the protocol's `repeats`.
        protocol: The settings, see `keras_xai.diagnosis.Protocol`: number of samples, conversion of activations to vectors, and t-SNE.
        log_dir: Folder of the TensorBoard file, preferably a separate one within that of `keras.callbacks.TensorBoard`. By default no file
            is written.

    Attributes:
        hits: Maps a layer's path to its neighborhood hits, one per measured epoch, over all calls of `fit()` with this callback.
        epochs: The measured epochs, counted from 0 as by `fit()`.
        map_hits: The hits on maps; empty unless requested.
        map_epochs: Epochs of `map_hits`.

    Raises:
        TypeError: If `protocol` is not a `Protocol`.
        ValueError: If `every` is invalid. When training begins, before the first step: if the model has no such layers, or is subclassed
            and was never called; if samples or labels do not fit or a sample is NaN, if there is only one class, or if `k`,
            or the perplexity of requested maps, is too large for the number of samples.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.callbacks import NeighborhoodHit
    >>> keras.utils.set_random_seed(0)
    >>> model = keras.Sequential([
    ...     keras.Input((8,)),
    ...     keras.layers.Dense(16, activation="relu", name="hidden"),
    ...     keras.layers.Dense(2, activation="softmax"),
    ... ])
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> y = np.arange(60) % 2
    >>> x = np.random.default_rng(0).normal(size=(60, 8)) + 3 * y[:, None]
    >>> callback = NeighborhoodHit(x, y, every=2)
    >>> history = model.fit(x, y, epochs=4, callbacks=[callback], verbose=0).history
    >>> list(history), [bool(hit > 0.9) for hit in history["hidden/neighborhood_hit"]]
    (['hidden/neighborhood_hit', 'loss'], [False, True, False, True])
    >>> callback.epochs, len(callback.hits["hidden"])
    ([1, 3], 2)
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        layers: Sequence[str | keras.Layer] | None = None,
        *,
        k: int = 6,
        every: int | tuple[int, int] = 1,
        protocol: Protocol | None = None,
        log_dir: str | pathlib.Path | None = None,
    ):
        super().__init__()
        intervals = _checked_intervals(every)
        self.hits: dict[str, list[float]] = {}
        self.epochs: list[int] = []
        self.map_hits: dict[str, list[float]] = {}
        self.map_epochs: list[int] = []
        self._x = x
        self._y = y
        self._layers = layers
        self._k = k
        self._protocol = check_protocol(protocol)
        if log_dir is not None:
            check_path("log_dir", log_dir)
        self._log_dir = log_dir
        self._measures = [_Measure("neighborhood_hit", intervals[0], self._hit, self.hits, self.epochs)]
        if len(intervals) > 1:
            self._measures.append(
                _Measure("neighborhood_hit_map", intervals[1], self._hit_on_maps, self.map_hits, self.map_epochs)
            )

    def on_train_begin(self, logs=None):
        """Checks all arguments against the model, and draws the samples."""
        model = model_with_layers(self.model)
        self._extract = Extractor(model, block_ends(model) if self._layers is None else self._layers, self._protocol.maps)
        self._drawn = draw(self._x, self._y, trace(model), self._protocol.samples, self._protocol.seed)
        check_neighbors(self._k, len(self._drawn))
        if len(self._measures) > 1:
            self._protocol.tsne.check(len(self._drawn))
        # Compiles the forward pass, so that unsupported sample sizes raise an error now.
        self._extract(_first(self._drawn, 1))
        self._recorder = Recorder(self.model, self._log_dir)

    def on_epoch_end(self, epoch, logs=None):
        """Measures and records the hits."""
        due = [measure for measure in self._measures if not (epoch + 1) % measure.every]
        found = self._extract(self._drawn, self._protocol.batch_size) if due else {}
        values = {}
        for path in list(found):
            # Each layer's vectors are released before the next one is processed.
            vectors = _normalized(found.pop(path).values, self._protocol.normalization)
            for measure in due:
                hit = measure.of(vectors)
                measure.hits.setdefault(path, []).append(hit)
                values[f"{path}/{measure.name}"] = hit
        for measure in due:
            measure.epochs.append(epoch)
        self._recorder.record(values, epoch)
        skipped = [measure.name for measure in self._measures if measure not in due]
        self._recorder.skip(f"{path}/{name}" for path in self._extract.graph.output_names for name in skipped)

    def on_train_end(self, logs=None):
        """Closes the TensorBoard file."""
        self._recorder.close()

    def _hit(self, points):
        # Neither the vectors of a diverging network nor t-SNE may stop the training.
        return neighborhood_hit(points, self._drawn.codes, self._k) if np.isfinite(points).all() else np.nan

    def _hit_on_maps(self, values):
        # Non-finite vectors have no map, and equal vectors have all points in one place.
        if not (np.isfinite(values).all() and values.any()):
            return self._hit(values)
        components, _ = principal_components(values, self._protocol.components, self._protocol.seed)
        return float(
            np.mean([self._hit(self._protocol.tsne.embed(components, start).points) for start in self._protocol.starts])
        )


def _checked_intervals(every):
    """The one or two numbers of epochs in `every`."""
    given = every if isinstance(every, tuple) and len(every) == 2 else (every,)
    if not all(is_integer(each) and each >= 1 for each in given):
        raise ValueError(
            "Expected `every` to be an integer of at least 1, or a pair such as (1, 10), which adds the hit on maps. "
            f"Received: every={every!r}"
        )
    return given


def _first(drawn: Drawn, count: int) -> Drawn:
    """The first of the drawn samples."""
    return dataclasses.replace(
        drawn, inputs=[array[:count] for array in drawn.inputs], codes=drawn.codes[:count], indices=drawn.indices[:count]
    )


@np.errstate(over="ignore", invalid="ignore")  # the range of large values may overflow
def _normalized(values, kind):
    """Vectors normalized as in `keras_xai.diagnosis.diagnose`, or unchanged if some are not finite."""
    return normalized(values, kind) if np.isfinite(values).all() else values
