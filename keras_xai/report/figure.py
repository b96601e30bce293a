"""Matplotlib figures, shown by notebooks and by pyplot.

Imported only when something is drawn, because it imports matplotlib.
"""

import contextlib
import functools
import io
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

from keras_xai.data.archive import replacing
from keras_xai.data.checks import check_text
from keras_xai.results.text import encodable

_LEGEND_ROW = 1.7  # height in font sizes
# Backends that draw files and show nothing.
_FILE_BACKENDS = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}


class ShownFigure(Figure):
    """A figure that a notebook shows once: where it is displayed, or else at the end of the cell that has plotted it.

    All text is drawn literally: `$`, `_` and the like are not interpreted as mathematics, and glyphs that the font lacks are taken from
    other fonts. Numbers along axes keep matplotlib's own notation.
    """

    def draw(self, renderer: Any) -> None:
        """Draws the figure."""
        _as_it_is(self)
        super().draw(renderer)

    def get_tightbbox(self, *args: Any, **options: Any) -> Any:
        """The space that its contents take."""
        _as_it_is(self)
        return super().get_tightbbox(*args, **options)

    def suptitle(self, t: str, **options: Any) -> Text:
        """Adds a title to the figure, as `matplotlib.figure.Figure.suptitle`."""
        return super().suptitle(check_text("title", t), **options)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        # Asked first by a notebook that displays the figure, which then draws it by its own settings, or by `_repr_png_`. At the end of the
        # cell the inline backend displays all figures that pyplot has, and need not display this one again.
        if matplotlib.get_backend().lower().endswith("inline"):
            release(self)
        return {}

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
    """Creates a figure that is independent of pyplot and need not be closed.

    Args:
        **options: Options of `matplotlib.figure.Figure`.
    """
    figure = ShownFigure(**options)
    FigureCanvasAgg(figure)  # a canvas for drawing in addition to saving
    return figure


def give_to_pyplot(figure: Figure) -> None:
    """Has pyplot show a figure, if its backend shows any: in a window, or at the end of a notebook's cell.

    Args:
        figure: A complete figure.
    """
    # Backends with windows work in the main thread only.
    if matplotlib.get_backend().lower() in _FILE_BACKENDS or threading.current_thread() is not threading.main_thread():
        return
    from matplotlib import pyplot

    def existing(*args: Any, **options: Any) -> Figure:
        return figure

    # Pyplot has no other way to take a figure that exists which works in all of its versions.
    pyplot.figure(FigureClass=existing)  # type: ignore[arg-type]


def release(figure: Figure) -> None:
    """Takes a figure from pyplot, which shows it no more, if it was given to it by `give_to_pyplot`."""
    if isinstance(figure, ShownFigure) and "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)


def add_legend(parent: Any, handles: Sequence[Any], **options: Any) -> None:
    """Adds a legend in which names that begin with `_`, which matplotlib leaves out, are there.

    A legend of a figure has no more columns than fit, and the figure grows by its further rows, or to the height of a legend beside the
    axes.

    Args:
        parent: The figure or axes.
        handles: Its entries, which have labels.
        **options: Of `matplotlib.axes.Axes.legend`.
    """
    for columns in range(options.pop("ncols", 1), 0, -1):
        legend = parent.legend(handles, ["name"] * len(handles), ncols=columns, **options)
        for text, handle in zip(legend.get_texts(), handles, strict=True):
            text.set_text(str(handle.get_label()))
            text.set(parse_math=False, fontfamily=families(text.get_text()))
        if not isinstance(parent, Figure):
            return
        extent = legend.get_window_extent(parent.canvas.get_renderer())  # type: ignore[attr-defined]
        if extent.width <= parent.bbox.width or columns == 1:
            beside = "right" in str(options.get("loc"))
            rows = -(-len(handles) // columns) + 1 if beside else -(-len(handles) // columns) - 1
            height = rows * _LEGEND_ROW * legend.get_texts()[0].get_fontsize() / 72
            parent.set_figheight(max(parent.get_figheight(), height) if beside else parent.get_figheight() + height)
            return
        legend.remove()


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
