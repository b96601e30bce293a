"""Inputs that were made: to excite units, and by deep dream."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from keras_xai.report.samples import draw_sample, figure_of, unit_name, within

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from keras_xai.results import Dreamed, Maximized

_COLUMNS = 6


def maximized_plot(
    found: "Maximized", *, show: Callable[[Any], Any] | None = None, class_names: Sequence[str] | None = None, title: str = ""
) -> "Figure":
    """Draws the inputs that excite units, and how strongly they do.

    Args:
        found: What `keras_xai.features.maximize_activation` returned.
        show: Maps an input to an image that can be seen, `(height, width)` or `(height, width, 3)`, to undo what preprocessing has
            done, such as the order of colors. By default the range of values is mapped to that from 0 to 1.
        class_names: Names of the classes.
        title: A title; the layer by default.

    Returns:
        A matplotlib figure.

    Example:

    >>> import keras
    >>> from keras_xai.features import Ascent, maximize_activation
    >>> from keras_xai.report import maximized_plot
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    >>> figure = maximized_plot(maximize_activation(model, [0, 2], ascent=Ascent(steps=2), seed=0))
    >>> [axes.get_title().splitlines()[0] for axes in figure.axes]
    ['class 0', 'class 2']
    """
    columns = min(len(found.images), _COLUMNS)
    rows = -(-len(found.images) // columns)
    figure, grid = figure_of(rows, columns, side=2.0, extra=0.4 * rows + 0.2)
    for axes, image, unit, value in zip(grid.flat, found.images, found.units, found.values, strict=False):
        axes.set_axis_on()
        draw_sample(axes, image, show or within(found.value_range))
        axes.set_title(f"{unit_name(unit, found.layer, class_names)}\n{value:.4g}", fontsize=9)
    figure.suptitle(title or ("" if found.layer == "score" else found.layer), fontsize=11)
    return figure


def dream_plot(found: "Dreamed", *, samples: int = 4, show: Callable[[Any], Any] | None = None, title: str = "") -> "Figure":
    """Draws images, and beside each what has become of it.

    Args:
        found: What `keras_xai.features.deep_dream` returned.
        samples: How many of the first images.
        show: As for `maximized_plot`.
        title: A title; the layers by default.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: If `samples` is not positive.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.features import Dream, deep_dream
    >>> from keras_xai.report import dream_plot
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, activation="relu", name="conv")])
    >>> images = np.random.default_rng(0).uniform(size=(2, 12, 16, 3))
    >>> len(dream_plot(deep_dream(model, images, layers="conv", dream=Dream(octaves=1, steps=1))).axes)
    4
    """
    if not samples >= 1:
        raise ValueError(f"Expected `samples` to be at least 1. Received: samples={samples!r}")
    count = min(samples, len(found.images))
    height, width = found.images.shape[1:3]
    figure, grid = figure_of(count, 2, side=3.6 * min(1.0, max(0.4, height / width)), extra=0.5)
    figure.set_figwidth(7.4)
    for row, original, image in zip(grid, found.originals, found.images, strict=False):
        for axes, each in zip(row, (original, image), strict=True):
            axes.set_axis_on()
            draw_sample(axes, each, show or within(found.value_range))
    figure.suptitle(title or ", ".join(found.layers), fontsize=11)
    return figure
