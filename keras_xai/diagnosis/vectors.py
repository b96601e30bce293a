"""Layer activations as vectors of bounded length."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_xai.data.arrays import typed
from keras_xai.data.batches import rows
from keras_xai.data.checks import Verbose
from keras_xai.data.progress import progress
from keras_xai.data.reader import Samples
from keras_xai.diagnosis.sampling import Drawn
from keras_xai.features.activations import graph_to, program
from keras_xai.graph.steps import Step
from keras_xai.network.axes import Axes
from keras_xai.network.batching import batch_size_for

# Maximum number of entries of a vector: 64 MB of float32 for 1,000 samples.
_LONGEST = 16_384


@dataclasses.dataclass(frozen=True, eq=False)
class _Reduction:
    """A conversion of a layer's output to vectors.

    Attributes:
        description: Its description.
        apply: Maps a tensor `(n, *output_shape)` to one `(n, d)`.
    """

    description: str
    apply: Callable[[Any], Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Vectors:
    """The activations of a layer.

    Attributes:
        values: `(n, d)` in float32, or float64 if the layer computes in it.
        shape: Shape of the layer's output for one sample.
        description: Description of the conversion to vectors.
    """

    values: np.ndarray
    shape: tuple
    description: str


class Extractor:
    """Extracts activation vectors of several layers in one pass.

    Args:
        model: A built model.
        layers: Layers or their paths.
        reduction: `maps` of a `Protocol`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If there is no such layer, or its output is not one real-valued tensor.
    """

    def __init__(self, model: keras.Model, layers: Sequence[str | keras.Layer], reduction: str):
        self.graph = graph_to(model, layers)
        self._steps = {path: self.graph.end_of(path) for path in self.graph.output_names}
        for path, step in self._steps.items():
            spec = step.output_specs[0]
            if len(spec.shape) < 2 or not keras.backend.is_float_dtype(spec.dtype):
                raise ValueError(
                    f"Expected layers with a real-valued output of shape (n, ...). Received: '{path}', of shape {tuple(spec.shape)} and "
                    f"dtype {spec.dtype}."
                )
        axes = Axes(self.graph)
        self._reductions = {
            path: _reduction(step, axes.channel(step.outputs[0]), reduction) for path, step in self._steps.items()
        }
        self._program = program(self.graph, lambda path, values: self._reductions[path].apply(values))

    def __call__(self, drawn: Drawn, batch_size: int | None = None, verbose: Verbose = "auto") -> dict[str, Vectors]:
        """The vectors of each layer, from one forward pass.

        Args:
            drawn: The samples.
            batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
            verbose: As in `keras_xai.features.activations`.
        """
        found: dict[str, np.ndarray] = {}
        batch_size = batch_size_for(self.graph, batch_size)
        parts = rows(len(drawn), batch_size)
        prepared = Samples(drawn.batches(batch_size), self.graph, batch_size)
        for part, batch in progress(zip(parts, prepared, strict=True), len(parts), verbose):
            for path, tensor in self._program(typed(batch, self.graph)).items():
                values = ops.convert_to_numpy(tensor)
                if path not in found:
                    found[path] = np.empty((len(drawn), values.shape[1]), values.dtype)
                found[path][part] = values
        return {
            path: Vectors(values, tuple(self._steps[path].output_specs[0].shape[1:]), self._reductions[path].description)
            for path, values in found.items()
        }


def normalized(values: np.ndarray, kind: str) -> np.ndarray:
    """Normalizes vectors in place, see `Protocol`; constant vectors become zero.

    Args:
        values: `(n, d)`.
        kind: `normalization` of a `Protocol`.
    """
    if not (values != values[0]).any():
        return np.zeros_like(values)
    if kind == "standard":
        from sklearn.preprocessing import StandardScaler

        return StandardScaler(copy=False).fit_transform(values)
    values -= values.min()
    values /= values.max()
    return values


def _reduction(step: Step, axis: int, kind: str) -> _Reduction:
    spec = step.output_specs[0]
    sizes = [size for i, size in enumerate(spec.shape) if i not in (0, axis)]
    channels = spec.shape[axis]
    dtype = "float64" if spec.dtype == "float64" else "float32"

    def flat(values):
        return ops.cast(ops.reshape(values, (ops.shape(values)[0], -1)), dtype)

    def mean(values):
        return ops.mean(ops.cast(values, dtype), axis=[i for i in range(1, len(spec.shape)) if i != axis])

    length = None if None in (*sizes, channels) else int(np.prod(sizes)) * channels
    if not sizes or kind == "flat" or (kind == "auto" and length is not None and length <= _LONGEST):
        return _Reduction("as it is" if not sizes else "flattened", flat)
    # Sizes are unknown before the model runs, or there are more axes than pooling supports.
    if kind == "mean" or length is None or len(sizes) > 3:
        return _Reduction("mean of each map", mean)
    window = next(
        (w for w in range(2, max(sizes)) if int(np.prod([-(-size // w) for size in sizes])) * channels <= _LONGEST), None
    )
    if window is None:
        return _Reduction("mean of each map", mean)

    def pooled(values):
        values = ops.moveaxis(ops.cast(values, dtype), axis, -1)
        return flat(ops.average_pool(values, window, strides=window, padding="same", data_format="channels_last"))

    return _Reduction(f"means of {'x'.join([str(window)] * len(sizes))} places", pooled)
