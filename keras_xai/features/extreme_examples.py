"""Extreme examples: the samples with the highest and lowest responses of units."""

from typing import Any

import keras
import numpy as np
from keras import ops, tree

from keras_xai.backend import compiled
from keras_xai.data.arrays import typed
from keras_xai.data.checks import Verbose, check_count, check_verbose
from keras_xai.data.progress import progress
from keras_xai.data.reader import Samples
from keras_xai.data.structure import packed
from keras_xai.features.receptive_field import ReceptiveFields
from keras_xai.features.responses import Responses
from keras_xai.network.batching import batch_size_for
from keras_xai.results.extreme_examples import Examples, ExtremeExamples


def extreme_examples(
    model: keras.Model,
    x: Any,
    *,
    layer: str | keras.Layer | None = None,
    units: Any = None,
    k: int = 9,
    batch_size: int | None = None,
    verbose: Verbose = "auto",
) -> ExtremeExamples:
    """Finds the samples with the highest and lowest responses of units, in a dataset of any size.

    The response of a class is its score before a final softmax or sigmoid. The response of a channel to a sample is its maximum over
    positions at the upper end, and its minimum at the lower end. It is taken before a fused activation function, so that the lower end of a
    layer with a ReLU is not all zeros; above zero, a ReLU changes nothing.

    One forward pass over the samples. They are read batch by batch; at most `2 * units * k` crops stay in memory.

    Source: [Zeiler & Fergus, 2014](https://arxiv.org/abs/1311.2901), figure 2, and, for the lower end,
    [Olah, Mordvintsev & Schubert, 2017](https://distill.pub/2017/feature-visualization).

    Args:
        model: A built model; only read.
        x: The samples in the form that the model takes: an array or tensor `(n, *input_shape)`, a list, tuple or dict of them for a model
            of several inputs, or a dataset of batches `x` or `(x, y, ...)`, such as a `tf.data.Dataset`, which may exceed the memory.
        layer: A layer or its path, such as `"backbone/conv5"`; the model's scores by default.
        units: A channel, or a class; a tuple `(*position, channel)` for a single unit of a map; or a list of these. All channels
            by default.
        k: Number of samples at each end.
        batch_size: Samples per batch; `None` to derive it from the size of the model's tensors. A dataset keeps its own batches.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Returns:
        An `ExtremeExamples`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model has no such layer or the layer no such unit, if there are fewer than `k` samples, if they do not fit the
            model or contain NaN, or if a response is NaN or infinite.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.features import extreme_examples
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> found = extreme_examples(model, np.arange(30.0).reshape(10, 3), units=1, k=2)
    >>> found.highest.indices.tolist(), found.highest.values.tolist(), found.lowest.indices.tolist()
    ([[9, 8]], [[84.0, 75.0]], [[0, 1]])
    """
    check_count("k", k)
    check_verbose(verbose)
    responses = Responses(model, layer)
    chosen = responses.units(range(responses.num_channels) if units is None else units)
    respond = _program(responses, chosen)
    ends = [_End(sign, len(chosen), k, len(responses.shape) - 1) for sign in (+1, -1)]
    fields: dict[tuple, ReceptiveFields] = {}
    samples = Samples(x, responses.graph, batch_size_for(responses.graph, batch_size))
    seen = 0
    for given in progress(samples, samples.num_batches, verbose):
        batch = typed(given, responses.graph)
        inputs = responses.scores.typed(batch)
        sizes, *found = tree.map_structure(ops.convert_to_numpy, respond(inputs))
        bad = np.flatnonzero(~np.isfinite(found[0]).all(axis=1))
        if bad.size:
            raise ValueError(
                f"The responses of '{responses.name}' to sample {seen + bad[0]} are NaN or infinite. Check the model's weights and "
                "the range of its inputs: `model.predict(x)` should be finite."
            )
        shapes = tuple(each.shape[1:] for each in batch)
        field = fields.setdefault(shapes, ReceptiveFields(responses, shapes))
        for end, values, places in zip(ends, found[::2], found[1::2], strict=True):
            end.add(values, _positions(places, sizes), seen, batch, field)
        seen += len(batch[0])
    if seen < k:
        raise ValueError(f"Expected at least k samples. Received: k={k} and {seen} samples.")
    highest, lowest = (end.examples(responses.graph) for end in ends)
    layout = packed([each.letters for each in responses.scores.layouts], responses.graph)
    return ExtremeExamples(highest, lowest, chosen, responses.name, seen, layout)


