"""Pictures of results, found by name when they are drawn.

`keras_xai.report` imports results, whose fields it draws. So that imports go one way only, results name its functions and look them
up here, and nowhere else.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drawn(module: str, function: str, *args: Any, **arguments: Any) -> "Figure":
    """The figure that a function of `keras_xai.report` draws, such that `matplotlib.pyplot.show()` shows it where it has windows.

    Args:
        module: Name of the module in `keras_xai.report`.
        function: Name of the function.
        *args: Its arguments.
        **arguments: Its arguments by name.
    """
    with importlib.import_module("keras_xai.report.figure").with_windows():
        return getattr(importlib.import_module(f"keras_xai.report.{module}"), function)(*args, **arguments)
