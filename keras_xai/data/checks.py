"""Checks of arguments: counts, numbers, flags, names, seeds, `verbose`."""

import numbers
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

import keras
import numpy as np

Verbose = Literal["auto", 0, 1, 2]


def is_integer(value: Any) -> bool:
    """Whether a value is an integer: `4` and `numpy.int64(4)` are, `True` and `4.0` are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a real number, NumPy's included; `True` is not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_count(name: str, value: Any, *, least: int = 1, most: int | None = None, what: str = "") -> int:
    """Checks that a value is an integer in a range.

    Args:
        name: Name of the argument.
        value: Its value.
        least: The minimum.
        most: The maximum, `None` for no maximum.
        what: The things that `most` counts, for the error.

    Returns:
        The number as an `int`.

    Raises:
        ValueError: If it is not an integer, or out of range.
    """
    if not is_integer(value) or value < least:
        raise ValueError(f"Expected `{name}` to be an integer of at least {least}. Received: {name}={value!r}")
    if most is not None and value > most:
        of = f"the number of {what}, {most}" if what else f"{most}"
        raise ValueError(f"Expected `{name}` to be at most {of}. Received: {name}={value}")
    return int(value)


def check_number(name: str, value: Any, *, least: float = -np.inf, most: float = np.inf, what: str = "") -> float:
    """Checks that a value is a finite number in a range.

    Args:
        name: Name of the argument.
        value: Its value.
        least: The minimum.
        most: The maximum.
        what: Meaning of the number, for the error.

    Returns:
        The number as a `float`.

    Raises:
        ValueError: If it is not a number, not finite, or out of range.
    """
    if not (is_number(value) and np.isfinite(value) and least <= value <= most):
        bounds = f" of at least {least:g}" if most == np.inf else f" from {least:g} to {most:g}"
        raise ValueError(
            f"Expected `{name}` to be a number{bounds if least > -np.inf else ''}{what and f', {what}'}. "
            f"Received: {name}={value!r}"
        )
    return float(value)


def check_positive(name: str, value: Any) -> float:
    """Checks that a value is a finite number above 0 and returns it as a `float`."""
    if not (is_number(value) and 0 < value < np.inf):
        raise ValueError(f"Expected `{name}` to be a positive number. Received: {name}={value!r}")
    return float(value)


def check_seed(seed: Any) -> int:
    """Checks that a value is an integer of at least 0 and returns it as an `int`."""
    return check_count("seed", seed, least=0)


def check_verbose(verbose: Any) -> None:
    """Checks that a value is valid for `verbose` of `keras.Model.predict`."""
    known = verbose == "auto" if isinstance(verbose, str) else is_integer(verbose) and verbose in (0, 1, 2)
    if not known and not isinstance(verbose, bool):
        raise ValueError(f"Expected `verbose` to be 'auto', 0, 1 or 2. Received: verbose={verbose!r}")


def check_flag(name: str, value: Any) -> bool:
    """Checks that a value is `True` or `False`, also of NumPy, and returns it as a `bool`."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"Expected `{name}` to be True or False. Received: {name}={value!r}")
    return bool(value)


def check_choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """Checks that a value is one of the given strings."""
    if not isinstance(value, str) or value not in list(choices):
        raise ValueError(f"Expected `{name}` to be one of {list(choices)}. Received: {name}={value!r}")
    return value


def check_text(name: str, value: Any) -> str:
    """Checks that a value is a string."""
    if not isinstance(value, str):
        raise ValueError(f"Expected `{name}` to be a string. Received: {name}={value!r}")
    return value


def check_names(name: str, value: Any, count: int | None = None, of: str = "") -> list[str]:
    """Checks names, which are strings or numbers.

    Args:
        name: Name of the argument.
        value: Its value.
        count: Number of names, `None` for any.
        of: What they name, for the error.

    Returns:
        A list of strings.

    Raises:
        ValueError: If they are not names, or not as many.
    """
    # Accepts `dict.keys()`, but not a set, which has no order, or a dict, where keys or values could be meant.
    ordered = isinstance(value, Collection) and not isinstance(value, (set, frozenset, Mapping))
    found = list(value) if ordered or hasattr(value, "tolist") else []
    plain = all(isinstance(each, (str, numbers.Number, np.generic)) for each in found)
    if isinstance(value, (str, bytes)) or not found or not plain or len(found) != (len(found) if count is None else count):
        expected = "a list of names" if count is None else f"a list of {count} names{of and f', one for each {of}'}"
        number = f"{len(found)} names, " if found and plain and not isinstance(value, (str, bytes)) else ""
        raise ValueError(f"Expected `{name}` to be {expected}. Received: {number}{name}={value!r}")
    return [str(each) for each in found]


