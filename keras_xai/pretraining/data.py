"""Checks and shuffling of pretraining data."""

import math
import warnings
from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops, tree

from keras_xai.data.arrays import checked
from keras_xai.data.checks import check_count, is_number
from keras_xai.data.reader import read_all
from keras_xai.data.streams import check_ends, first_batch, is_once, is_stream
from keras_xai.data.structure import packed
from keras_xai.graph.steps import Graph
from keras_xai.pretraining.plan import Stage

# Root mean square above which a warning is given for unbounded units of variance 1; standardized data have 1.
_LARGEST = 3


@final
class Shuffled(keras.utils.PyDataset):
    """Batches of arrays in an order that depends on a seed and the epoch number alone.

    Keras' own shuffling depends on all earlier random draws, so resumed training would see another order.

    Args:
        x: Arrays in any structure, samples along the first axis.
        batch_size: Samples per batch.
        shuffle: Whether to shuffle.

    Attributes:
        order: Seed of the next epoch's order, `(seed, epoch)`.
        num_samples: Number of samples.
    """

    def __init__(self, x: Any, batch_size: int, *, shuffle: bool):
        super().__init__()
        self.order: tuple[int, int] | None = None
        self._x = x
        self._batch_size = batch_size
        self._shuffle = shuffle
        self.num_samples = len(tree.flatten(x)[0])
        self._rows: tuple[Any, np.ndarray] = (None, np.arange(self.num_samples))

    def __len__(self):
        return math.ceil(self.num_samples / self._batch_size)

    def __getitem__(self, index):
        if self._shuffle and self._rows[0] != self.order:
            self._rows = (self.order, np.random.default_rng(self.order).permutation(self.num_samples))
        rows = self._rows[1][index * self._batch_size : (index + 1) * self._batch_size]
        return (self._take(rows),)

    def spread(self, count: int) -> Any:
        """At most `count` evenly spaced samples."""
        return self._take(np.unique(np.linspace(0, self.num_samples - 1, min(count, self.num_samples)).astype(int)))

    def _take(self, rows):
        return tree.map_structure(lambda array: array[rows], self._x)


def read(x: Any, graph: Graph, batch_size: int, fit_options: dict) -> tuple[Any, dict]:
    """Checks the training data, and prepares it and the options for `fit()`.

    Args:
        x: The user's data.
        graph: The graph of the model.
        batch_size: Samples per batch.
        fit_options: The user's options for `fit()`.

    Returns:
        The data, with arrays as `Shuffled` and datasets unchanged, and the remaining options for `fit()`.

    Raises:
        ValueError: If data are not finite or do not have the model's shape, as far as arrays and the first batch of datasets tell.
    """
    options = dict(fit_options)
    split = options.pop("validation_split", 0.0)
    validation = options.pop("validation_data", None)
    check_count("batch_size", batch_size)
    x = _readable_again(x, graph, options.get("steps_per_epoch"))
    if is_stream(x):
        if split:
            raise ValueError(
                f"Expected arrays to split. Received: validation_split={split} and a dataset. Pass validation_data."
            )
        _check_first(x, graph)
        data = x
        if not isinstance(x, keras.utils.PyDataset):
            options.setdefault("shuffle", False)  # Keras cannot shuffle it, and would warn
    else:
        arrays = checked(x, graph)
        if split and validation is None:
            if not (is_number(split) and 0 < split < 1):
                raise ValueError(f"Expected `validation_split` to be between 0 and 1. Received: validation_split={split}")
            kept = int(len(arrays[0]) * (1 - split))
            validation = packed([array[kept:] for array in arrays], graph)
            arrays = [array[:kept] for array in arrays]
        data = Shuffled(packed(arrays, graph), batch_size, shuffle=options.pop("shuffle", True))
        options["shuffle"] = False  # Keras would shuffle the order of batches
    if validation is not None:
        # A tuple is data and labels, as in `fit()`.
        validation = validation[0] if isinstance(validation, tuple) else validation
        validation = _readable_again(validation, graph, options.get("validation_steps"))
        if is_stream(validation):
            _check_first(validation, graph)
        else:
            validation = Shuffled(packed(checked(validation, graph), graph), batch_size, shuffle=False)
        options["validation_data"] = validation
    return data, options


def check_visible(data: Any, stages: Sequence[Stage], batch_size: int) -> None:
    """Passes a batch of evenly spaced samples to each layer, and checks that it is in the range of the visible units.

    Args:
        data: As returned by `read`.
        stages: The stages of the pretraining.
        batch_size: Samples per batch.

    Raises:
        ValueError: If values exceed the units' range by more than its width.

    Warns:
        UserWarning: If values are outside the range, or too large for units without a largest value.
    """
    batch = sample(data, batch_size)
    told = False
    for stage in stages:
        if batch is not None and stage.first == 0:
            visible = ops.convert_to_numpy(stage.front(batch))
            _check_range(visible, stage)
            told = told or _is_too_large(visible, stage)  # later layers have large values too


def sample(data: Any, count: int) -> Any:
    """At most `count` samples as tensors, from all over arrays, or the first batch of a dataset; `None` if it has none."""
    batch = data.spread(count) if isinstance(data, Shuffled) else first_batch(data)
    return None if batch is None else tree.map_structure(ops.convert_to_tensor, batch)


def _is_too_large(values, stage):
    """Whether values are many times as large as the noise of unbounded units; with a warning."""
    machine = stage.layer.machine()
    size = float(np.sqrt(np.square(values, dtype="float64").mean()))
    # If one side is bounded, the steps cannot make the other side grow without bound.
    if size <= _LARGEST or not math.isinf(machine.visible.high) or not math.isinf(machine.hidden.high):
        return False
    warnings.warn(
        f"Expected data of about the size 1 for the units of layer '{stage.path}', which have the activations "
        f"'{machine.visible.activation.__name__}' and '{machine.hidden.activation.__name__}' and the variance 1. Received: values "
        f"from {float(values.min()):.6g} to {float(values.max()):.6g}, of the root mean square {size:.3g}. Weights may grow without "
        "end, or units die. Rescale the data, to the mean 0 and the variance 1 or to values from 0 to 1.",
        stacklevel=4,
    )
    return True


def _readable_again(x, graph, steps):
    """Data that can be read in every epoch: all samples of an iterator, unless the number of batches per epoch is given.

    Raises:
        ValueError: If neither the dataset nor an epoch has an end.
    """
    if not is_stream(x) or steps is not None:
        return x
    check_ends(x)
    return packed(read_all(x, graph), graph) if is_once(x) else x


def _check_first(dataset, graph):
    batch = first_batch(dataset)
    if batch is not None:
        checked(batch, graph)


def _check_range(values, stage):
    unit = stage.layer.machine().visible
    low, high = float(values.min()), float(values.max())
    if unit.low <= low and high <= unit.high:
        return
    message = (
        f"Expected data from {unit.low:g} to {unit.high:g} for the visible units of layer '{stage.path}', which have the activation "
        f"'{unit.activation.__name__}'. Received: values from {low:.6g} to {high:.6g}. Rescale the data, or use "
        "visible_activation='linear' for the layer, which takes all values."
    )
    # The gradient contains the distance to unreachable values: weights would grow without bound.
    if low < 2 * unit.low - unit.high or high > 2 * unit.high - unit.low:
        raise ValueError(message)
    warnings.warn(message, stacklevel=4)
