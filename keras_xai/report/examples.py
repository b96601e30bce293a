"""The samples to which units respond most, and least."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.report.samples import draw_sample, figure_of, unit_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from keras_xai.results import ExtremeExamples

_ENDS = ("highest", "lowest")


def examples_plot(
    found: "ExtremeExamples",
    *,
    ends: str | Sequence[str] = _ENDS,
    max_units: int = 8,
    show: Callable[[Any], Any] | None = None,
    class_names: Sequence[str] | None = None,
    title: str = "",
) -> "Figure":
    """Draws the most extreme samples of each unit in a row: what the unit sees of them, and how strongly it responds.

    Args:
        found: What `keras_xai.features.extreme_examples` returned.
        ends: `"highest"`, `"lowest"`, or both: a row for each.
        max_units: Number of units to draw at most: the first.
        show: Maps a crop as the model takes it to what can be drawn: an image `(height, width)` or `(height, width, 3)`, a series
            `(time, channels)`, features, or a text. By default crops are drawn as they are, each moved into the range of colors.
        class_names: Names of the classes.
        title: A title; the layer by default.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: If `ends` names none of them, or `max_units` is not positive.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.features import extreme_examples
    >>> from keras_xai.report import examples_plot
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="conv")])
    >>> x = np.random.default_rng(0).normal(size=(20, 8, 8, 1))
    >>> figure = examples_plot(extreme_examples(model, x, layer="conv", units=[0, 3], k=5))
    >>> len(figure.axes)
    20
    """
    chosen = [ends] if isinstance(ends, str) else list(ends)
    if not chosen or not set(chosen) <= set(_ENDS):
        raise ValueError(f"Expected `ends` to be 'highest', 'lowest', or both. Received: ends={ends!r}")
    if not max_units >= 1:
        raise ValueError(f"Expected `max_units` to be at least 1. Received: max_units={max_units!r}")
    units = found.units[:max_units]
    rows = [(unit, end) for unit in range(len(units)) for end in chosen]
    figure, grid = figure_of(len(rows), found.highest.values.shape[1], side=1.15)
    figure.set_figwidth(figure.get_figwidth() + 1.2)
    for row, (unit, end) in zip(grid, rows, strict=True):
        examples = getattr(found, end)
        for axes, crop, value, index in zip(
            row, examples.crops[unit], examples.values[unit], examples.indices[unit], strict=True
        ):
            axes.set_axis_on()
            draw_sample(axes, crop, show)
            axes.set_title(f"{value:.3g}  (#{index})", fontsize=7, pad=2)
        name = unit_name(units[unit], found.layer, class_names)
        row[0].set_ylabel(f"{name}\n{end}", fontsize=9, rotation=0, ha="right", va="center", labelpad=6)
    _same_scale(grid)
    note = f", the first {len(units)} of {len(found.units)} units" if len(units) < len(found.units) else ""
    figure.suptitle(title or f"{'scores' if found.layer == 'score' else found.layer}{note}", fontsize=11)
    return figure


def _same_scale(grid):
    """Lines of series are comparable only on one scale."""
    drawn = [axes for axes in grid.flat if axes.lines]
    if drawn:
        limits = np.array([axes.get_ylim() for axes in drawn])
        for axes in drawn:
            axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())
