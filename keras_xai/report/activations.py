"""Activations of filters for several trainings side by side."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.report.heatmap import COLOR_MAP, shared_limit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
_BLOCK = 2.8
_LOWEST, _TALLEST = 0.6, 4.2

# Part of the longer side of a map.
_GAP = 0.08
_FRAME = "#c4cad0"

# Characters of a name that are drawn in one line.
_LINE = 18


def activations_plot(
    named_activations: Mapping[str, Mapping[str, np.ndarray]],
    *,
    sample: int = 0,
    layers: Sequence[str] | None = None,
    max_filters: int = 64,
    title: str = "",
) -> "Figure":
    """Draws filter activations of one sample for several trainings: a row for each layer, a block for each training.

    All maps of a layer are on one color scale, those of all trainings, so that a training whose activations are weak looks pale.
    Filters are in their order, row by row. Those of two trainings at one place have to do with each other only if both trainings
    began with the same weights.

    Source: Yoo, Kim & Kang, "Relevance Regularization of Convolutional Neural Network for Interpretable Classification",
    figure 2.

    Args:
        named_activations: For the name of each training, from layers to their activations `(n, height, width, channels)` as
            `keras_xai.features.activations` returns them, for the same samples.
        sample: Index of the sample.
        layers: The layers to draw; by default all of them, in the order of the first training.
        max_filters: Number of filters to draw at most of each layer: the first.
        title: A title.

    Returns:
        A matplotlib figure. Activations above zero are the darker red the larger they are, zero is white, and those below zero
        are blue.

    Raises:
        ValueError: If the trainings do not have the same layers or shapes, the activations are not maps, a value that is to be
            drawn is not finite, there is no such sample, or `max_filters` is not positive.

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

    if not max_filters >= 1:
        raise ValueError(f"Expected `max_filters` to be at least 1. Received: max_filters={max_filters!r}")
    maps = _maps(named_activations, sample, layers)
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


def _maps(named_activations, sample, layers):
    """For each layer the maps `(height, width, channels)` of the sample, one array for each training."""
    if not named_activations:
        raise ValueError("Expected the activations of at least one training. Received: none.")
    first = next(iter(named_activations.values()))
    paths = list(first) if layers is None else list(layers)
    if not paths or isinstance(layers, str):
        raise ValueError(f"Expected at least one layer, by a list of paths. Received: layers={layers!r}")
    maps = {}
    for path in paths:
        blocks = []
        for name, found in named_activations.items():
            if path not in found:
                raise ValueError(f"Expected activations of '{path}' for each training. Received: '{name}' with {list(found)}.")
            values = np.asarray(found[path])
            if values.ndim != 4 or not values.size:
                raise ValueError(
                    f"Expected activations of shape (n, height, width, channels) for '{path}'. Received: shape {values.shape} for "
                    f"'{name}'. Choose the layers that have maps: layers=[...]"
                )
            if not 0 <= sample < len(values):
                raise ValueError(f"Expected `sample` to be from 0 to {len(values) - 1}. Received: sample={sample!r}")
            blocks.append(values[sample].astype("float64"))
        if len({block.shape for block in blocks}) > 1:
            raise ValueError(
                f"Expected maps of the same shape for each training. Received: shapes {[block.shape for block in blocks]} for "
                f"'{path}'."
            )
        maps[path] = blocks
    return maps


def _columns(count):
    """A number of columns that makes a compact block, all rows of it full where there is one."""
    root = math.sqrt(count)
    divisors = [n for n in range(math.ceil(root), math.floor(2 * root) + 1) if count % n == 0]
    return divisors[0] if divisors else math.ceil(root)


def _arranged(shape):
    """Columns and rows of a block, and width and height of it and of one place, in pixels of a map."""
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
        # The half of it that there are values for.
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
    """What a row shows, in short lines, as rows may be low and names of nested layers long."""
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
