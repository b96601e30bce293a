"""Plots of results, looked up by name when they are drawn.

`keras_xai.report` imports results, whose fields it draws. To avoid circular imports, results refer to its functions by name and look them
up here only.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from keras_xai.data.checks import check_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def saved(figure: "Figure", path: str | os.PathLike[str] | None) -> "Figure":
    """A figure, which is saved if there is a path.

    Args:
        figure: The figure.
        path: Path of the file, whose ending tells the format; or `None`.

    Raises:
        TypeError: If it is no path.
    """
    if path is not None:
        check_path("path", path)
        figure.savefig(path)
    return figure


def html(module: str, function: str, *args: Any) -> str:
    """The HTML that a function of `keras_xai.report` returns; arguments as in `drawn`."""
    return getattr(importlib.import_module(f"keras_xai.report.{module}"), function)(*args)


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
