"""Colors, names and legend handles of classes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.imagenet import check_class_names

if TYPE_CHECKING:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

# Used in order. Those of Okabe and Ito without black and yellow, and four that are as distinct from them, also with each kind of color
# blindness.
PALETTE = (
    *("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
    *("#5b2a86", "#4d4d4d", "#b2df8a", "#661100"),
)


def checked_names(class_names: Sequence[str] | None, num_outputs: int) -> list[str]:
    """Names of all classes, their indices by default; a model of one score has two classes."""
    num_classes = max(2, num_outputs)
    return check_class_names(class_names, num_classes, "class of the model") or [str(k) for k in range(num_classes)]


def class_color(k: int) -> str:
    """The color of class k."""
    return PALETTE[k % len(PALETTE)]


def class_colors(count: int) -> np.ndarray:
    """A color for each class, RGBA: those of `PALETTE`, or shades of a color range if there are more classes.

    Args:
        count: Number of classes.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_rgba

    if count <= len(PALETTE):
        return np.array([to_rgba(each) for each in PALETTE[:count]])
    return colormaps["viridis"](np.linspace(0, 0.92, count))  # the yellow end is hard to see on white


def class_shade(k: int, shade: float, strength: float = 1.0) -> np.ndarray:
    """A pale color of class k: slightly lighter or darker by `shade` from 0 to 1, and white at a strength of 0."""
    from matplotlib.colors import to_rgb

    return 1 - (1 - np.array(to_rgb(class_color(k)))) * (0.28 + 0.3 * shade) * strength


def patch(color: Any, label: str) -> "Patch":
    """A legend handle for an area."""
    from matplotlib.patches import Patch

    return Patch(facecolor=color, label=label)


def stroke(color: Any, label: str) -> "Line2D":
    """A legend handle for a line."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, linewidth=1.6, label=label)
