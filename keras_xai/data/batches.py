"""Batches: slices of rows, concatenation, and progress bars."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_xai.data.checks import check_verbose


def rows(count: int, batch_size: int) -> list[slice]:
    """Consecutive slices of at most `batch_size` that cover `count` rows."""
    return [slice(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Concatenates the arrays of several batches.

    Raises:
        ValueError: If their samples differ in shape, which is possible in a dataset for a model with inputs of variable size.
    """
    if any(part.ndim == 0 for part in parts):
        raise ValueError("Expected batches of samples, arrays of shape (n, ...). Received: a batch that is no array.")
    shapes = list(dict.fromkeys(part.shape[1:] for part in parts))
    if len(shapes) > 1:
        raise ValueError(
            f"Expected batches whose samples have the same shape, to be returned as one array. Received: samples of {shapes[0]} and of "
            f"{shapes[1]}. Pad or resize them to one shape, or call once for each shape."
        )
    return np.concatenate(parts)


def progress(batches: Iterable, num_batches: int | None, verbose: Any, unit: str = "batch") -> Iterator:
    """Iterates over `batches` with a progress bar.

    Args:
        batches: The batches.
        num_batches: Number of batches, `None` if unknown.
        verbose: See `Bar`.
        unit: Name of a unit of work.
    """
    with Bar(num_batches, verbose, unit) as bar:
        for batch in batches:
            yield batch
            bar.add(1)


_DELAY = 2.0  # seconds
_shown = threading.local()


class Bar:
    """A progress bar, as a context manager around the work.

    Args:
        total: Number of units of work, `None` if unknown.
        verbose: `"auto"` for a bar that appears after two seconds, unless an enclosing task shows a bar; 1 to show it at once, 2 for one
            line at the end, 0 for none.
        unit: Name of a unit of work.

    Raises:
        ValueError: If `verbose` is none of these.
    """

    def __init__(self, total: int | None, verbose: Any, unit: str):
        check_verbose(verbose)
        self._verbose = verbose
        self._done = 0
        self._visible = False
        self._start = time.monotonic()
        self._bar = keras.utils.Progbar(total, verbose=1 if verbose == "auto" else verbose, unit_name=unit)

    def __enter__(self) -> "Bar":
        self._outermost = not getattr(_shown, "depth", 0)
        _shown.depth = getattr(_shown, "depth", 0) + 1
        return self

    def __exit__(self, *exception: Any) -> None:
        _shown.depth = max(0, getattr(_shown, "depth", 0) - 1)  # an abandoned generator may be closed in another thread
        if exception == (None, None, None) and self._is_due():
            self._bar.update(self._done, finalize=True)

    def update(self, done: int) -> None:
        """Sets the number of finished units to `done`."""
        self._done = done
        if self._verbose == "auto" and self._outermost and time.monotonic() - self._start > _DELAY:
            self._visible = True
        if self._is_due():
            self._bar.update(done, finalize=False)

    def add(self, number: int) -> None:
        """Adds to the number of finished units."""
        self.update(self._done + number)

    def _is_due(self):
        return self._verbose in (1, 2) or self._visible
