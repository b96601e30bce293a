"""Matplotlib figures that show themselves in notebooks and under pyplot.

Imported when something is drawn, as it imports matplotlib.
"""

import contextlib
import contextvars
import functools
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

from keras_xai.results.text import encodable

_WITH_WINDOWS = contextvars.ContextVar("with windows", default=False)


class ShownFigure(Figure):
    """A figure that a notebook shows as a picture when it is the last value of a cell, or is handed to `display`.

    It is not one of pyplot's, which a notebook would show twice and which stay in memory until they are closed.

    All text in it is drawn as it is: `$`, `_` and the like are no mathematics, and what the font lacks is taken from other fonts. Numbers
    along axes, to which matplotlib gives its own notation, stay as it writes them.
    """

    def draw(self, renderer: Any) -> None:
        """Draws the figure."""
        _as_it_is(self)
        super().draw(renderer)

    def get_tightbbox(self, *args: Any, **options: Any) -> Any:
        """The space that its contents take."""
        _as_it_is(self)
        return super().get_tightbbox(*args, **options)

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


def add_legend(parent: Any, handles: Sequence[Any], **options: Any) -> None:
    """Adds a legend in which names that begin with `_`, which matplotlib leaves out, are there.

    Args:
        parent: The figure or axes.
        handles: Its entries, which have labels.
        **options: Of `matplotlib.axes.Axes.legend`.
    """
    legend = parent.legend(handles, ["name"] * len(handles), **options)
    for text, handle in zip(legend.get_texts(), handles, strict=True):
        text.set_text(str(handle.get_label()))


def families(text: str) -> list[str]:
    """Font families in which each character of a text is found, the usual ones first."""
    usual = list(matplotlib.rcParams["font.family"])
    others = [name for character in dict.fromkeys(text) if not " " <= character <= "~" for name in _families_with(character)]
    return [*usual, *dict.fromkeys(others)]


@functools.cache
def _families_with(character: str) -> tuple[str, ...]:
    """The first font that has a character besides DejaVu Sans, the usual one, and the one that has a sign for every character."""
    entries = font_manager.fontManager.ttflist
    last = tuple(entry.name for entry in entries if entry.name.startswith("Last Resort"))[:1]
    for entry in entries:
        if not entry.name.startswith("Last Resort") and entry.style == "normal":
            with contextlib.suppress(Exception):  # fonts of other systems and of colored bitmaps, which matplotlib cannot draw
                if ord(character) in font_manager.get_font(entry.fname).get_charmap():
                    return (entry.name, *last)
    return last


def _as_it_is(figure):
    """Prepares all text of a figure to be drawn as it is. Text that matplotlib writes itself, as powers of ten, is left alone."""
    numbers = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            formatter = axis.get_major_formatter()
            if isinstance(formatter, FixedFormatter):
                formatter.seq = [encodable(each) for each in formatter.seq]
            elif isinstance(formatter, FuncFormatter):
                if not isinstance(formatter.func, _Encodable):
                    formatter.func = _Encodable(formatter.func)
            else:
                numbers.update(axis.get_majorticklabels())
            numbers.update([*axis.get_minorticklabels(), axis.get_offset_text()])
    for text in figure.findobj(Text):
        if text not in numbers:
            text.set_parse_math(False)
            content = text.get_text()
            if not content.isascii() or not content.isprintable():
                if content != encodable(content):
                    text.set_text(encodable(content))
                if (found := [*dict.fromkeys([*text.get_fontfamily(), *families(content)])]) != text.get_fontfamily():
                    text.set_fontfamily(found)


class _Encodable:
    """A function from the number of a tick to its name, of which all can be drawn."""

    def __init__(self, name: Callable):
        self._name = name

    def __call__(self, x: float, position: int | None = None) -> str:
        return encodable(self._name(x, position))


def _has_windows():
    """Whether the backend that pyplot has chosen, or would choose, is one with windows."""
    return matplotlib.get_backend().lower().startswith(("gtk", "macosx", "qt", "tk", "wx"))
