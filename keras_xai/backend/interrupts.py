"""A Ctrl-C that waits until TensorFlow can bear it."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def interrupts_wait() -> Iterator[None]:
    """Context manager at whose end a Ctrl-C that comes within it takes effect; a second one takes effect at once.

    For tracing, which takes seconds at most. A Ctrl-C there can leave TensorFlow within a graph or with a lock that is never released,
    comes out of its C++ code as an error of another type, or ends the process. The handler of the signal is put back at the end.
    """
    handler = signal.getsignal(signal.SIGINT)
    if (
        not callable(handler) or threading.current_thread() is not threading.main_thread()
    ):  # other threads are never interrupted
        yield
        return
    came = []

    def wait(number, frame):
        came.append((number, frame))
        if len(came) > 1:
            handler(number, frame)

    signal.signal(signal.SIGINT, wait)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if len(came) == 1:
            handler(*came[0])
