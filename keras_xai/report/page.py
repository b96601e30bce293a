"""`Page`: an HTML page in one file with embedded pictures."""

import base64
import dataclasses
import io
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from keras_xai.data.archive import replacing_bytes
from keras_xai.data.checks import check_instance, check_text, is_integer
from keras_xai.report.blocks import (
    BLOCK_STYLE,
    Card,
    Case,
    bars_html,
    card_html,
    case_html,
    cells,
    check_figure,
    escaped,
    items,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Twice the 96 pixels per inch of browsers, so that pictures stay sharp on high-resolution screens.
_PIXELS_PER_INCH = 192

_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 70rem; background: #fff; color: #1c2024;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .75rem; padding-bottom: .3rem; border-bottom: 1px solid #d9dde1; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
p { max-width: 52rem; margin: 0 0 .8rem; }
table { border-collapse: collapse; margin: 1rem 0 1.5rem; font-size: .95rem; min-width: min(52rem, 100%); }
caption, figcaption { color: #474f58; font-size: .9rem; text-align: left; }
caption, figure > img + figcaption { max-width: 52rem; }
caption { caption-side: bottom; padding-top: .6rem; }
th, td { padding: .38rem 1.2rem .38rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e6e9ec; }
h1, h2, h3, p, th, td, caption, figcaption { unicode-bidi: plaintext; white-space: pre-line; }
th { font-weight: 600; border-bottom-color: #a9b1ba; }
td + td, th + th { text-align: right; padding-right: 0; font-variant-numeric: tabular-nums; white-space: pre; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; display: block; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(31rem, 100%), 1fr)); gap: 1rem; margin: 1rem 0; }
.panel { border: 1px solid #e0e4e8; border-radius: 8px; padding: .9rem 1rem 1rem; }
.panel h3 { margin: 0 0 .6rem; }
.panel figure { display: flex; flex-wrap: wrap; align-items: flex-start; gap: .5rem .75rem; margin: 0; }
.panel img { width: 9.25rem; flex: none; }
.panel figcaption { flex: 1 1 9rem; line-height: 1.45; }
@media print { .panel { break-inside: avoid; } }
""".strip()


@dataclasses.dataclass(frozen=True)
class Panel:
    """Pictures of equal size side by side, with a caption.

    Attributes:
        title: A short title.
        figures: matplotlib figures.
        caption: Description of the pictures.
    """

    title: str
    figures: Sequence["Figure"]
    caption: str

    def __post_init__(self):
        check_text("title", self.title)
        check_text("caption", self.caption)
        for figure in items("figures", self.figures):
            check_figure("figures", figure)


class Page:
    """An HTML page without external files: its style is in its head, its pictures are embedded.

    Parts are added from top to bottom, and every method that adds one returns the page. All text is plain text: HTML is escaped.

    Args:
        title: Heading of the page and title of its window.

    Example:

    >>> from keras_xai.report import Page
    >>> page = Page("Digits").text("Accuracy & radius").table([("accuracy", "97 %")])
    >>> "<p>Accuracy &amp; radius</p>" in page.html()
    True
    """

    def __init__(self, title: str):
        self._title = escaped(check_text("title", title))
        self._parts: list[str] = []

    def heading(self, text: str, level: int = 2) -> "Page":
        """Adds a heading.

        Args:
            text: The heading.
            level: 2 for a section, 3 for a subsection; 1 is the page's title.
        """
        check_text("text", text)
        if not is_integer(level) or level not in (2, 3):
            raise ValueError(
                f"Expected `level` to be 2 or 3; the page's title is the only heading of level 1. Received: level={level!r}"
            )
        return self._add(f"<h{level}>{escaped(text)}</h{level}>")

    def text(self, text: str) -> "Page":
        """Adds a paragraph."""
        return self._add(f"<p>{escaped(check_text('text', text))}</p>")

    def table(self, rows: Iterable[Sequence], *, header: Sequence | None = None, caption: str | None = None) -> "Page":
        """Adds a table.

        Args:
            rows: Equally long sequences of cells; the first cell of a row is its name.
            header: Names of the columns.
            caption: Description of the table.

        Raises:
            ValueError: If there are no rows or they differ in length.
        """
        if caption is not None:
            check_text("caption", caption)
        rows = [cells("rows", row) for row in items("rows", rows)]
        header = None if header is None else cells("header", header)
        lengths = {len(row) for row in rows} | ({len(header)} if header is not None else set())
        if not rows or len(lengths) > 1:
            raise ValueError(
                f"Expected at least one row, and `rows` (and `header`) of equal length. Received: {len(rows)} rows of {sorted(lengths)} "
                "cells."
            )
        lines = [f"<caption>{escaped(caption)}</caption>"] if caption else []
        if header is not None:
            lines.append(f"<thead>{_row(header, 'th')}</thead>")
        lines += ["<tbody>", *(_row(row, "td") for row in rows), "</tbody>"]
        return self._add("<table>", *lines, "</table>")

    def figure(self, figure: "Figure", caption: str = "") -> "Page":
        """Adds a picture.

        Args:
            figure: A matplotlib figure; drawn immediately, so that later changes to it have no effect. One of this package is then
                not shown besides, by a notebook or by `matplotlib.pyplot.show()`.
            caption: Description of the picture.
        """
        check_text("caption", caption)
        check_figure("figure", figure)
        return self._add(_figure([_sized_image(figure, caption)], caption))

    def panels(self, panels: Iterable[Panel]) -> "Page":
        """Adds panels in a grid with as many columns as fit into the window."""
        lines = []
        for panel in items("panels", panels):
            check_instance("panels", panel, Panel, "a list of `Panel`")
            images = [_image(figure, panel.title) for figure in panel.figures]
            lines += [
                '<section class="panel">',
                f"<h3>{escaped(panel.title)}</h3>",
                _figure(images, panel.caption),
                "</section>",
            ]
        return self._add('<div class="panels">', *lines, "</div>")

    def bars(self, bars: Iterable[tuple[str, float, str]]) -> "Page":
        """Adds named bars.

        Args:
            bars: Names, lengths from 0 to 1, and the amounts as text.
        """
        return self._add(bars_html(bars))

    def cards(self, cards: Iterable[Card]) -> "Page":
        """Adds cards side by side, as many as fit into the window."""
        lines = []
        for card in items("cards", cards):
            check_instance("cards", card, Card, "a list of `Card`")
            lines.append(card_html(card))
        return self._add('<div class="cards">', *lines, "</div>")

    def cases(self, cases: Iterable[Case]) -> "Page":
        """Adds cases one below the other."""
        lines = []
        for case in items("cases", cases):
            check_instance("cases", case, Case, "a list of `Case`")
            figure = (
                [] if case.figure is None else [_figure([_sized_image(case.figure, case.caption or case.title)], case.caption)]
            )
            lines.append(case_html(case, figure))
        return self._add(*lines)

    def html(self) -> str:
        """The page."""
        head = (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{self._title}</title>\n<style>\n{_STYLE}\n{BLOCK_STYLE}\n</style>\n</head>"
        )
        return "\n".join([head, "<body>", f"<h1>{self._title}</h1>", *self._parts, "</body>", "</html>", ""])

    def save(self, path: str | os.PathLike) -> pathlib.Path:
        """Writes the page to a file; an existing file is replaced atomically.

        Args:
            path: Name of the file; its folder must exist.

        Returns:
            The path.

        Raises:
            IsADirectoryError: If it is the path of a folder.
            FileNotFoundError: If the folder of the file does not exist.
        """
        with replacing_bytes(path) as file:
            file.write(self.html().encode("utf-8"))
        return pathlib.Path(path)

    def _add(self, *lines):
        self._parts.append("\n".join(lines))
        return self


def _row(cells, tag):
    return "<tr>" + "".join(f"<{tag}>{escaped(cell)}</{tag}>" for cell in cells) + "</tr>"


def _figure(images, caption):
    return "\n".join(
        ["<figure>", *images, *([f"<figcaption>{escaped(caption)}</figcaption>"] if caption else []), "</figure>"]
    )


def _sized_image(figure, description):
    width = figure.get_size_inches()[0] * _PIXELS_PER_INCH / 2
    return _image(figure, description, f' width="{width:.0f}"')


def _image(figure, description, attributes=""):
    from keras_xai.report.figure import release

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_PIXELS_PER_INCH)
    release(figure)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img src="data:image/png;base64,{data}" alt="{escaped(description)}"{attributes}>'
