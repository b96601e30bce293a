"""Random subset of samples for a diagnosis, resized to the network's input."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from keras_xai.data.arrays import checked, unchecked
from keras_xai.data.batches import rows
from keras_xai.data.streams import elements, is_stream
from keras_xai.data.structure import packed
from keras_xai.graph.steps import Graph
from keras_xai.network.axes import Axes
from keras_xai.statistics.neighborhood import class_codes

_CHANNELS = (1, 3, 4)  # of images; otherwise the axis may be spatial


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn:
    """The drawn samples.

    Attributes:
        inputs: One array for each input of the model, images in their original size.
        codes: `(n,)`, their classes as integers.
        classes: The label of each integer.
        indices: `(n,)`, their indices among the given samples.
        graph: The graph of the model.
    """

    inputs: list[np.ndarray]
    codes: np.ndarray
    classes: list
    indices: np.ndarray
    graph: Graph

    def __len__(self):
        return len(self.codes)

    def batches(self, batch_size: int) -> Iterator[tuple]:
        """Batches `(x,)` for the model: only one batch is held in the model's image size at a time."""
        layouts = Axes(self.graph).inputs()
        for part in rows(len(self), batch_size):
            arrays = [
                _resized(array[part], spec, layout)
                for array, spec, layout in zip(self.inputs, self.graph.input_specs, layouts, strict=True)
            ]
            yield (packed(arrays, self.graph),)


def draw(x: Any, y: Any, graph: Graph, count: int | None, seed: int) -> Drawn:
    """Draws a uniform random subset of samples.

    Args:
        x: The samples in the form that the model takes, except that images may have another height and width; or a dataset of batches `(x,
            y, ...)`.
        y: Their labels `(n,)` or `(n, 1)`; `None` for a dataset.
        graph: The graph of the model.
        count: Maximum number of samples to draw; `None` for all.
        seed: Seed of the draw.

    Raises:
        ValueError: If samples or labels do not fit, or there is only one class.
    """
    generator = np.random.default_rng(seed)
    indices = None
    if is_stream(x):
        if y is not None:
            raise ValueError(
                "Expected y=None with a dataset, whose batches are `(x, y, ...)`. Received: a dataset and labels."
            )
        x, y, indices = _from_dataset(x, graph, count, generator)
    elif y is None:
        raise ValueError("Expected labels `y`, one for each sample. Received: y=None.")
    inputs = checked(x, _any_size(x, graph))
    if indices is None:
        total = len(inputs[0])
        class_codes(y, total)  # checks their number
        indices = np.arange(total)
        if count is not None and count < total:
            indices = np.sort(generator.permutation(total)[:count])
        inputs, y = [array[indices] for array in inputs], np.asarray(y).reshape(-1)[indices]
    y = np.asarray(y)
    if y.dtype.kind in "SO":  # the strings of a `tf.data.Dataset`
        y = np.array([label.decode() if isinstance(label, bytes) else label for label in y.ravel()])
    codes = class_codes(y, len(inputs[0]))
    return Drawn(inputs, codes, np.unique(y).tolist(), indices, graph)


def _from_dataset(dataset, graph, count, generator):
    """Samples of a dataset that is read once, with only the drawn ones and one batch in memory."""
    kept: list[tuple] = []
    for seen, (sample, label) in enumerate(_one_by_one(dataset, graph)):
        place = seen if count is None or seen < count else generator.integers(seen + 1)
        if count is not None and place >= count:
            continue
        # Reservoir sampling: each sample seen so far is kept with equal probability. A copy, because a view would keep its whole batch.
        entry = (seen, [np.array(array) for array in sample], label)
        if place < len(kept):
            kept[place] = entry
        else:
            kept.append(entry)
    kept.sort(key=lambda entry: entry[0])
    indices, samples, labels = zip(*kept, strict=True)
    shapes = sorted({tuple(array.shape for array in sample) for sample in samples})
    if len(shapes) > 1:
        raise ValueError(
            f"Expected samples of the same shape. Received: samples of {shapes[0]} and {shapes[-1]}. Pad or resize them to one shape."
        )
    return packed([np.stack(arrays) for arrays in zip(*samples, strict=True)], graph), np.stack(labels), np.array(indices)


def _one_by_one(dataset: Any, graph: Graph) -> Iterator[tuple]:
    """Yields each sample of a dataset as a list of inputs, with its label."""
    for element in elements(dataset):
        if element.y is None:
            raise ValueError(
                f"Expected a dataset whose elements are batches `(x, y, ...)`. Received: elements of type {type(element.x).__name__}, "
                "without labels."
            )
        labels = tree.flatten(element.y)
        if len(labels) != 1:
            raise ValueError(
                f"Expected one label for each sample. Received: {len(labels)} labels, {element.y!r}. Select one by `dataset.map(lambda x, "
                "y: (x, y[...]))`."
            )
        inputs = unchecked(element.x, graph)
        for i, label in enumerate(np.asarray(labels[0])):
            yield [array[i] for array in inputs], label


def _any_size(x, graph):
    """The graph with inputs of the original image size."""
    specs = [
        keras.KerasTensor((None, *array.shape[1:]), spec.dtype, name=spec.name)
        if _differs_in_size(array, spec, layout)
        else spec
        for array, spec, layout in zip(unchecked(x, graph), graph.input_specs, Axes(graph).inputs(), strict=True)
    ]
    return dataclasses.replace(graph, input_specs=tuple(specs))


def _differs_in_size(array, spec, layout):
    """Whether an array contains images with the right channels but another height or width."""
    wanted = tuple(spec.shape[1:])
    return (
        array.ndim == 4
        and len(wanted) == 3
        and None not in wanted
        and layout.channel is not None
        and array.shape[layout.channel] == spec.shape[layout.channel]
        and spec.shape[layout.channel] in _CHANNELS
        and array.shape[1:] != wanted
        and keras.backend.is_float_dtype(spec.dtype)
    )


def _resized(array, spec, layout):
    if not _differs_in_size(array, spec, layout):
        return array
    images, size = layout.channels_last(array.astype(spec.dtype)), layout.sizes(spec.shape)
    resized = ops.image.resize(images, size, interpolation="bilinear", data_format="channels_last")
    return layout.restored(ops.convert_to_numpy(resized))
