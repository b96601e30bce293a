"""Values drawn over the images that they explain."""

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.report.colors import Colors
from keras_xai.report.words import LUMINANCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
