"""The seconds that a call may take: what has passed, what is left, and what a piece of work is expected to take."""

import time
from typing import final

# Estimates are multiplied by these before any work was measured.
_CAUTION = 1.5
_MOST = 6.0  # a single hold-up says little of what follows


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
        self._of_passes = self._of_programs = _CAUTION

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
        return self._of_passes * passes * self.pass_seconds + self._of_programs * programs * self.setup_seconds

    def fits(self, passes: float, programs: float = 0.0, *, share: float = 1.0) -> bool:
        """Whether work is expected to end in time.

        Args:
            passes: Forward passes of one sample.
            programs: As in `expected`.
            share: The share of the seconds that are left which the work may take.
        """
        return self.expected(passes, programs) <= share * self.left

    def learn(self, seconds: float, passes: float, programs: float = 0.0) -> None:
        """Takes into account how long work has taken that was slower than all before.

        Args:
            seconds: The seconds that it took.
            passes: As in `expected`.
            programs: As in `expected`. If there are any, the passes count as known.
        """
        alone = passes * self.pass_seconds
        if programs:
            found = (seconds - alone) / max(programs * self.setup_seconds, 1e-6)
            self._of_programs = min(max(self._of_programs, found), _MOST)
        elif alone > 0:
            self._of_passes = min(max(self._of_passes, seconds / alone), _MOST)
