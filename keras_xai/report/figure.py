"""Matplotlib figures that show themselves in notebooks and under pyplot.

Imported when something is drawn, as it imports matplotlib.
"""

import contextlib
import contextvars
import io
from collections.abc import Iterator
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_WITH_WINDOWS = contextvars.ContextVar("with windows", default=False)


class ShownFigure(Figure):
    """A figure that a notebook shows as a picture when it is the last value of a cell, or is handed to `display`.

    It is not one of pyplot's, which a notebook would show twice and which stay in memory until they are closed.
    """

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


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
