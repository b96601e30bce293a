"""Batches of samples: their rows, their progress bar, and their results as one."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_xai.data.checks import check_verbose


def rows(count: int, batch_size: int) -> list[slice]:
    """Slices of at most `batch_size` that make up `count` rows."""
    return [slice(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays of several batches as one.

    Raises:
        ValueError: If their samples differ in shape, as they can in a dataset for a model that takes several sizes.
    """
    shapes = list(dict.fromkeys(part.shape[1:] for part in parts))
    if len(shapes) > 1:
        raise ValueError(
            f"Expected batches whose samples have one shape, to be returned as one array. Received: samples of {shapes[0]} and of "
            f"{shapes[1]}. Pad or resize them to one, or call once for each shape."
        )
    return np.concatenate(parts)


def progress(batches: Iterable, num_batches: int | None, verbose: Any, unit: str = "batch") -> Iterator:
    """Passes `batches` on under a progress bar.

    Args:
        batches: What to iterate over.
        num_batches: How many there are, `None` if not known.
        verbose: 0 for silence, 1 or `"auto"` for a bar, 2 for one line at the end, as in `keras.Model.predict`.
        unit: What one of them is called.
    """
    check_verbose(verbose)
    if verbose == 0:
        yield from batches
        return
    bar = keras.utils.Progbar(num_batches, verbose=1 if verbose == "auto" else verbose, unit_name=unit)
    done = 0
    for batch in batches:
        yield batch
        done += 1
        bar.update(done, finalize=False)
    bar.update(done, finalize=True)
