"""Names and values of features as labels of bars and axes."""

import textwrap
from typing import Any

import numpy as np

_LONGEST_NAME, _LONGEST_VALUE = 42, 18
INCHES_PER_LETTER = 0.068  # of a font of size 8


def feature_label(name: str, value: Any) -> str:
    """The name and the value of a feature, such as `"age = 42"`, both shortened."""
    return f"{shortened(str(name))} = {shortened(_written(value), _LONGEST_VALUE)}"


def shortened(text: str, most: int = _LONGEST_NAME) -> str:
    """A text without its middle, if it is too long for a label."""
    return text if len(text) <= most else f"{text[: most - 9]}...{text[-6:]}"


def wrapped_label(line: str, longest: int) -> str:
    """A line of a label in lines of at most so many letters, with the probability in one."""
    if len(line) <= longest:
        return line
    unbroken = line.replace("(p = ", "(p\xa0=\xa0")
    return "\n".join(textwrap.wrap(unbroken, longest)).replace("\xa0", " ")


def _written(value):
    """A value of a table as text."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if not isinstance(value, (int, float, np.number)) or isinstance(value, bool):
        return str(value)
    number = float(value)
    return f"{number:,.0f}" if 1e3 <= abs(number) < 1e7 else f"{number:.3g}"
