"""Colors, names and legend handles of classes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import check_names

if TYPE_CHECKING:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

# Used in order; the first two are those of the guide.
_COLORS = (
    *("#d9692b", "#2f6fd0", "#3a9b57", "#a04fb8", "#c9a227", "#1f9aa8"),
    *("#b3263a", "#8a5a3c", "#8fbf26", "#e887c0"),
)


def checked_names(class_names: Sequence[str] | None, num_outputs: int) -> list[str]:
    """Names of all classes, their indices by default; a model of one score has two classes."""
    num_classes = max(2, num_outputs)
    if class_names is None:
        return [str(k) for k in range(num_classes)]
    return check_names("class_names", class_names, num_classes, "class of the model")


def class_color(k: int) -> str:
    """The color of class k."""
    return _COLORS[k % len(_COLORS)]


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
