"""Checks of arguments: counts, numbers, seeds, `verbose`."""

import numbers
from typing import Any

import numpy as np


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
    """Refuses what is not a finite number above 0; returns it as a `float`."""
    if not (is_number(value) and 0 < value < np.inf):
        raise ValueError(f"Expected `{name}` to be a positive number. Received: {name}={value!r}")
    return float(value)


def check_seed(seed: Any) -> int:
    """Checks that a value is an integer of at least 0 and returns it as an `int`."""
    return check_count("seed", seed, least=0)


def check_verbose(verbose: Any) -> None:
    """Checks that a value is valid for `verbose` of `keras.Model.predict`."""
    if not (verbose == "auto" if isinstance(verbose, str) else verbose in (0, 1, 2)):
        raise ValueError(f"Expected `verbose` to be 'auto', 0, 1 or 2. Received: verbose={verbose!r}")
