"""Methods for models with inputs of unknown size: one per size of samples."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, final

import cachetools

# Each has a graph and a program of its own.
_MOST = 16


@final
class BySizes:
    """Objects made for the shapes of samples, of which the last ones used are kept.

    Args:
        make: Maps the shape of a sample of each input to an object.
    """

    def __init__(self, make: Callable[[tuple], Any]):
        self._make = make
        self._made: cachetools.LRUCache = cachetools.LRUCache(_MOST)
        self._making = threading.Lock()

    def __call__(self, inputs: Sequence) -> Any:
        """The object for samples, an array for each input."""
        shapes = tuple(x.shape[1:] for x in inputs)
        with self._making:
            if shapes not in self._made:
                self._made[shapes] = self._make(shapes)
            return self._made[shapes]

    def __len__(self) -> int:
        return len(self._made)
