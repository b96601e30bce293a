"""Plots of results, looked up by name when they are drawn.

`keras_xai.report` imports results, whose fields it draws. To avoid circular imports, results refer to its functions by name and look them
up here only.
"""

import contextlib
import contextvars
import functools
import importlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ParamSpec

from keras_xai.data.checks import check_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_P = ParamSpec("_P")
_EMBEDDED = contextvars.ContextVar("embedded", default=False)


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


def drawn(module: str, function: str, *args: Any, path: str | os.PathLike[str] | None = None, **arguments: Any) -> "Figure":
    """Returns the figure drawn by a function of `keras_xai.report`, which is saved if there is a path, and which pyplot shows, see `shown`.

    Args:
        module: Name of the module in `keras_xai.report`.
        function: Name of the function.
        *args: Its positional arguments.
        path: See `saved`.
        **arguments: Its keyword arguments.

    Raises:
        TypeError: If the path is none.
    """
    draw = getattr(importlib.import_module(f"keras_xai.report.{module}"), function)
    # Shown after it is saved, so that no figure is shown if that fails.
    return shown(lambda: saved(draw(*args, **arguments), path))()


def shown(draw: Callable[_P, "Figure"]) -> Callable[_P, "Figure"]:
    """A function whose figures pyplot shows: at the end of a notebook's cell, or by `matplotlib.pyplot.show()`.

    A figure is given to pyplot when it is complete, so that nothing is shown of one that could not be drawn; and only if pyplot's backend
    shows figures, so that others need not be closed.

    Args:
        draw: The function, which returns a figure.
    """

    @functools.wraps(draw)
    def drawing(*args: _P.args, **arguments: _P.kwargs) -> "Figure":
        figure = draw(*args, **arguments)
        if not _EMBEDDED.get():
            importlib.import_module("keras_xai.report.figure").give_to_pyplot(figure)
        return figure

    return drawing


@contextlib.contextmanager
def embedding() -> Iterator[None]:
    """Context manager: figures are drawn to be embedded in HTML, and pyplot does not show them."""
    token = _EMBEDDED.set(True)
    try:
        yield
    finally:
        _EMBEDDED.reset(token)
