"""A process that is killed at each step of a save, in turn. Run with the folder as the argument: it prints the number of kills.

It forks, and so is a process of its own, which has started no threads.
"""

import io
import os
import pathlib
import signal
import sys
from collections.abc import Callable

import numpy as np

from keras_xai.data import archive
from keras_xai.results import Explanation

STEPS = ("fsync", "replace", "unlink", "chmod", "scandir")


def explanation(number: int) -> Explanation:
    """One that is larger than the buffer of a file."""
    values = np.random.default_rng(number).normal(size=(2, 30, 30, 3))
    return Explanation(values, np.zeros(2, int), values, None, None, 1.0, f"version {number}")


def steps_of(step: Callable[[], None]) -> None:
    """Has `step` called before each write, half way through it, and around each call of `os` that changes a file."""

    class Raw(io.FileIO):
        def write(self, data):
            step()
            data = bytes(data)
            super().write(data[: len(data) // 2])
            step()
            super().write(data[len(data) // 2 :])
            return len(data)

    def opened(path, mode="r"):
        return io.BufferedWriter(Raw(path, "w")) if mode == "wb" else open(path, mode)

    archive.open = opened
    for name in STEPS:
        setattr(os, name, _around(getattr(os, name), step))


def _around(function, step):
    def called(*arguments, **options):
        step()
        result = function(*arguments, **options)
        step()
        return result

    return called


def save_and_die(path: pathlib.Path, number: int) -> bool:
    """Saves in a child process that is killed at one of its steps; whether it was, and did not end before."""
    child = os.fork()
    if not child:
        left = iter(range(number))

        def step():
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        steps_of(step)
        explanation(1).save(path)
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def main(folder: pathlib.Path) -> None:
    """Kills at each step, until there is none."""
    path = folder / "explanation.npz"
    killed, abandoned = 0, 0
    while True:
        explanation(0).save(path)
        assert [each.name for each in folder.iterdir()] == [path.name], list(folder.iterdir())
        if not save_and_die(path, killed):
            break
        killed += 1
        found = Explanation.load(path)
        assert found in (explanation(0), explanation(1)), found
        abandoned += len(list(folder.iterdir())) - 1
    assert Explanation.load(path) == explanation(1)
    print(killed, abandoned)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
