"""Background samples, the reference for all explained samples."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_xai.attribution.baseline import for_each_input
from keras_xai.data.arrays import unchecked, with_rank
from keras_xai.data.batches import rows
from keras_xai.data.checks import real_array
from keras_xai.data.progress import progress
from keras_xai.data.texts import is_string
from keras_xai.network.scores import Scores


def background_of(baseline: Any, inputs: Sequence[np.ndarray], scores: Scores) -> list[np.ndarray]:
    """The background samples that a baseline stands for.

    Args:
        baseline: Samples `(m, *input_shape)`, one sample, or a number for all entries; in the structure of the inputs for a model of
        several. Zeros if it is `None`.
        inputs: The explained samples, an array `(n, *input_shape)` for each input.
        scores: The scores of the model.

    Returns:
        An array `(m, *input_shape)` for each input, in the model's compute dtype.

    Raises:
        ValueError: If an array has the wrong shape or contains non-finite values.
    """
    graph = scores.graph
    given = for_each_input(0 if baseline is None else baseline, graph)
    if given is baseline:
        given = unchecked(baseline, graph, "baseline")
    texts = [is_string(spec) for spec in graph.input_specs]
    checked = [
        np.asarray(each) if text else real_array("baseline", each, "numbers") for each, text in zip(given, texts, strict=True)
    ]
    arrays = []
    for array, x, spec in zip(scores.typed(checked), inputs, graph.input_specs, strict=True):
        array = with_rank(array, spec) if array.ndim else array  # a column may be given as `(m,)`
        shape = x.shape[1:]
        if array.shape not in ((), shape) and (array.shape[1:] != shape or array.ndim == len(shape) or not len(array)):
            raise ValueError(
                f"Expected `baseline` to be background samples, (m, {', '.join(map(str, shape))}), or of the shape of one sample, "
                f"{shape}, or a number, for input '{spec.name}'. Received: an array of shape {array.shape}."
            )
        if not is_string(spec) and not np.isfinite(array).all():
            raise ValueError(f"Expected a finite `baseline` for input '{spec.name}'. Received: one with NaN or infinity.")
        arrays.append(array if array.ndim == x.ndim else np.broadcast_to(array, (1, *shape)))
    counts = {len(array) for array in arrays}
    if len(counts - {1}) > 1:
        raise ValueError(f"Expected as many background samples for every input. Received: {sorted(counts)}.")
    return [np.broadcast_to(array, (max(counts), *array.shape[1:])) for array in arrays]


def means(function: Callable, samples: np.ndarray, batch_size: int) -> list:
    """The means over the pairs of each sample, at most `batch_size` pairs at a time.

    Args:
        function: Maps a slice of the pairs to tensors `(pairs, ...)`, or `None` for inputs that are held fixed.
        samples: Integer array `(pairs,)`: the sample of each pair, in ascending order from 0.
        batch_size: Pairs at a time.

    Returns:
        An array `(n, ...)` for each tensor, `None` for `None`.
    """
    counts = np.bincount(samples)
    sums: list[np.ndarray] = []
    dtypes: list[np.dtype] = []
    absent: list[bool] = []
    parts = rows(len(samples), batch_size)
    for part in progress(parts, len(parts)):
        given = function(part)
        absent = [each is None for each in given]
        found = [ops.convert_to_numpy(each) for each in given if each is not None]
        dtypes = [each.dtype for each in found]
        sums = sums or [np.zeros((len(counts), *each.shape[1:])) for each in found]
        first = np.flatnonzero(np.diff(samples[part], prepend=-1))  # the pairs of a sample are contiguous
        for total, each in zip(sums, found, strict=True):
            total[samples[part][first]] += np.add.reduceat(each, first, axis=0, dtype="float64")
    quotients = (
        (total / counts.reshape(-1, *[1] * (total.ndim - 1))).astype(dtype) for total, dtype in zip(sums, dtypes, strict=True)
    )
    return [None if each else next(quotients) for each in absent]
