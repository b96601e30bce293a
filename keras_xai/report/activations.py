"""Activations of filters for several trainings side by side."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.data.checks import check_count, check_index, check_layers, real_array, short
from keras_xai.data.layout import Layout
from keras_xai.report.heatmap import COLOR_MAP, shared_limit
from keras_xai.results.pictures import saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
_BLOCK = 2.8
_LOWEST, _TALLEST = 0.6, 4.2

# Gap as a fraction of the longer side of a map.
_GAP = 0.08
_FRAME = "#c4cad0"

# Maximum number of characters of a name per line.
_LINE = 18


@saved
def activations_plot(
    named_activations: Mapping[str, Mapping[str, np.ndarray]],
    *,
    sample: int = 0,
    layers: Sequence[str] | None = None,
    max_filters: int = 64,
    layout: str = "NHWC",
    title: str = "",
    path: str | os.PathLike[str] | None = None,
) -> "Figure":
    """Plots filter activations of one sample for several trainings, with a row per layer and a block per training.

    All maps of a layer share one color scale across trainings, so that weak activations look pale. Filters are in their original order, row
    by row. Filters at the same position in two trainings correspond only if both trainings started from the same weights.

    Source: Yoo, Kim & Kang, "Relevance Regularization of Convolutional Neural Network for Interpretable Classification",
    figure 2.

    Args:
        named_activations: Maps the name of each training to its activations by layer, `(n, height, width, channels)` as returned by
            `keras_xai.features.activations`, for the same samples.
        sample: Index of the sample.
        layers: The layers to draw; by default all, in the order of the first training.
        max_filters: Maximum number of filters to draw per layer, from the first.
        layout: What the axes of the activations are: `"NCHW"` for layers with channels first.
        title: A title.
        path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

    Returns:
        A matplotlib figure. Positive activations are red, darker for larger values; zero is white, and negative activations are blue.

    Raises:
        ValueError: If the trainings differ in layers or shapes, the activations are not maps, a drawn value is not finite, there is no such
            sample, or `max_filters` is not positive.

    Example:

    >>> import numpy as np
    >>> from keras_xai.report import activations_plot
    >>> rng = np.random.default_rng(0)
    >>> plain, regularized = ({"conv1": rng.uniform(size=(5, 6, 6, 16))} for _ in range(2))
    >>> figure = activations_plot({"plain": plain, "regularized": regularized}, sample=3)
    >>> [axes.get_title() for axes in figure.axes[:2]]
    ['plain', 'regularized']
    """
    from keras_xai.report.figure import new_figure

    check_count("max_filters", max_filters)
    maps = _maps(named_activations, sample, layers, Layout(layout))
    heights = [_height(blocks[0][..., :max_filters].shape) for blocks in maps.values()]
    figure = new_figure(
        figsize=(_BLOCK * len(named_activations) + 2.4, sum(heights) + 0.25 * len(maps) + 0.5), layout="constrained"
    )
    rows = figure.subplots(len(maps), len(named_activations), squeeze=False, height_ratios=heights)
    for row, (path, blocks) in zip(rows, maps.items(), strict=True):
        shown = [block[..., :max_filters] for block in blocks]
        _draw_row(row, shown, blocks[0].shape[-1], path)
    for axes, name in zip(rows[0], named_activations, strict=True):
        axes.set_title(name, fontsize=10)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def _maps(named_activations, sample, layers, layout):
    """For each layer, the maps `(height, width, channels)` of the sample, one array per training."""
    if (
        not isinstance(named_activations, Mapping)
        or not named_activations
        or not all(isinstance(found, Mapping) and found for found in named_activations.values())
    ):
        raise ValueError(
            "Expected `named_activations` to map the name of at least one training to its activations by layer. "
            f"Received: named_activations={short(named_activations)}"
        )
    check_layers("layers", layers)
    paths = list(next(iter(named_activations.values()))) if layers is None else list(layers)
    maps = {}
    for path in paths:
        blocks = []
        for name, found in named_activations.items():
            if path not in found:
                raise ValueError(
                    f"Expected activations of layer '{path}' for each training. Received: '{name}' with {list(found)}. Choose `layers` "
                    "that each training has."
                )
            values = real_array("named_activations", found[path])
            if values.ndim != 4 or not values.size:
                raise ValueError(
                    f"Expected activations of shape (n, height, width, channels) for '{path}'. Received: shape {values.shape} for "
                    f"'{name}'. Choose the layers that have maps: layers=[...]"
                )
            check_index("sample", sample, len(values))
            blocks.append(layout.channels_last(values[[sample]])[0].astype("float64"))
        if len({block.shape for block in blocks}) > 1:
            raise ValueError(
                f"Expected maps of the same shape for each training. Received: shapes {[block.shape for block in blocks]} for "
                f"'{path}'."
            )
        maps[path] = blocks
    return maps


def _columns(count):
    """A number of columns for a compact block, with all rows full if possible."""
    root = math.sqrt(count)
    divisors = [n for n in range(math.ceil(root), math.floor(2 * root) + 1) if count % n == 0]
    return divisors[0] if divisors else math.ceil(root)


def _arranged(shape):
    """Columns and rows of a block, the size of one cell, and the gap, in pixels of a map."""
    height, width, count = shape
    columns = _columns(count)
    rows = -(-count // columns)
    gap = _GAP * max(height, width)
    return columns, rows, width + gap, height + gap, gap


def _height(shape):
    """Height of a block in inches."""
    columns, rows, width, height, gap = _arranged(shape)
    return float(np.clip(_BLOCK * (rows * height + gap) / (columns * width + gap), _LOWEST, _TALLEST))


def _draw_row(row, blocks, num_filters, path):
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    limit = shared_limit(blocks)
    signed = min(block.min() for block in blocks) < 0
    if signed:
        colors, scale = colormaps[COLOR_MAP], Normalize(-limit, limit)
    else:
        # Only the half of the color scale that contains values.
        upper = colormaps[COLOR_MAP](np.linspace(0.5, 1, 128))
        colors, scale = LinearSegmentedColormap.from_list("activation", upper), Normalize(0, limit)
    for axes, block in zip(row, blocks, strict=True):
        _draw_block(axes, block, colors, scale)
    label = _label(path, blocks[0].shape, num_filters)
    row[0].set_ylabel(label, fontsize=9, rotation=0, ha="right", va="center", labelpad=4)
    bar = row[0].figure.colorbar(ScalarMappable(scale, colors), ax=list(row), pad=0.02, aspect=25, shrink=0.96)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("activation", fontsize=8)


def _label(path, shape, num_filters):
    """The label of a row in short lines, since rows may be low and names of nested layers long."""
    height, width, count = shape
    filters = f"{count:,} filter{'s' * (count > 1)}" if count == num_filters else f"first {count:,} of {num_filters:,} filters"
    lines = [path] if len(path) <= _LINE else path.replace("/", "/\n").split("\n")
    return "\n".join([*lines, filters, f"{height} x {width}"])


def _draw_block(axes: "Axes", block, colors, scale):
    """Draws maps `(height, width, channels)` row by row, each in a thin frame."""
    from matplotlib.patches import Rectangle

    columns, rows, width, height, gap = _arranged(block.shape)
    for i in range(block.shape[-1]):
        row, column = divmod(i, columns)
        left, top = column * width + gap, row * height + gap
        right, bottom = left + block.shape[1], top + block.shape[0]
        axes.imshow(block[..., i], cmap=colors, norm=scale, interpolation="nearest", extent=(left, right, bottom, top))
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=_FRAME, linewidth=0.6))
    axes.set(xticks=[], yticks=[], xlim=(0, columns * width + gap), ylim=(rows * height + gap, 0), aspect="equal")
    axes.spines[:].set_visible(False)
