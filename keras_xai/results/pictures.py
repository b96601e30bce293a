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

from keras_xai.data.archive import check_is_file_name
from keras_xai.data.checks import check_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_P = ParamSpec("_P")
_EMBEDDED = contextvars.ContextVar("embedded", default=False)


def saved(draw: "Callable[_P, Figure]") -> "Callable[_P, Figure]":
    """A function whose figure is saved where its keyword argument `path` tells, which is checked before anything is drawn.

    `draw` has `path` in its signature for its readers and for types, and is called without it.

    Args:
        draw: The function, which returns a figure.

    Raises:
        TypeError: By the function, if `path` is no path.
        ValueError: If it is the path of a folder, or its ending is that of no picture.
        FileNotFoundError: If the folder of the file does not exist.
        PermissionError: If the file cannot be written.
    """

    @functools.wraps(draw)
    def saving(*args: _P.args, **arguments: _P.kwargs) -> "Figure":
        path: Any = arguments.pop("path", None)
        if path is not None:
            _check_picture_path(path)
        figure = draw(*args, **arguments)
        if path is not None:
            figure.savefig(path)
        return figure

    return saving


def _check_picture_path(path):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    check_path("path", path)
    name = os.fspath(path)
    ending = os.path.splitext(name)[1].removeprefix(".").lower()
    known = FigureCanvasAgg.get_supported_filetypes()
    if not os.path.basename(name) or os.path.isdir(name) or ending not in ("", *known):
        raise ValueError(
            f"Expected `path` to be the path of a file that ends in one of {sorted(f'.{each}' for each in known)}. Received: path={path!r}"
        )
    check_is_file_name(path)


def html(module: str, function: str, *args: Any) -> str:
    """The HTML that a function of `keras_xai.report` returns; arguments as in `drawn`."""
    return getattr(importlib.import_module(f"keras_xai.report.{module}"), function)(*args)


def drawn(module: str, function: str, *args: Any, path: str | os.PathLike[str] | None, **arguments: Any) -> "Figure":
    """Returns the figure drawn by a function of `keras_xai.report`, which is saved if there is a path, and which pyplot shows, see `shown`.

    Args:
        module: Name of the module in `keras_xai.report`.
        function: Name of the function.
        *args: Its positional arguments.
        path: See `saved`. Without a default, so that every plot has it.
        **arguments: Its keyword arguments.
    """
    draw = getattr(importlib.import_module(f"keras_xai.report.{module}"), function)
    # Shown after it is saved, so that no figure is shown if that fails.
    return shown(saved(draw))(*args, path=path, **arguments)


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
