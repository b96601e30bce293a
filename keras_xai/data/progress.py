"""Progress bars: one per long call, with the time left."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

from tqdm import tqdm

from keras_xai.backend import listen
from keras_xai.data.checks import check_verbose

_DELAY = 2.0  # seconds
_REFRESH = 0.5  # seconds between two looks at work that lasts
_LEAST = 0.1  # seconds between two drawings
_KNOWN = "{percentage:3.0f}%|{bar:30}| {finished}/{total} [{elapsed}<{remaining}]"
_UNKNOWN = "{finished} [{elapsed}]"

_of_thread = threading.local()  # its bars, the outermost first
_outermost: list["Bar"] = []  # of all threads
_shown: list["Bar"] = []  # at most one, since those of several threads would overwrite each other
_showing = threading.RLock()


def progress(batches: Iterable, num_batches: int | None, verbose: Any = 0) -> Iterator:
    """Iterates over `batches` with a progress bar.

    Args:
        batches: The batches.
        num_batches: Number of batches, `None` if unknown.
        verbose: See `Bar`. With the default the loop only advances the bar of the work that it is a part of.
    """
    with Bar(num_batches, verbose, loop=sys._getframe(1)) as bar:
        for batch in batches:
            yield batch
            bar.add(1)


class Bar:
    """A progress bar, as a context manager around the work.

    Nested bars are not shown: they advance the outermost bar by the finished part of its unit.

    Args:
        total: Number of units of work, `None` if unknown.
        verbose: `"auto"` for a bar that appears after two seconds, unless all work is done by then, or an enclosing task or another thread
            shows a bar; 1 to show it at once, 2 for one line at the end, 0 for none.
        loop: The frame that runs the work; by default the one that enters the context.

    Raises:
        ValueError: If `verbose` is none of these.
    """

    def __init__(self, total: int | None, verbose: Any, *, loop: Any = None):
        check_verbose(verbose)
        self._total = total
        self._verbose = verbose
        self._done = 0
        self._inside = 0.0  # the part of the current unit that bars within it have done
        self._parent: Bar | None = None
        self._meter: _Meter | None = None
        self._start = self._drawn = time.monotonic()
        # Stored as an identifier, since the frame itself would keep all its variables in memory.
        self._loop = 0 if loop is None else id(loop)

    def __enter__(self) -> "Bar":
        if not self._loop:
            self._loop = id(sys._getframe(1))
        self._thread = threading.current_thread()
        self._bars: list[Bar] = _of_thread.__dict__.setdefault("bars", [])
        # An interrupted loop does not close its bar while the traceback that contains it is kept.
        running = _running(self._thread)
        self._bars[:] = [each for each in self._bars if each._loop in running]
        self._parent = self._bars[-1] if self._bars else None
        self._bars.append(self)
        if self._parent is None:
            with _showing:
                _outermost[:] = [*(each for each in _outermost if not each._is_abandoned()), self]
        if self._verbose == 1:
            self._show()
        elif self._may_appear():
            _watcher.watch(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        _watcher.leave(self)
        with contextlib.suppress(ValueError):
            self._bars.remove(self)
        with _showing:
            if exception == (None, None, None) and self._verbose == 2:
                self._meter = self._new_meter()
            if self._meter is not None:
                self._meter.n = max(self._meter.n, self._position)
                self._meter.close()
            for bars in (_shown, _outermost):
                if self in bars:
                    bars.remove(self)

    def update(self, done: int) -> None:
        """Sets the number of finished units to `done`."""
        self._done, self._inside = done, 0.0
        self._advanced()

    def add(self, number: int) -> None:
        """Adds to the number of finished units."""
        self.update(self._done + number)

    def advance(self, part: float) -> None:
        """Sets the finished part of the current unit. Later work within the same unit does not decrease it."""
        self._inside = max(self._inside, min(part, 1.0))
        self._advanced()

    def show_if_late(self) -> None:
        """Shows the bar if it has become due, and the time that has passed; called by the thread that watches."""
        if self._loop in _running(self._thread):
            self._appear_if_late()
            self._draw()

    def _advanced(self):
        if self._parent is not None and self._total:
            self._parent.advance(self._position / self._total)
        self._appear_if_late()
        self._draw()

    @property
    def _position(self):
        return self._done + self._inside

    def _may_appear(self):
        return self._verbose == "auto" and self._parent is None

    def _appear_if_late(self):
        is_late = time.monotonic() - self._start > _DELAY
        if is_late and self._may_appear() and (self._total is None or self._done < self._total):
            self._show()

    def _show(self):
        """Shows the bar, unless another one is shown."""
        with _showing:
            if self._meter is None and all(each._is_abandoned() for each in _shown):
                _shown[:] = [self]
                self._meter = self._new_meter()
                self._draw(at_once=True)

    def _is_abandoned(self):
        """Whether the work has been interrupted."""
        return self._loop not in _running(self._thread)

    def _new_meter(self):
        layout = _UNKNOWN if self._total is None else _KNOWN
        # The delay prevents tqdm from drawing an empty bar first.
        meter = _Meter(total=self._total, file=sys.stdout, bar_format=layout, smoothing=0, position=0, delay=1e-9)
        meter.start_t = meter.last_print_t = time.time() - (time.monotonic() - self._start)
        return meter

    def _draw(self, *, at_once=False):
        now = time.monotonic()
        with _showing:
            if self._meter is not None and (at_once or now - self._drawn >= _LEAST):
                self._drawn = now
                self._meter.n = max(self._meter.n, self._position)
                self._meter.refresh()


def _hear(part):
    """Advances the running work by the finished part of a compiled loop, if the owner of the loop is known."""
    with _showing:
        if len(_outermost) == 1 and (bars := _outermost[0]._bars):
            bars[-1].advance(part)


listen(_hear)


class _Meter(tqdm):
    """A line of tqdm that shows whole units, though parts of them count as progress."""

    monitor_interval = 0  # no thread of its own

    @property
    def format_dict(self):
        return {**super().format_dict, "finished": int(self.n)}


class _Watcher:
    """A thread that shows bars in time while a unit of work lasts."""

    def __init__(self):
        self._bars: list[Bar] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def watch(self, bar: Bar) -> None:
        """Adds a bar."""
        with self._changed:
            self._bars.append(bar)
            if self._thread is None or not self._thread.is_alive():  # as after a fork
                self._thread = threading.Thread(target=self._run, name="keras_xai progress", daemon=True)
                self._thread.start()
            self._changed.notify()

    def leave(self, bar: Bar) -> None:
        """Removes a bar."""
        with self._changed, contextlib.suppress(ValueError):
            self._bars.remove(bar)

    def _run(self):
        while True:
            with self._changed:
                while not self._bars:
                    self._changed.wait()
                bars = list(self._bars)
            for bar in bars:
                bar.show_if_late()
            time.sleep(_REFRESH)


_watcher = _Watcher()


def _running(thread):
    """The identifiers of the frames that a thread runs at the moment."""
    frame: FrameType | None = sys._current_frames().get(thread.ident)
    found = set()
    while frame is not None:
        found.add(id(frame))
        frame = frame.f_back
    return found
