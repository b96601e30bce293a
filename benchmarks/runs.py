"""Finished runs of a benchmark, kept in a file, and what several of them tell."""

import json
import pathlib
from collections.abc import Callable

import numpy as np

from keras_xai.statistics import intervals


class Runs:
    """Finished runs in a file, one JSON object a line; several processes may write to it.

    Args:
        path: The file.
        make: Makes the results of a run from its settings.
    """

    def __init__(self, path: pathlib.Path, make: Callable[..., dict]):
        self._path = path
        self._make = make

    def get(self, **settings) -> dict:
        """The results of a run, which is made if it is not in the file."""
        for line in self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else ():
            run = json.loads(line)
            if run["settings"] == settings:
                return run["results"]
        print(f"\n{settings}", flush=True)
        results = self._make(**settings)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"settings": settings, "results": results}) + "\n")
        return results


def interval(values: np.ndarray) -> tuple[float, float]:
    """The mean, and the half-width of its 95 % confidence interval by Student's t, of independent runs: NaN if there is but one."""
    found = intervals.interval(values)
    return found.mean, found.high - found.mean
