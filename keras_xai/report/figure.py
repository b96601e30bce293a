"""Matplotlib figures with automatic display in notebooks and under pyplot.

Imported only when something is drawn, because it imports matplotlib.
"""

import contextlib
import contextvars
import io
import os
from collections.abc import Iterator
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keras_xai.data.archive import replacing

_WITH_WINDOWS = contextvars.ContextVar("with windows", default=False)


class ShownFigure(Figure):
    """A figure that a notebook shows if it is the last value of a cell or passed to `display`.

    It is not registered in pyplot, so notebooks do not show it twice and it does not stay in memory until it is closed.
    """

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()

    def savefig(self, fname: Any, **options: Any) -> None:
        """Saves the figure, as `matplotlib.figure.Figure.savefig`. A file that is there is replaced once the new one is complete.

        Args:
            fname: Path of the file, or an open file.
            **options: Of `matplotlib.figure.Figure.savefig`.
        """
        if not isinstance(fname, (str, os.PathLike)):
            super().savefig(fname, **options)
            return
        name = os.fspath(fname)
        if options.get("format") is None and not os.path.splitext(name)[1].strip("."):
            name = f"{name.rstrip('.')}.{self.canvas.get_default_filetype()}"  # as matplotlib does
        with replacing(name) as path:
            super().savefig(path, **options)


def new_figure(**options: Any) -> Figure:
    """Creates a figure.

    Within `with_windows`, if pyplot has windows, the figure is registered in pyplot. Otherwise it is independent of pyplot and need not be
    closed.

    Args:
        **options: Options of `matplotlib.figure.Figure`.
    """
    if _WITH_WINDOWS.get() and _has_windows():
        from matplotlib import pyplot

        return pyplot.figure(FigureClass=ShownFigure, **options)
    figure = ShownFigure(**options)
    FigureCanvasAgg(figure)  # a canvas for drawing in addition to saving
    return figure


@contextlib.contextmanager
def with_windows() -> Iterator[None]:
    """Context manager: figures are shown by `matplotlib.pyplot.show()` and released when their windows are closed."""
    token = _WITH_WINDOWS.set(True)
    try:
        yield
    finally:
        _WITH_WINDOWS.reset(token)


def _has_windows():
    """Whether the current or default backend of pyplot has windows."""
    return matplotlib.get_backend().lower().startswith(("gtk", "macosx", "qt", "tk", "wx"))
