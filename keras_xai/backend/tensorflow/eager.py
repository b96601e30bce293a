"""When a program runs eagerly: the first calls, on little work, for which tracing costs more than it saves.

The decision depends on the arguments and the number of calls alone, so that a run can be repeated exactly.
"""

import contextvars
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

CALLS = 3  # of a program; tracing it costs about as much as so many calls
_ENTRIES = 2**20  # of a batch: six photographs, or a thousand tokens
_PER_TOKEN = 2**10  # entries that an integer counts for, since it becomes a vector
_PER_TEXT = 2**17  # entries that a string counts for
_ROUNDS = 8  # of a loop

_num_rows: contextvars.ContextVar[int | None] = contextvars.ContextVar("rows of an eager run", default=None)


class TooLargeError(Exception):
    """Raised by a function that runs eagerly when it comes to work for which compiling pays."""


def tried(function: Callable, arguments: Any) -> Any:
    """Runs a function of tensors eagerly.

    Args:
        function: The function.
        arguments: Nests of tensors, the first of them those of a batch.

    Raises:
        TooLargeError: If compiling the function pays.
    """
    batch = tf.nest.flatten(arguments[0])
    if _num_entries(batch) > _ENTRIES:
        raise TooLargeError
    token = _num_rows.set(_rows(batch))
    try:
        return tf.nest.map_structure(lambda x: None if x is None else tf.convert_to_tensor(x), function(*arguments))
    finally:
        _num_rows.reset(token)


def check_batch(tensors: Sequence) -> None:
    """Ends an eager run in which the samples have been repeated to a large batch, as along a path.

    An eager pass keeps all its tensors until it ends.
    """
    rows = _of_trial()
    if rows is not None and _rows(tensors) > rows and _num_entries(tensors) > _ENTRIES:
        raise TooLargeError


def check_rounds(count: Any) -> None:
    """Ends an eager run at a long loop."""
    if _of_trial() is not None and int(count) > _ROUNDS:
        raise TooLargeError


def _of_trial():
    """The rows of the batch if an eager run is at work, not what is traced within it."""
    return _num_rows.get() if tf.executing_eagerly() else None


def _rows(tensors):
    return max((len(each) for each in tensors if len(each.shape)), default=0)


def _num_entries(tensors):
    return sum(each.shape.num_elements() * _weight(each.dtype) for each in tensors)


def _weight(dtype):
    if dtype == tf.string:
        return _PER_TEXT
    return _PER_TOKEN if dtype.is_integer else 1
