"""Extreme examples: the samples with the highest and lowest responses of units."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import check_count
from keras_xai.data.imagenet import check_class_names
from keras_xai.report.samples import draw_sample, figure_of, in_picture_order, unit_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from keras_xai.results import ExtremeExamples

_ENDS = ("highest", "lowest")


def examples_plot(
    found: "ExtremeExamples",
    *,
    ends: str | Sequence[str],
    max_units: int,
    show: Callable[[Any], Any] | None,
    class_names: Sequence[str] | None,
    title: str,
) -> "Figure":
    """The most extreme samples of each unit, for `ExtremeExamples.plot`."""
    chosen = [ends] if isinstance(ends, str) else list(ends) if isinstance(ends, (list, tuple)) else []
    if not chosen or not all(end in _ENDS for end in chosen):
        raise ValueError(f"Expected `ends` to be 'highest', 'lowest', or both. Received: ends={ends!r}")
    check_count("max_units", max_units)
    class_names = check_class_names(class_names)
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
            draw_sample(axes, in_picture_order(crop, found.layout), show)
            axes.set_title(f"{_number(value)}  (#{index})", fontsize=7, pad=2)
        name = unit_name(units[unit], found.layer, class_names)
        row[0].set_ylabel(f"{name}\n{end}", fontsize=9, rotation=0, ha="right", va="center", labelpad=6)
    _same_scale(grid)
    note = f", the first {len(units)} of {len(found.units)} units" if len(units) < len(found.units) else ""
    figure.suptitle(title or f"{'scores' if found.layer == 'score' else found.layer}{note}", fontsize=11)
    return figure


def _number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _same_scale(grid):
    """Puts series on one scale, so that their lines are comparable."""
    drawn = [axes for axes in grid.flat if axes.lines]
    if drawn:
        limits = np.array([axes.get_ylim() for axes in drawn])
        for axes in drawn:
            axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())
