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
        ValueError: If it is not the path of a file, or its ending is that of no picture.
        FileNotFoundError: If the folder of the file does not exist.
    """
    if path is None:
        return figure
    check_path("path", path)
    name = os.fspath(path)
    ending = os.path.splitext(name)[1].removeprefix(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if not os.path.basename(name) or os.path.isdir(name) or ending not in ("", *known):
        raise ValueError(
            f"Expected `path` to be the path of a file that ends in one of {sorted(f'.{each}' for each in known)}. Received: path={path!r}"
        )
    figure.savefig(name)
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