def _positions(places, sizes):
    """Flat positions `(n, units)` in a map as indices `(n, units, axes)`."""
    return np.stack(np.unravel_index(places, sizes), axis=-1) if len(sizes) else np.zeros((*places.shape, 0), "int64")


def _program(responses, units):
    """Compiles the function from a batch to the map sizes, and the extreme responses of each unit with their positions."""
    channels = [i for i, unit in enumerate(units) if len(unit) == 1]
    singles = [i for i, unit in enumerate(units) if len(unit) > 1]
    order = np.argsort([*channels, *singles])

    def respond(inputs):
        maps = responses.of(inputs)
        sizes = ops.shape(maps)[1:-1]
        flat = ops.reshape(maps, (ops.shape(maps)[0], -1, maps.shape[-1]))
        parts: list[list] = []
        if channels:
            rows = ops.take(flat, np.array([units[i][0] for i in channels]), axis=-1)
            parts.append([ops.max(rows, axis=1), ops.argmax(rows, axis=1), ops.min(rows, axis=1), ops.argmin(rows, axis=1)])
        if singles:
            *axes, last = np.array([units[i] for i in singles]).T
            places = ops.zeros((len(singles),), "int32")
            for axis, size in zip(axes, sizes, strict=True):
                places = places * size + axis.astype("int32")
            entries = ops.reshape(flat, (ops.shape(maps)[0], -1))
            values = ops.take(entries, places * maps.shape[-1] + last.astype("int32"), axis=1)
            where = ops.zeros_like(values, dtype="int32") + places
            parts.append([values, where, values, where])
        joined = [ops.concatenate(each, axis=1) for each in zip(*parts, strict=True)]
        return [ops.convert_to_tensor(sizes, "int32"), *(ops.take(each, order, axis=1) for each in joined)]

    return compiled(respond, [responses.scores.signature])


class _End:
    """The most extreme responses so far at one end, and their crops."""

    def __init__(self, sign, num_units, k, num_axes):
        self._sign = sign
        self._k = k
        self._values = np.full((num_units, k), -sign * np.inf)
        self._indices = np.full((num_units, k), -1)
        self._positions = np.zeros((num_units, k, num_axes), "int64")
        self._keys: list[list] = [[None] * k for _ in range(num_units)]
        # Units that selected the same part of the same sample share it.
        self._crops: dict[tuple, tuple] = {}

    def add(self, values, positions, first, batch, fields):
        """Adds a batch: responses `(n, units)` and positions `(n, units, axes)`."""
        together = np.concatenate([self._values, values.T], axis=1)
        # A stable sort keeps the earlier of equal responses in front.
        order = np.argsort(-self._sign * together, axis=1, kind="stable")[:, : self._k]
        self._values = np.take_along_axis(together, order, axis=1)
        for unit in np.flatnonzero((order >= self._k).any(axis=1)):
            new = order[unit] >= self._k
            rows, kept = np.where(new, order[unit] - self._k, 0), np.where(new, 0, order[unit])
            self._indices[unit] = np.where(new, first + rows, self._indices[unit][kept])
            self._positions[unit] = np.where(new[:, None], positions[rows, unit], self._positions[unit][kept])
            self._keys[unit] = [
                self._crop(batch, row, first, fields(positions[row, unit])) if fresh else self._keys[unit][old]
                for fresh, row, old in zip(new, rows, kept, strict=True)
            ]
        used = {key for keys in self._keys for key in keys}
        self._crops = {key: crop for key, crop in self._crops.items() if key in used}

    def _crop(self, batch, row, first, boxes):
        key = (int(first + row), *((part.start, part.stop) for box in boxes for part in box))
        if key not in self._crops:
            self._crops[key] = boxes, [x[row][box].copy() for x, box in zip(batch, boxes, strict=True)]
        return key

    def examples(self, graph):
        def packed_crop(key):
            return packed(self._crops[key][1], graph)

        def packed_box(key):
            boxes = self._crops[key][0]
            return boxes[0] if len(boxes) == 1 else tree.pack_sequence_as(graph.input_structure, boxes)

        return Examples(
            values=self._values,
            indices=self._indices,
            positions=self._positions,
            crops=[[packed_crop(key) for key in keys] for keys in self._keys],
            boxes=[[packed_box(key) for key in keys] for keys in self._keys],
        )
