"""Words on backgrounds in the colors of their values, and the scale of these colors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.report.heatmap import COLOR_MAP
from keras_xai.results.text import encodable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Percentile of the absolute values that limits the color scale, so that a few pixels of a noisy gradient do not wash out all others.
_PERCENTILE = 99.0
_LINE_EMS = 34.0
LUMINANCE = (0.299, 0.587, 0.114)


def color_limit(values: Any) -> float:
    """The end of the color scale: the 99th percentile of the absolute values."""
    sizes = np.abs(values)
    return float(np.percentile(sizes, _PERCENTILE) or sizes.max() or 1.0)


def colors_of(values: Any, limit: float) -> np.ndarray:
    """The colors of values, RGBA, on a scale that ends at `limit`."""
    from matplotlib import colormaps

    return colormaps[COLOR_MAP]((np.clip(values / limit, -1, 1) + 1) / 2)


def draw_words(axes: "Axes", words: Sequence[tuple[int, str]], values: Any, *, outlined: int | None = None) -> None:
    """Draws words in lines.

    Args:
        axes: Where to draw.
        words: Positions among `values`, and words.
        values: The value of each position.
        outlined: A position whose word has no color but an outline.
    """
    from matplotlib.patches import PathPatch, Rectangle
    from matplotlib.transforms import Affine2D

    # Drawn as outlines, since only their width in axes units determines the start of the next word.
    limit = color_limit(np.array([values[i] for i, _ in words if i != outlined] or [0.0]))
    lines = 1
    for i, line, start, path in laid_out(words):
        width, top = path.get_extents().x1, 1.6 * line
        color = (1.0, 1.0, 1.0, 1.0) if i == outlined else colors_of(values[i], limit)
        edge = "#1c2024" if i == outlined else "none"
        axes.add_patch(Rectangle((start - 0.15, top + 0.1), width + 0.3, 1.4, facecolor=color, edgecolor=edge, linewidth=0.8))
        dark = np.dot(color[:3], LUMINANCE) < 0.5
        moved = Affine2D().scale(1, -1).translate(start, top + 1.15).transform_path(path)
        axes.add_patch(PathPatch(moved, facecolor="white" if dark else "#1c2024", edgecolor="none"))
        lines = line + 1
    axes.set(xticks=[], yticks=[], xlim=(-0.3, _LINE_EMS), ylim=(1.6 * lines, 0), aspect="equal", anchor="NW")
    axes.spines[:].set_visible(False)


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


def add_scale(figure: "Figure") -> None:
    """Adds a color bar below all axes."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = ScalarMappable(Normalize(-1, 1), COLOR_MAP)
    height = figure.get_size_inches()[1]
    bar = figure.colorbar(
        scale, ax=figure.axes, location="bottom", shrink=min(1.0, 4 / figure.get_size_inches()[0]), aspect=30, pad=0.1 / height
    )
    bar.set_ticks([-1, 0, 1], labels=["negative", "0", "positive"])
    bar.ax.tick_params(labelsize=8, length=2)
    bar.outline.set_visible(False)
