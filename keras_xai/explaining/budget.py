"""The seconds that a call may take: what has passed, what is left, and what a piece of work is expected to take."""

import time
from typing import final

# Estimates of work that compiles a program are off by this factor at most before any has been made; learned from then on.
_CAUTION = 1.5


def now() -> float:
    """The time in seconds."""
    return time.perf_counter()


@final
class Budget:
    """The seconds of a call, and the cost of a forward pass in it.

    Args:
        seconds: The seconds that the call may take.

    Attributes:
        seconds: As passed.
        pass_seconds: Seconds of a forward pass of one sample in a batch, once it is measured.
        setup_seconds: Seconds until a new program of the model has run for the first time, beyond its passes.
        reserved: Seconds that are kept for the end.
    """

    def __init__(self, seconds: float):
        self._start = now()
        self.seconds = seconds
        self.pass_seconds = 0.0
        self.setup_seconds = 0.0
        self.reserved = 0.0
        self._caution = _CAUTION

    @property
    def used(self) -> float:
        """Seconds since the start."""
        return now() - self._start

    @property
    def left(self) -> float:
        """Seconds that work may take."""
        return self.seconds - self.reserved - self.used

    def expected(self, passes: float, programs: float = 0.0) -> float:
        """The seconds that work is expected to take at most.

        Args:
            passes: Forward passes of one sample.
            programs: Programs to compile, in units of a forward pass: a backward pass costs as much again and more.
        """
        return self._caution * (passes * self.pass_seconds + programs * self.setup_seconds)

    def fits(self, passes: float, programs: float = 0.0, *, share: float = 1.0) -> bool:
        """Whether work is expected to end in time.

        Args:
            passes: Forward passes of one sample.
            programs: As in `expected`.
            share: The share of the seconds that are left which the work may take.
        """
        return self.expected(passes, programs) <= share * self.left

    def learn(self, seconds: float, passes: float, programs: float = 0.0) -> None:
        """Takes into account how long work has taken, so that the next estimate is no better than the worst so far."""
        alone = self.expected(passes, programs) / self._caution
        if alone > 0:
            self._caution = max(self._caution, seconds / alone)
