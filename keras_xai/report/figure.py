"""The figures of this package: they show themselves in a notebook, and are windows where pyplot has windows.

Imported when something is drawn, as it imports matplotlib.
"""

import io
import sys
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


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

    Where pyplot is in use and its backend has windows, it is one of pyplot's, so that `matplotlib.pyplot.show()` shows it and it is
    gone once its window is closed. Everywhere else pyplot knows nothing of it, and nothing has to be closed.

    Args:
        **options: Of `matplotlib.figure.Figure`.
    """
    if "matplotlib.pyplot" in sys.modules and _has_windows():
        return sys.modules["matplotlib.pyplot"].figure(FigureClass=ShownFigure, **options)
    figure = ShownFigure(**options)
    FigureCanvasAgg(figure)  # so that it can be drawn by its own canvas, and not only saved
    return figure


def _has_windows():
    """Whether the backend that pyplot has chosen is one with windows."""
    return matplotlib.get_backend().lower().startswith(("gtk", "macosx", "qt", "tk", "wx"))
