"""The diverging color scale centered at zero, used for all signed values."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.data.checks import check_positive, check_text, real_array
from keras_xai.report.plots import bare_figure
from keras_xai.results.pictures import saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Red for positive and blue for negative values, white at zero; distinguishable with red-green color blindness.
COLOR_MAP = "RdBu_r"


def shared_limit(values: Iterable[np.ndarray]) -> float:
    """The limit of a common color scale of several arrays: their largest absolute value, 1 if all are zero."""
    arrays = [np.asarray(each, dtype="float64") for each in values]
    if not sum(array.size for array in arrays):
        raise ValueError("Expected at least one value for the limit of a color scale. Received: no values.")
    limit = max(np.abs(array).max() for array in arrays if array.size)
    if not np.isfinite(limit):
        raise ValueError("Expected finite values for a color scale. Received: NaN or infinity.")
    return float(limit) or 1.0


@saved
def heatmap(
    values: np.ndarray,
    limit: float | None = None,
    *,
    outline: np.ndarray | None = None,
    path: str | os.PathLike[str] | None = None,
) -> "Figure":
    """Plots signed values as colors: red above zero, blue below, white at zero.

    Args:
        values: `(height, width)`, or `(height, width, channels)`, which is summed over the channels.
        limit: Value of the darkest colors; by default the largest absolute value. To compare heatmaps, use the largest value of all.
        outline: `(height, width)` or `(height, width, channels)`: an image; a thin line is drawn around its pixels brighter than the middle
            of its range.
        path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

    Returns:
        A square matplotlib figure without axes.

    Raises:
        ValueError: If a shape is wrong, the limit is not positive, or a value is not finite.

    Example:

    >>> import numpy as np
    >>> from keras_xai.report import heatmap
    >>> figure = heatmap(np.array([[1.0, -3.0], [0.0, 2.0]]))
    >>> figure.axes[0].images[0].get_clim()
    (-3.0, 3.0)
    """
    values = flat_image(values, "values")
    figure, axes = bare_figure(values.shape)
    draw_heatmap(axes, values, limit, outline=outline)
    return figure


def draw_heatmap(axes: "Axes", values: np.ndarray, limit: float | None = None, *, outline: np.ndarray | None = None) -> None:
    """Draws a `heatmap` into axes, with the same arguments and errors."""
    values = flat_image(values, "values")
    limit = shared_limit([values]) if limit is None else _checked(limit)
    if not np.isfinite(values).all():
        raise ValueError("Expected finite values for a heatmap. Received: NaN or infinity.")
    axes.imshow(values, cmap=COLOR_MAP, vmin=-limit, vmax=limit, interpolation="nearest")
    if outline is not None:
        outline = flat_image(outline, "outline")
        if outline.shape != values.shape:
            raise ValueError(
                f"Expected `outline` to have the height and width of the values, {values.shape}. Received: {outline.shape}."
            )
        _draw_outline(axes, outline > (outline.min() + outline.max()) / 2)


@saved
def color_bar(limit: float, label: str, *, path: str | os.PathLike[str] | None = None) -> "Figure":
    """Plots the color scale from `-limit` to `limit`.

    Args:
        limit: As in `heatmap`.
        label: Meaning of the values, with their unit.
        path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

    Returns:
        A wide, low matplotlib figure.

    Example:

    >>> from keras_xai.report import color_bar
    >>> [float(end) for end in color_bar(3.0, "weight").axes[0].get_xlim()]
    [-3.0, 3.0]
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    from keras_xai.report.figure import new_figure

    limit = _checked(limit)
    check_text("label", label)
    figure = new_figure(figsize=(5.5, 0.75))
    axes = figure.add_axes((0.04, 0.68, 0.92, 0.26))
    bar = figure.colorbar(ScalarMappable(Normalize(-limit, limit), COLOR_MAP), cax=axes, orientation="horizontal")
    bar.ax.tick_params(labelsize=9)
    bar.set_label(label, fontsize=9)
    return figure


def _checked(limit):
    return check_positive("limit", limit)


def flat_image(values: np.ndarray, name: str) -> np.ndarray:
    """Values `(height, width)`, summed over channels if there are any; `name` is used in error messages."""
    values = real_array(name, values, "an image").astype("float64")
    if values.ndim not in (2, 3) or not values.size:
        raise ValueError(
            f"Expected `{name}` to have shape (height, width) or (height, width, channels). Received: shape {values.shape}. "
            "Draw one sample at a time."
        )
    return values.sum(axis=2) if values.ndim == 3 else values


def _draw_outline(axes, mask):
    """Lines along the pixel edges where the mask changes; the center of pixel (row, column) is at its indices."""
    from matplotlib.collections import LineCollection

    sides = [((c + 0.5, r - 0.5), (c + 0.5, r + 0.5)) for r, c in np.argwhere(mask[:, 1:] != mask[:, :-1])]
    tops = [((c - 0.5, r + 0.5), (c + 0.5, r + 0.5)) for r, c in np.argwhere(mask[1:] != mask[:-1])]
    axes.add_collection(LineCollection(sides + tops, colors="#30363d", linewidths=0.6, capstyle="round"))
