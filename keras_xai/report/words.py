"""Words on backgrounds in the colors of their values."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.report.colors import SIGNED, Colors
from keras_xai.results.text import encodable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE_EMS = 34.0
_WORD = "border-radius: 3px; padding: 1px 3px; margin: 0 1px; white-space: pre-wrap;"
LUMINANCE = (0.299, 0.587, 0.114)


def draw_words(
    axes: "Axes",
    words: Sequence[tuple[int, str]],
    values: Any,
    *,
    outlined: int | None = None,
    colors: Colors = SIGNED,
) -> float:
    """Draws words in lines.

    Args:
        axes: Where to draw.
        words: Positions among `values`, and words.
        values: The value of each position.
        outlined: A position whose word has no color but an outline.
        colors: The color scale.

    Returns:
        The end of the color scale.
    """
    from matplotlib.patches import PathPatch, Rectangle
    from matplotlib.transforms import Affine2D

    # Drawn as outlines, since only their width in axes units determines the start of the next word.
    values = colors.shown(values)
    limit = colors.limit(np.array([values[i] for i, _ in words if i != outlined] or [0.0]))
    lines = 1
    for i, line, start, path in laid_out(words):
        width, top = path.get_extents().x1, 1.6 * line
        color = (1.0, 1.0, 1.0, 1.0) if i == outlined else colors.of(values[i], limit)
        edge = "#1c2024" if i == outlined else "none"
        axes.add_patch(Rectangle((start - 0.15, top + 0.1), width + 0.3, 1.4, facecolor=color, edgecolor=edge, linewidth=0.8))
        dark = is_dark(color)
        moved = Affine2D().scale(1, -1).translate(start, top + 1.15).transform_path(path)
        axes.add_patch(PathPatch(moved, facecolor="white" if dark else "#1c2024", edgecolor="none"))
        lines = line + 1
    axes.set(xticks=[], yticks=[], xlim=(-0.3, _LINE_EMS), ylim=(1.6 * lines, 0), aspect="equal", anchor="NW")
    axes.spines[:].set_visible(False)
    return limit


def words_of(tokens: np.ndarray, vocabulary: Sequence[str] | None) -> list[tuple[int, str]]:
    """Positions and words of all tokens of a text that are not padding.

    Args:
        tokens: Words, or integers, of which 0 is padding.
        vocabulary: The word of each integer; `None` for the integers themselves.

    Raises:
        ValueError: If there are not enough words.
    """
    if tokens.dtype.kind == "U":
        return [(i, str(word)) for i, word in enumerate(tokens) if word]
    used = [(i, int(token)) for i, token in enumerate(tokens) if token]
    if vocabulary is None:
        return [(i, str(token)) for i, token in used]
    if used and max(token for _, token in used) >= len(vocabulary):
        raise ValueError(
            f"Expected a `vocabulary` with a word for each token. Received: {len(vocabulary)} words, and the token "
            f"{max(token for _, token in used)}."
        )
    return [(i, vocabulary[token] or "[UNK]") for i, token in used]


def is_dark(color: Any) -> bool:
    """Whether text on a color, RGBA, is to be white."""
    return bool(np.dot(color[:3], LUMINANCE) < 0.5)


def laid_out(words: Sequence[tuple[int, str]]) -> list[tuple]:
    """For each word, its token's position, its line, its start in the line, and its outline, in units of em."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    from keras_xai.report.figure import families

    placed, line, start = [], 0, 0.0
    for i, word in words:
        # An outline is of one line, and its dollar signs are mathematics unless they are escaped.
        drawable = encodable(word).replace("\n", "⏎").replace("$", r"\$")
        path = TextPath((0, 0), drawable, size=1, prop=FontProperties(family=families(word)))
        width = path.get_extents().x1 if len(path.vertices) else 0.3
        if start and start + width > _LINE_EMS - 0.3:
            line, start = line + 1, 0.0
        placed.append((i, line, start, path))
        start += width + 0.5
    return placed


def word_html(word: str, value: float, color: Any) -> str:
    """A word as HTML on a background; its value is shown when the pointer is on it.

    Args:
        word: The word, in which HTML is escaped.
        value: Its value.
        color: The color of the background, RGBA.
    """
    from matplotlib.colors import to_hex

    style = f"{_WORD} background: {to_hex(color)}; color: {'#ffffff' if is_dark(color) else '#1c2024'};"
    return f'<span style="{style}" title="{value:.3g}">{html.escape(encodable(word))}</span>'
