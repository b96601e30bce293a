"""Batches: slices of rows, concatenation, and progress bars."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from types import FrameType
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
    with Bar(num_batches, verbose, unit, loop=sys._getframe(1)) as bar:
        for batch in batches:
            yield batch
            bar.add(1)


_DELAY = 2.0  # seconds
_of_thread = threading.local()  # its loops: the identifiers of the frames that run the work of its bars
_shown: list["Bar"] = []  # at most one, since those of several threads would overwrite each other
_showing = threading.Lock()


class Bar:
    """A progress bar, as a context manager around the work.

    Args:
        total: Number of units of work, `None` if unknown.
        verbose: `"auto"` for a bar that appears after two seconds, unless all work is done by then, or an enclosing task or another thread
            shows a bar; 1 to show it at once, 2 for one line at the end, 0 for none.
        unit: Name of a unit of work.
        loop: The frame that runs the work; by default the one that enters the context.

    Raises:
        ValueError: If `verbose` is none of these.
    """

    def __init__(self, total: int | None, verbose: Any, unit: str, *, loop: Any = None):
        check_verbose(verbose)
        self._total = total
        self._verbose = verbose
        self._done = 0
        self._visible = False
        self._start = time.monotonic()
        # By its identifier, since the frame itself would keep all its variables in memory.
        self._loop = 0 if loop is None else id(loop)
        self._bar = keras.utils.Progbar(total, verbose=1 if verbose == "auto" else verbose, unit_name=unit)

    def __enter__(self) -> "Bar":
        if not self._loop:
            self._loop = id(sys._getframe(1))
        self._thread = threading.current_thread()
        self._loops: list[int] = _of_thread.__dict__.setdefault("loops", [])
        # A loop that an interrupt has ended does not close its bar as long as the traceback, of which it is a part, is kept.
        running = _running()
        self._loops[:] = [each for each in self._loops if each in running]
        self._is_outermost = not self._loops
        self._loops.append(self._loop)
        return self

    def __exit__(self, *exception: Any) -> None:
        with contextlib.suppress(ValueError):
            self._loops.remove(self._loop)
        if exception == (None, None, None) and self._is_due():
            self._bar.update(self._done, finalize=True)
        with _showing:
            if self in _shown:
                _shown.remove(self)

    def update(self, done: int) -> None:
        """Sets the number of finished units to `done`."""
        self._done = done
        if not self._visible and self._may_appear():
            self._visible = self._appears()
        if self._is_due():
            self._bar.update(done, finalize=False)

    def add(self, number: int) -> None:
        """Adds to the number of finished units."""
        self.update(self._done + number)

    def _may_appear(self):
        if self._verbose != "auto":
            return self._verbose == 1
        is_late = time.monotonic() - self._start > _DELAY
        return is_late and self._is_outermost and (self._total is None or self._done < self._total)

    def _appears(self):
        """Whether no other bar is shown; then, this one is."""
        with _showing:
            if not all(each._is_abandoned() for each in _shown):
                return False
            _shown[:] = [self]
            return True

    def _is_abandoned(self):
        """Whether the work has been interrupted, as far as the current thread can tell."""
        if self._thread is threading.current_thread():
            return self._loop not in _running()
        return not self._thread.is_alive()

    def _is_due(self):
        return self._verbose in (1, 2) or self._visible


def _running():
    """The identifiers of the frames that this thread runs at the moment."""
    frame: FrameType | None = sys._getframe(1)
    found = set()
    while frame is not None:
        found.add(id(frame))
        frame = frame.f_back
    return found
