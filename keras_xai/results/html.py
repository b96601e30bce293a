"""Results in notebooks: a table of facts, and a picture."""

import base64
import html
import io
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keras_xai.results.text import described, encodable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# No own color, so that it is readable on light and dark backgrounds; notebooks align cells to the right.
_CELL = "text-align: left; vertical-align: top; padding: 2px 12px 2px 0; border: none;"
_ROW = "background: none;"
_LONGEST = 600
_PIXELS_PER_INCH = 96
_TALLEST = 640  # pixels


def facts_table(title: str, facts: Mapping[str, Any]) -> str:
    """A table of names and values.

    Args:
        title: The line above the table.
        facts: Values by name; values other than strings are described, and `None` is left out.
    """
    rows = [
        f'<tr style="{_ROW}"><th style="{_CELL} font-weight: 600;">{_escaped(name)}</th>'
        f'<td style="{_CELL}">{_escaped(described(value))}</td></tr>'
        for name, value in facts.items()
        if value is not None
    ]
    body = f'<table style="border-collapse: collapse; margin: 4px 0;"><tbody>{"".join(rows)}</tbody></table>' if rows else ""
    return f"<div><strong>{_escaped(title)}</strong></div>{body}"


def frame_table(frame: "pd.DataFrame", most: int = 40) -> str:
    """A data frame with a maximum number of rows."""
    return encodable(
        frame.to_html(escape=True, border=0, max_rows=most, float_format=lambda value: f"{value:.3g}", na_rep="-")
    )


def image(figure: "Figure") -> str:
    """A figure as an embedded picture; its window is closed, if it has one."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=1.5 * _PIXELS_PER_INCH)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    width, height = _PIXELS_PER_INCH * figure.get_size_inches()
    width *= min(1, _TALLEST / height)
    style = f"display: block; margin-top: 8px; width: {width:.0f}px; max-width: 100%;"
    return f'<img src="data:image/png;base64,{data}" alt="" style="{style}">'


def _escaped(text):
    text = encodable(str(text))
    return html.escape(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")
