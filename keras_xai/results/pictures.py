"""Plots of results, looked up by name when they are drawn.

`keras_xai.report` imports results, whose fields it draws. To avoid circular imports, results refer to its functions by name and look them
up here only.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drawn(module: str, function: str, *args: Any, **arguments: Any) -> "Figure":
    """Returns the figure drawn by a function of `keras_xai.report`, registered for `matplotlib.pyplot.show()` if it has windows.

    Args:
        module: Name of the module in `keras_xai.report`.
        function: Name of the function.
        *args: Its positional arguments.
        **arguments: Its keyword arguments.
    """
    with importlib.import_module("keras_xai.report.figure").with_windows():
        return getattr(importlib.import_module(f"keras_xai.report.{module}"), function)(*args, **arguments)
