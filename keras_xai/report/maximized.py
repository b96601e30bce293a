"""Synthesized inputs: activation maximization and Deep Dream."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import check_count
from keras_xai.data.imagenet import check_class_names
from keras_xai.report.samples import draw_sample, figure_of, in_picture_order, unit_name, within

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from keras_xai.results import Dreamed, Maximized

_COLUMNS = 6


def maximized_plot(
    found: "Maximized", *, show: Callable[[Any], Any] | None, class_names: Sequence[str] | None, title: str
) -> "Figure":
    """The inputs that maximize the activation of units, for `Maximized.plot`."""
    class_names = check_class_names(class_names)
    columns = min(len(found.images), _COLUMNS)
    rows = -(-len(found.images) // columns)
    figure, grid = figure_of(rows, columns, side=2.0, extra=0.4 * rows + 0.2)
    for axes, image, unit, value in zip(grid.flat, found.images, found.units, found.values, strict=False):
        axes.set_axis_on()
        draw_sample(axes, in_picture_order(image, found.layout), show or within(_ends(found)))
        axes.set_title(f"{unit_name(unit, found.layer, class_names)}\n{value:.4g}", fontsize=9)
    figure.suptitle(title or ("" if found.layer == "score" else found.layer), fontsize=11)
    return figure


def dream_plot(found: "Dreamed", *, samples: int, show: Callable[[Any], Any] | None, title: str) -> "Figure":
    """The original images next to the changed ones, for `Dreamed.plot`."""
    check_count("samples", samples)
    count = min(samples, len(found.images))
    height, width = in_picture_order(found.images[0], found.layout).shape[:2]
    figure, grid = figure_of(count, 2, side=3.6 * min(1.0, max(0.4, height / width)), extra=0.5)
    figure.set_figwidth(7.4)
    for row, original, image in zip(grid, found.originals, found.images, strict=False):
        for axes, each in zip(row, (original, image), strict=True):
            axes.set_axis_on()
            draw_sample(axes, in_picture_order(each, found.layout), show or within(_ends(found)))
    figure.suptitle(title or ", ".join(found.layers), fontsize=11)
    return figure


def _ends(found):
    """The value range, channels last."""
    return [in_picture_order(np.asarray(end)[0], found.layout)[np.newaxis] for end in found.value_range]
