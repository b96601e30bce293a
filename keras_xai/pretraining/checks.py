"""Checks of arguments."""

from typing import Any


def check_count(name: str, value: Any) -> None:
    """Refuses what is not a whole number of at least 1.

    Args:
        name: The argument.
        value: Its value.
    """
    if not (isinstance(value, int) and value >= 1):
        raise ValueError(f"Expected `{name}` to be a whole number of at least 1. Received: {name}={value!r}")
