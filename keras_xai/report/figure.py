"""Matplotlib figures that show themselves in notebooks and under pyplot.

Imported when something is drawn, as it imports matplotlib.
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
    """A figure that a notebook shows as a picture when it is the last value of a cell, or is handed to `display`.

    It is not one of pyplot's, which a notebook would show twice and which stay in memory until they are closed.
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
    """A new figure.

    Within `with_windows`, and where pyplot has windows, it is one of pyplot's. Everywhere else pyplot knows nothing of it, and nothing
    has to be closed.

    Args:
        **options: Of `matplotlib.figure.Figure`.
    """
    if _WITH_WINDOWS.get() and _has_windows():
        from matplotlib import pyplot

        return pyplot.figure(FigureClass=ShownFigure, **options)
    figure = ShownFigure(**options)
    FigureCanvasAgg(figure)  # so that it can be drawn by its own canvas, and not only saved
    return figure


@contextlib.contextmanager
def with_windows() -> Iterator[None]:
    """Within it, figures are such that `matplotlib.pyplot.show()` shows them, and are gone once their windows are closed."""
    token = _WITH_WINDOWS.set(True)
    try:
        yield
    finally:
        _WITH_WINDOWS.reset(token)


def _has_windows():
    """Whether the backend that pyplot has chosen, or would choose, is one with windows."""
    return matplotlib.get_backend().lower().startswith(("gtk", "macosx", "qt", "tk", "wx"))
