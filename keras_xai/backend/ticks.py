"""How far the loops of compiled programs are, told to whoever shows progress."""

from collections.abc import Callable

# A loop tells it about as many times, at most, so that telling costs next to nothing; shorter ones end too soon to tell.
NUM_TICKS = 16

_listeners: list[Callable[[float], None]] = []


def listen(listener: Callable[[float], None]) -> None:
    """Registers a function that is called, in any thread, with the part of a loop that is done."""
    _listeners.append(listener)


def tick(done: int, count: int) -> None:
    """Tells all listeners that `done` of `count` rounds of a loop are done."""
    for listener in _listeners:
        listener(int(done) / int(count))
