"""Values drawn over what they explain: images and series."""

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.report.colors import Colors
from keras_xai.report.words import LUMINANCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRAY = "#8a939c"


def flat(values: np.ndarray) -> np.ndarray:
    """An image with one value per pixel; for a volume, the mean over all but the last two spatial axes."""
    if values.ndim == 2:
        return values
    values = values.sum(axis=-1)
    return values.mean(axis=tuple(range(values.ndim - 2)))


def draw_over(axes: "Axes", values: Any, picture: np.ndarray, colors: Colors, alpha: float) -> float:
    """Draws colors over a gray picture, more opaque for larger absolute values.

    Args:
        axes: Where to draw.
        values: `(height, width)`.
        picture: `(height, width)` or `(height, width, 3)`.
        colors: The color scale.
        alpha: Opacity of the largest value.

    Returns:
        The end of the color scale.
    """
    gray = picture if picture.ndim == 2 else picture @ LUMINANCE
    gray = (gray - gray.min()) / (np.ptp(gray) or 1)
    values = colors.shown(values)
    limit = colors.limit(values)
    strength = alpha * np.clip(np.abs(values) / limit, 0, 1)[..., None] ** 0.6
    # Blended here instead of by transparency, so that a picture larger than its axes is downsampled as a whole.
    axes.imshow(strength * colors.of(values, limit)[..., :3] + (1 - strength) * (0.55 + 0.45 * gray[..., None]))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("#c4cad0")
    axes.spines[:].set_linewidth(0.8)
    return limit


def draw_lines(axes: "Axes", x: np.ndarray, values: Any, colors: Colors) -> float:
    """Draws a line per channel, with each segment in the color of the values at its ends.

    Args:
        axes: Where to draw.
        x: `(time, channels)`.
        values: The same, or `(time, 1)`.
        colors: The color scale.

    Returns:
        The end of the color scale.
    """
    from matplotlib.collections import LineCollection

    values = np.broadcast_to(colors.shown(values), x.shape)
    limit, time = colors.limit(values), np.arange(len(x))
    for channel, found in zip(x.T, values.T, strict=True):
        points = np.stack([time, channel], axis=1)
        axes.plot(time, channel, color=GRAY, linewidth=3.8, solid_capstyle="round", zorder=1)
        segments = [*np.stack([points[:-1], points[1:]], axis=1)]
        ends = colors.of((found[1:] + found[:-1]) / 2, limit)
        axes.add_collection(LineCollection(segments, colors=ends, linewidths=2.6, capstyle="round", zorder=2))
    prepare_lines(axes)
    return limit


def prepare_lines(axes: "Axes") -> None:
    """Axes of a series."""
    axes.tick_params(labelsize=7, color=GRAY)
    axes.locator_params(axis="x", integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color("#c4cad0")
