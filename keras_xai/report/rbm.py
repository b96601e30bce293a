"""Plots of restricted Boltzmann machines: filters and reconstructions."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import check_count, check_positive, check_text, is_integer, real_array
from keras_xai.report.heatmap import COLOR_MAP, draw_heatmap, shared_limit
from keras_xai.report.plots import draw_picture
from keras_xai.results.pictures import saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches.
_GAP = 0.05
_MARGIN = 0.12
_LINE = 0.2
_NARROWEST = 4.0

_COLUMNS = 8
_INK = "#1c2024"


@saved
def filters_plot(
    kernel: Any,
    shape: Sequence[int],
    *,
    max_filters: int = 64,
    limit: float | None = None,
    title: str = "",
    path: str | os.PathLike[str] | None = None,
) -> "Figure":
    """Plots the filters of a machine: for each hidden unit, the weights of its inputs as an image.

    All filters share one color scale, so that a unit that has learned little looks pale instead of like strong noise. For the shape of weak
    filters, divide each by its largest weight: `kernel / abs(kernel).max(axis=0)`.

    The first units are drawn, row by row in their order: untrained units are exchangeable, so the first are a fair sample, and they are at
    the same positions in plots of other epochs. For the strongest, sort the kernel: `kernel[:, np.argsort(-np.linalg.norm(kernel,
    axis=0))]`.

    Args:
        kernel: `(features, units)`, the kernel of a layer such as `keras_xai.layers.RBMDense`.
        shape: Shape of an image whose pixels are the features, `(height, width)`, `(height, width, 1)` or `(height, width, 3)`.
        max_filters: Maximum number of units to draw.
        limit: Absolute weight of the strongest colors, for comparing plots; larger weights have the same colors. By default the largest
            drawn weight.
        title: A title.
        path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

    Returns:
        A matplotlib figure. With one channel, red for positive weights, blue for negative ones and white for zero; with three, gray for
        zero, and each of red, green and blue brighter for larger weights.

    Raises:
        ValueError: If the kernel does not belong to images of this shape, a weight is not finite, or `max_filters` or `limit` is not
            positive.

    Example:

    >>> import numpy as np
    >>> from keras_xai.report import filters_plot
    >>> kernel = np.random.default_rng(0).normal(size=(64, 100))
    >>> figure = filters_plot(kernel, (8, 8), max_filters=10)
    >>> len(figure.axes)  # with the color scale
    11
    """
    shape = _checked_shape(shape)
    kernel = real_array("kernel", kernel).astype("float64")
    if kernel.ndim != 2 or len(kernel) != np.prod(shape) or not kernel.size:
        raise ValueError(
            f"Expected `kernel` to have shape (features, units), with {np.prod(shape)} features for images of shape {shape}. "
            f"Received: shape {kernel.shape}."
        )
    check_count("max_filters", max_filters)
    check_text("title", title)
    filters = kernel.T[:max_filters].reshape(-1, *shape)
    largest = shared_limit([filters])
    limit = largest if limit is None else check_positive("limit", limit)

    rows = -(-len(filters) // max(_COLUMNS, int(np.ceil(np.sqrt(len(filters))))))
    columns = -(-len(filters) // rows)
    width, height = _tile(shape, least=0.45)
    grid = (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP)
    label = "weight" if shape[2] == 1 else "weight of red, green and blue"
    label += ", one scale for all"
    if len(filters) < kernel.shape[1]:
        label += f"\nthe first {len(filters):,} of {kernel.shape[1]:,} units"
    above, below = _MARGIN + 1.2 * _LINE * bool(title), 0.65 + 0.15 * label.count("\n")
    canvas = _Canvas(max(grid[0], _NARROWEST) + 2 * _MARGIN, above + grid[1] + below)
    left = (canvas.width - grid[0]) / 2
    for i, values in enumerate(filters):
        row, column = divmod(i, columns)
        axes = canvas.image(left + column * (width + _GAP), above + row * (height + _GAP), width, height, shape)
        if values.shape[2] == 1:
            draw_heatmap(axes, values, limit)
        else:
            draw_picture(axes, np.clip(0.5 + values / limit / 2, 0, 1))
        axes.set_aspect("auto")  # pixels of thin images are not square
    canvas.text(canvas.width / 2, _MARGIN + _LINE / 2, title, fontsize=10, ha="center")
    cax = canvas.axes(_MARGIN + 0.25, above + grid[1] + 0.12, canvas.width - 2 * _MARGIN - 0.5, 0.11)
    _add_scale(cax, limit, COLOR_MAP if shape[2] == 1 else "gray", label, extend="both" if largest > limit else "neither")
    return canvas.figure


@saved
def reconstructions_plot(
    x: Any, reconstructions: Any, shape: Sequence[int], *, max_samples: int = 10, path: str | os.PathLike[str] | None = None
) -> "Figure":
    """Plots samples above their reconstructions by a machine, with the mean squared error of each pair.

    All pictures share one scale, from the minimum to the maximum of the drawn values, so that a pale reconstruction looks pale. Colors from
    0 to 1 are drawn unchanged.

    Args:
        x: Samples, `(n, features)` or `(n, *shape)`.
        reconstructions: The same number of reconstructions, for example from `keras_xai.layers.RBMDense.reconstruct`.
        shape: Shape of an image, `(height, width)`, `(height, width, 1)` or `(height, width, 3)`.
        max_samples: Maximum number of pairs to draw, from the first, one per column.
        path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: If the samples and the reconstructions are not images of this shape, their numbers differ, a value is not finite, or
            `max_samples` is not positive.

    Example:

    >>> import numpy as np
    >>> from keras_xai.report import reconstructions_plot
    >>> x = np.random.default_rng(0).uniform(size=(5, 64))
    >>> len(reconstructions_plot(x, 0.9 * x, (8, 8)).axes)
    10
    """
    shape = _checked_shape(shape)
    x, reconstructions = _images(x, shape, "x"), _images(reconstructions, shape, "reconstructions")
    if len(x) != len(reconstructions):
        raise ValueError(f"Expected `reconstructions` of each of {len(x)} samples `x`. Received: {len(reconstructions)}.")
    check_count("max_samples", max_samples)
    shown = np.stack([x[:max_samples], reconstructions[:max_samples]])
    if not np.isfinite(shown).all():
        raise ValueError("Expected finite `x` and `reconstructions`. Received: NaN or infinity.")
    low, high = shown.min(), shown.max()
    errors = np.square(shown[0] - shown[1]).mean(axis=(1, 2, 3))

    width, height = _tile(shape, least=0.65)
    # Elongated images leave room for the texts next to and below them.
    column_width, row_height = max(width, 0.65) + _GAP, max(height, _LINE) + _GAP
    left = _MARGIN + 1.5  # for the names of the rows
    below = _MARGIN + 2 * row_height
    canvas = _Canvas(max(left + len(errors) * column_width, _NARROWEST) + _MARGIN, below + 2 * _LINE + _MARGIN)
    middles = left + (np.arange(len(errors)) + 0.5) * column_width
    for row, name in enumerate(("sample", "reconstruction")):
        top = _MARGIN + row * row_height
        canvas.text(left - 0.1, top + height / 2, name, fontsize=9, ha="right")
        for column, image in enumerate(shown[row]):
            axes = canvas.image(middles[column] - width / 2, top, width, height, shape)
            if shape[2] == 1:
                draw_picture(axes, image)
                axes.images[0].set_clim(low, high)
            else:
                # Scaled to the range from 0 to 1 together; separately drawn pictures would be scaled separately.
                draw_picture(axes, (image - low) / (high - low or 1) if low < 0 or high > 1 else image)
            axes.set_aspect("auto")
    canvas.text(left - 0.1, below + _LINE / 2, "mean squared error", fontsize=9, ha="right")
    for middle, error in zip(middles, errors, strict=True):
        canvas.text(middle, below + _LINE / 2, _short(error), fontsize=9, ha="center")
    note = f"black {low:.2g}, white {high:.2g}" if shape[2] == 1 or low < 0 or high > 1 else ""
    if len(errors) < len(x):
        note += f"{'; ' if note else ''}the first {len(errors):,} of {len(x):,} samples"
    canvas.text(canvas.width / 2, below + 1.5 * _LINE, note, fontsize=8, ha="center")
    return canvas.figure


class _Canvas:
    """A figure with positions in inches from its upper left corner, so that nothing overlaps at any size."""

    def __init__(self, width: float, height: float):
        from keras_xai.report.figure import new_figure

        self.width, self.height = width, height
        self.figure = new_figure(figsize=(width, height))

    def axes(self, left, top, width, height):
        return self.figure.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        )

    def image(self, left, top, width, height, shape):
        """Axes for an image, with a thin frame and no ticks."""
        axes = self.axes(left, top, width, height)
        axes.set(xticks=[], yticks=[], xlim=(-0.5, shape[1] - 0.5), ylim=(shape[0] - 0.5, -0.5))
        for spine in axes.spines.values():
            spine.set(color="#c4cad0", linewidth=0.8)
        return axes

    def text(self, x, y, text, **options):
        """Text centered vertically at a height."""
        if text:
            self.figure.text(x / self.width, 1 - y / self.height, text, va="center", color=_INK, **options)


def _checked_shape(shape):
    """The shape with its channels."""
    sizes = tuple(int(size) if is_integer(size) else 0 for size in shape) if isinstance(shape, (list, tuple)) else ()
    if len(sizes) == 2:
        sizes = (*sizes, 1)
    if len(sizes) != 3 or min(sizes) < 1 or sizes[2] not in (1, 3):
        raise ValueError(
            f"Expected `shape` to be (height, width), (height, width, 1) or (height, width, 3). Received: shape={shape!r}"
        )
    return sizes


def _images(values, shape, name):
    values = real_array(name, values, "an array of images").astype("float64")
    if not values.size or values.shape[1:] not in ((int(np.prod(shape)),), shape, shape[: 2 + (shape[2] > 1)]):
        raise ValueError(
            f"Expected `{name}` to have shape (n, {np.prod(shape)}) or (n, *{shape}), with n at least 1. "
            f"Received: shape {values.shape}."
        )
    return values.reshape(-1, *shape)


def _tile(shape, least):
    """Width and height of an image in inches: 50 pixels per inch within limits, and not too thin to be visible."""
    height, width = shape[:2]
    pixel = np.clip(max(height, width) / 50, least, 1.6) / max(height, width)
    return max(pixel * width, 0.1), max(pixel * height, 0.1)


def _short(number):
    """Two significant digits with trailing zeros, so that adjacent numbers can be compared."""
    return f"{number:#.2g}".rstrip(".")


def _add_scale(axes, limit, colors, label, extend):
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.ticker import MaxNLocator

    mappable = ScalarMappable(Normalize(-limit, limit), colors)
    ticks = MaxNLocator(nbins=5, steps=[1, 2, 5, 10])  # few enough for the narrowest figure
    bar = axes.figure.colorbar(mappable, cax=axes, orientation="horizontal", extend=extend, ticks=ticks)
    bar.ax.tick_params(labelsize=8)
    bar.set_label(label, fontsize=8)