def check_function(name: str, value: Any) -> None:
    """Checks that a value is a callable or `None`."""
    if value is not None and not callable(value):
        raise ValueError(f"Expected `{name}` to be callable, or None. Received: {name}={value!r}")


def check_path(name: str, value: Any) -> None:
    """Checks that a value is a path."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"Expected `{name}` to be a path, a string or a `pathlib.Path`. Received: {name}={value!r}")


def check_instance(name: str, value: Any, kinds: type | tuple[type, ...], example: str) -> None:
    """Checks that an argument is an instance of the given classes.

    Args:
        name: Name of the argument.
        value: Its value.
        kinds: The classes.
        example: What to pass, for the error.
    """
    if not isinstance(value, kinds):
        raise TypeError(f"Expected `{name}` to be {example}. Received: {name}={value!r}")


def check_layers(name: str, value: Any) -> None:
    """Checks that a value is `None` or a list of different layers or paths of layers."""
    given = list(value) if isinstance(value, (list, tuple)) else []
    named = all(isinstance(each, (str, keras.Layer)) for each in given)
    if value is not None and not (given and named and len(set(given)) == len(given)):
        raise ValueError(
            f"Expected `{name}` to be a list of different paths of layers, or of layers, or None for the default. Received: "
            f"{name}={value!r}"
        )


def check_index(name: str, value: Any, count: int) -> int:
    """Checks that a value is an integer from 0 to `count - 1` and returns it as an `int`."""
    if not is_integer(value) or not 0 <= value < count:
        raise ValueError(f"Expected `{name}` to be an integer from 0 to {count - 1}. Received: {name}={value!r}")
    return int(value)


def chosen_indices(name: str, value: Any, count: int) -> list[int]:
    """Converts the number of first items, or the indices of items, to indices.

    Args:
        name: Name of the argument.
        value: An integer, or a sequence of integers.
        count: Number of items.

    Raises:
        ValueError: If it is neither, chooses no item, or is out of range.
    """
    if is_integer(value):
        indices = list(range(min(value, count)))
    else:
        given = value if isinstance(value, (list, tuple, range)) or getattr(value, "ndim", 0) == 1 else []
        indices = [int(i) if is_integer(i) else -1 for i in given]
    if not indices or min(indices) < 0 or max(indices) >= count:
        raise ValueError(
            f"Expected `{name}` to be a number of at least 1, or indices from 0 to {count - 1}. Received: {name}={value!r}"
        )
    return indices


def real_array(name: str, value: Any, what: str = "an array of real numbers") -> np.ndarray:
    """Converts an argument to an array of real numbers, in its own type.

    Args:
        name: Name of the argument.
        value: Array, tensor, or nested list.
        what: What it is to be, for the error.

    Raises:
        ValueError: If it is something else.
    """
    try:
        array = np.asarray(value)
    except Exception:  # ragged lists and tensors, sparse ones, whatever an object's own conversion raises
        array = np.array(None)
    if array.dtype.kind not in "fiub" and (array.dtype.kind != "V" or array.dtype.names is not None):  # bfloat16 is of kind V
        given = type(value).__name__ + (f" of dtype {array.dtype}" if array.dtype != object else "")
        raise ValueError(f"Expected `{name}` to be {what}. Received: {name} is {given}, {short(value)}")
    return array


def short(value: Any) -> str:
    """The beginning of a value's repr, for errors."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_named(name: str, value: Any, kind: type, what: str) -> None:
    """Checks that a value is a nonempty mapping from names to instances of a class."""
    if not isinstance(value, Mapping) or not value or not all(isinstance(each, kind) for each in value.values()):
        raise ValueError(f"Expected `{name}` to map names to at least one {what}. Received: {name}={short(value)}")
