"""Maps of samples: colored points, or thumbnails."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import check_count, check_function, check_text, short
from keras_xai.report.classes import PALETTE, class_color
from keras_xai.report.samples import displayed, in_color

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from keras_xai.results import EmbeddingMap

_SIDE = 7.0  # inches


def embedding_plot(
    found: "EmbeddingMap",
    *,
    images: Any,
    labels: Sequence[Any] | None,
    show: Callable[[Any], Any] | None,
    cells: int,
    title: str,
) -> "Figure":
    """A map of samples, for `EmbeddingMap.plot`."""
    from keras_xai.report.figure import add_legend, new_figure

    for name, given in (("images", images), ("labels", labels)):
        if given is not None and (isinstance(given, str) or np.shape(given)[:1] != (len(found.points),)):
            raise ValueError(
                f"Expected `{name}` to have one entry for each of {len(found.points)} points. Received: {name}={short(given)}"
            )
    check_count("cells", cells)
    check_text("title", title)
    check_function("show", show)
    names, colors = _colors(labels, len(found.points))
    points = found.points - found.points.min(axis=0)
    points = points / (points.max() or 1.0)
    across, up = points.max(axis=0)
    figure = new_figure(figsize=(_SIDE * max(across, 0.3), _SIDE * max(up, 0.3) + 0.5), layout="constrained")
    axes = figure.add_subplot()
    if images is None:
        axes.scatter(points[:, 0], points[:, 1], c=colors, s=14, linewidths=0)
        axes.margins(0.03)
    else:
        drawn = _draw_thumbnails(axes, points, images, colors if names else None, show, cells)
        axes.set_xlabel(f"{drawn} of {len(points)} images, one per cell", fontsize=8)
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_color("#c4cad0")
    axes.spines[:].set_linewidth(0.8)
    axes.set_title(title or found.layer, fontsize=11)
    if names:
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], color=class_color(k), marker="o" if images is None else "s", linestyle="", label=name)
            for k, name in enumerate(names)
        ]
        add_legend(figure, handles, loc="outside right upper", frameon=False, fontsize=9)
    return figure


def _colors(labels, count):
    """Names of the labels, and a color for each point."""
    if labels is None:
        return [], [class_color(1)] * count
    found, places = np.unique(np.asarray(labels), return_inverse=True)
    if len(found) > len(PALETTE):
        raise ValueError(f"Expected at most {len(PALETTE)} distinct labels, the number of colors. Received: {len(found)}.")
    return [str(each) for each in found], [class_color(int(place)) for place in places.ravel()]


def _draw_thumbnails(axes, points, images, colors, show, cells):
    """Draws one image in each nonempty cell, and returns their number."""
    from matplotlib.patches import Rectangle

    places = np.minimum((points * cells).astype(int), cells - 1)
    distances = np.square(points * cells - places - 0.5).sum(axis=1)
    nearest: dict[tuple[int, int], int] = {}
    for i in np.argsort(-distances, kind="stable"):  # the nearest last, which overwrites the others
        nearest[places[i, 0], places[i, 1]] = i
    for (column, row), i in nearest.items():
        image = in_color(displayed(show, images[i]))
        height, width = image.shape[:2]
        half = 0.46 * np.array([width, height]) / max(width, height)
        left, bottom = column + 0.5 - half[0], row + 0.5 - half[1]
        axes.imshow(image, extent=(left, left + 2 * half[0], bottom, bottom + 2 * half[1]), interpolation="antialiased")
        if colors is not None:
            axes.add_patch(Rectangle((left, bottom), *(2 * half), fill=False, edgecolor=colors[i], linewidth=1.4))
    across, up = places.max(axis=0) + 1
    axes.set(xlim=(0, across), ylim=(0, up))
    return len(nearest)
