"""Explanations by the output of a layer: feature maps as a picture per channel, vectors as bars."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.data.checks import chosen_indices
from keras_xai.report.colors import Colors, add_scale, colors_for
from keras_xai.report.explained import explained
from keras_xai.results.explanation import Explanation
from keras_xai.results.plot_options import PlotOptions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAPS = 16
_BARS = 12
_SERIES = 64
_WIDTH = 3.0  # inches
_GRAY = "#8a939c"
_OF_INPUTS = ("show", "preprocessing", "feature_names", "vocabulary", "columns")


def layers_figure(named: Mapping[str, Explanation], options: PlotOptions) -> "Figure":
    """Plots values of layers, with a row per sample and a column per method, in colors of one scale for each picture.

    Feature maps are drawn as a picture for each of the 16 channels of the largest mean absolute value, in descending order; a series
    as a row of colors for each of up to 64 channels; a vector as bars of its 12 entries of the largest absolute value.

    Args:
        named: Maps the name of each method to its explanation, all of the same samples.
        options: Those of `explanations_plot`, without any that describe inputs.

    Raises:
        ValueError: If some explanations are not of a layer, they are not of as many samples, there is no such sample, a value is not
            finite, or an option is given that describes inputs.
    """
    from keras_xai.report.figure import new_figure

    given = [name for name in _OF_INPUTS if getattr(options, name) is not None]
    if given:
        raise ValueError(
            f"Expected no options that describe inputs for values of a layer. Received: {given}. Values of a layer are drawn without the "
            "inputs."
        )
    others = [name for name, each in named.items() if each.layer is None]
    if others:
        raise ValueError(
            f"Expected explanations that are all of the inputs, or all of a layer. Received: {others} of the inputs, and "
            f"{[name for name in named if name not in others]} of a layer. Draw them apart."
        )
    counts = {name: len(each) for name, each in named.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"Expected explanations of the same samples. Received: {counts} samples.")
    count = next(iter(counts.values()))
    chosen = chosen_indices("samples", options.samples, count)
    options.check_labels(count)
    colors, limits = colors_for(named.values(), options), []
    found = {
        name: np.moveaxis(np.asarray(each.values, "float64"), each.channel_axis or -1, -1) for name, each in named.items()
    }
    heights = max(_height(values) for values in found.values())
    figure = new_figure(
        figsize=(1.5 + _WIDTH * len(named), heights * len(chosen) + 0.95 + 0.3 * bool(options.title)), layout="constrained"
    )
    grid = figure.subplots(len(chosen), len(named), squeeze=False)
    for row, sample in zip(grid, chosen, strict=True):
        for axes, (name, values) in zip(row, found.items(), strict=True):
            if not np.isfinite(values[sample]).all():
                raise ValueError(f"Expected explanations of finite values. Received: NaN or infinity for sample {sample}.")
            limits.append(_draw(axes, colors.shown(values[sample]), colors))
            if not values[sample].any():
                axes.set_xlabel("all values are zero", fontsize=8)
            if sample == chosen[0]:
                axes.set_title(wrapped(f"{name}, {named[name].layer}", _WIDTH), fontsize=10)
        first = next(iter(named.values()))
        label = "\n".join(explained(first, sample, options.class_names, options.labels))
        upright = {} if row[0].get_ylabel() else {"rotation": 0, "ha": "right", "va": "center"}
        row[0].set_ylabel("\n".join(filter(None, [label, row[0].get_ylabel()])), fontsize=9, **upright)
    add_scale(figure, colors, limits[0] if len(limits) == 1 else None)
    if options.title:
        figure.suptitle(options.title, fontsize=11)
    return figure


def _height(values):
    """The height of a row in inches."""
    if values.ndim == 2:
        return 0.24 * min(values.shape[1], _BARS) + 0.3
    if values.ndim == 3:
        return 2.0
    height, width = values.shape[-3:-1]
    return float(np.clip(_WIDTH * height / width, 0.6, 2 * _WIDTH))


def _draw(axes: "Axes", values, colors) -> float:
    """Draws values, and returns the end of their color scale."""
    limit = colors.limit(values)
    if values.ndim == 1:
        shown = np.argsort(-np.abs(values), kind="stable")[:_BARS]
        return draw_bars(axes, values[shown], [f"channel {i}" for i in shown], colors)
    strength = np.abs(values).mean(axis=tuple(range(values.ndim - 1)))
    order = np.argsort(-strength, kind="stable")
    if values.ndim == 2:
        shown = np.sort(order[:_SERIES])
        axes.imshow(colors.of(values[:, shown].T, limit), aspect="auto", interpolation="nearest")
        ticks = np.unique(np.linspace(0, len(shown) - 1, 5).astype(int))
        axes.set_yticks(ticks, labels=[str(shown[i]) for i in ticks])
        axes.set_ylabel("channel")
        axes.locator_params(axis="x", integer=True)
        axes.tick_params(labelsize=7, color=_GRAY)
        return limit
    maps = values.mean(axis=tuple(range(values.ndim - 3)))
    _draw_maps(axes, maps, order[:_MAPS], limit, colors)
    return limit


def _draw_maps(axes: "Axes", maps, channels, limit, colors):
    """Pictures of maps `(height, width, channels)` beside each other, each with the number of its channel."""
    height, width = maps.shape[:2]
    columns = math.ceil(math.sqrt(len(channels)))
    rows = math.ceil(len(channels) / columns)
    for number, channel in enumerate(channels):
        row, column = divmod(number, columns)
        left, top = column * 1.06 * width, row * (1.06 * height + 0.2 * width)
        axes.imshow(
            colors.of(maps[..., channel], limit), extent=(left, left + width, top + height, top), interpolation="nearest"
        )
        axes.text(left, top, f"{channel}", fontsize=6, va="bottom", ha="left", color="#30363d")
    axes.set(xticks=[], yticks=[], xlim=(0, columns * 1.06 * width), ylim=(rows * (1.06 * height + 0.2 * width), -0.2 * width))
    axes.set_aspect("equal")
    axes.spines[:].set_visible(False)


def draw_bars(axes: "Axes", values: np.ndarray, labels: Sequence[str] | None, colors: Colors) -> float:
    """Horizontal bars in the colors of their values.

    Args:
        axes: Where to draw.
        values: A number for each bar, from above.
        labels: A name for each; `None` for none.
        colors: The color scale.

    Returns:
        The end of the color scale.
    """
    limit = float(np.abs(values).max() or 1.0)
    places = np.arange(len(values))
    strengths = np.sign(values) * (0.45 + 0.55 * np.abs(values) / limit)  # pale bars are hard to see on white
    axes.barh(places, values, color=colors.of(strengths, 1.0), height=0.72)
    axes.axvline(0, color="#30363d", linewidth=0.8)
    axes.set(xlim=(0 if colors.sequential else -1.08 * limit, 1.08 * limit), ylim=(len(values) - 0.4, -0.6), yticks=places)
    axes.set_yticklabels(labels or [""] * len(values), fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7, color=_GRAY)
    axes.locator_params(axis="x", nbins=3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set(color="#c4cad0")
    return limit


def wrapped(name: str, width: float) -> str:
    """A name wrapped to a column of a width in inches, with eleven letters per inch."""
    return "\n".join(textwrap.wrap(name, int(11 * width), break_long_words=False)) or name
