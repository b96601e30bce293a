"""Plots of lines and planes through the linear pieces of a network, built without pyplot's global state."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import check_flag, check_names, real_array, short
from keras_xai.report.classes import checked_names, class_color, class_shade, patch, stroke
from keras_xai.report.heatmap import draw_heatmap
from keras_xai.report.plots import draw_picture, shown_image
from keras_xai.results.text import shapes

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from keras_xai.report.protocols import Line, Plane
    from keras_xai.results import ExactIntegratedGradients

_INK = "#1f2937"
_NEUTRAL = "#9aa4b0"
_INPUTS = ["corner", "second", "third"]
_SAMPLES = 500
_DOTS = 4  # of the legend, in different colors
# Colors of layers, from the first to the last.
_LAYERS = "viridis"


def plane_plot(
    plane: "Plane",
    *,
    class_names: Sequence[str] | None,
    input_names: Sequence[str] | None,
    images: Sequence[np.ndarray] | None,
    by_layer: bool,
    mark_inputs: bool,
    x: Any,
    y: Any,
) -> "Figure":
    """A plane through the linear pieces of a network, for `Plane.plot`."""
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.legend_handler import HandlerTuple

    from keras_xai.report.figure import add_legend, new_figure

    names = checked_names(class_names, plane.coef.shape[1])
    for given, what in ((input_names, "input_names"), (images, "images")):
        if given is not None and (isinstance(given, str) or not isinstance(given, (Sequence, np.ndarray)) or len(given) != 3):
            raise ValueError(f"Expected three `{what}`, one for each input of the plane. Received: {what}={short(given)}")
    for name, flag in (("by_layer", by_layer), ("mark_inputs", mark_inputs)):
        check_flag(name, flag)
    inputs = _INPUTS if input_names is None else check_names("input_names", input_names)
    samples = None if x is None else _projected(plane, x, y, len(names))
    cells = plane.cells
    (s_low, s_high), (t_low, t_high) = plane.limits
    frame = plane.places([[s_low, t_low], [s_high, t_low], [s_high, t_high], [s_low, t_high]])
    low, high = frame.min(axis=0), frame.max(axis=0)
    width, height = (high - low) / (high - low).max()
    figure = new_figure(figsize=(6.2 * width + 2.8, 6.2 * height + 0.75), layout="compressed")
    axes = figure.add_subplot()
    shades = np.array([int(name[:8], 16) / 16**8 for name in plane.region_id])
    colors = [class_shade(k, shades[i], 0.25 if by_layer else 1.0) for i, k in zip(cells.piece, cells.classes, strict=True)]
    axes.add_collection(PolyCollection([plane.places(each) for each in cells.polygons], facecolors=colors, linewidths=0))
    classes = np.union1d(cells.classes, [] if samples is None else samples[1]).astype(int)
    handles: list[Any] = [patch(class_shade(k, 0.5, 0.25 if by_layer else 1.0), names[k]) for k in classes]
    # Many walls must not hide the area between them.
    thin = float(np.clip(20 / np.sqrt(len(plane)), 0.15, 0.8))
    walls, layers = _walls(plane)
    if by_layer:
        tones = colormaps[_LAYERS](np.linspace(0, 0.85, len(plane.layers)))
        axes.add_collection(LineCollection(walls, colors=tones[layers], linewidths=1.5 * thin))
        handles += [stroke(tones[layer], plane.layers[layer]) for layer in np.unique(layers)]
    else:
        axes.add_collection(LineCollection(walls, colors="white", linewidths=thin))
    segments = [plane.places(each) for each in plane.boundary.segments]
    axes.add_collection(LineCollection(segments, colors=_INK, linewidths=2.4 if by_layer else 1.6, capstyle="round"))
    handles.append(stroke(_INK, "decision boundary"))
    if samples is not None:
        handles.append(_draw_samples(axes, plane.places(samples[0]), *samples[1:], known=y is not None))
    if mark_inputs:
        handles.append(
            _marks(axes, plane.places(plane.marks), inputs if images is None or input_names is not None else None, images)
        )
    along, across = plane.entry_names or (
        f"distance from {inputs[0]} toward {inputs[1]}",
        f"distance from this line, toward {inputs[2]}",
    )
    axes.set_xlabel(along, fontsize=9)
    axes.set_ylabel(across, fontsize=9)
    axes.set_title(f"{len(plane):,} linear pieces", fontsize=9, loc="left", color=_INK)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.tick_params(labelsize=8, color="#c4cad0")
    axes.locator_params(nbins=6)
    axes.spines[:].set_color("#c4cad0")
    side_by_side = {tuple: HandlerTuple(ndivide=None, pad=0.0)}
    add_legend(figure, handles, loc="outside right upper", frameon=False, fontsize=9, handler_map=side_by_side)
    # With room to spare: matplotlib's layout cuts labels off when axes of a fixed aspect are as wide as they can be.
    beside = figure.legends[0].get_window_extent().width / figure.dpi
    figure.set_figwidth(6.2 * width + beside + 1.1)
    return figure


def line_plot(line: "Line", *, class_names: Sequence[str] | None) -> "Figure":
    """The scores along a line, for `Line.plot`."""
    from keras_xai.report.figure import add_legend, new_figure

    num_outputs = line.slopes.shape[1]
    names = checked_names(class_names, num_outputs)
    figure = new_figure(figsize=(8.0, 4.2), layout="constrained")
    axes, rug = figure.subplots(2, 1, sharex=True, height_ratios=(12, 1))
    # A single score is compared with zero.
    scores = line.breakpoint_scores if num_outputs > 1 else np.pad(line.breakpoint_scores, ((0, 0), (1, 0)))
    ends = np.array([0.0, *line.crossings, 1.0])
    for low, high, k in zip(ends[:-1], ends[1:], line.classes, strict=True):
        axes.axvspan(low, high, color=class_shade(k, 0.5, 0.4), linewidth=0)
    winners, drawn = np.unique(line.classes), {}
    for k in sorted(range(scores.shape[1]), key=lambda k: k in winners):
        style = {"color": class_color(k), "lw": 1.8} if k in winners else {"color": _NEUTRAL, "lw": 0.7}
        (drawn[k],) = axes.plot(line.breakpoints, scores[:, k], label=names[k], **style)
    for t in line.crossings:
        axes.axvline(t, color=_INK, linewidth=1.0, linestyle="--")
        highest = float(np.interp(t, line.breakpoints, scores.max(axis=1)))
        axes.plot([t], [highest], marker="o", markersize=4, color=_INK)
        axes.annotate(
            f"{t:.3f}", (t, 1), (3, -4), xycoords=("data", "axes fraction"), textcoords="offset points", va="top", fontsize=9
        )
    rug.vlines(line.breakpoints, 0, 1, color=_INK, linewidth=float(np.clip(60 / len(line), 0.2, 0.8)))
    rug.set(yticks=[], ylim=(0, 1), xlim=(0, 1))
    rug.set_xlabel(
        f"t, from the start (0) to the end (1), {line.length:.3g} apart; {len(line):,} linear pieces, one tick per breakpoint",
        fontsize=10,
    )
    axes.set_ylabel("score", fontsize=10)
    for each in (axes, rug):
        each.tick_params(labelsize=9)
        each.spines[["top", "right"]].set_visible(False)
    axes.tick_params(bottom=False)
    handles = [drawn[k] for k in winners]
    add_legend(figure, handles, loc="outside right upper", frameon=False, fontsize=9, title="predicted", title_fontsize=9)
    return figure


def gradients_plot(
    gradients: "ExactIntegratedGradients", *, images: Sequence[np.ndarray] | None, class_names: Sequence[str] | None
) -> "Figure":
    """Exact integrated gradients next to the images at both ends of the line, for `ExactIntegratedGradients.plot`."""
    from keras_xai.report.figure import new_figure

    names = checked_names(class_names, gradients.num_outputs)
    shown = (gradients.start, gradients.end) if images is None else images
    if not isinstance(shown, (list, tuple, np.ndarray)):
        raise ValueError(f"Expected `images` to be two images. Received: images={short(images)}")
    if (
        len(shown) != 2
        or isinstance(gradients.attribution, (dict, list, tuple))
        or np.ndim(gradients.attribution) not in (2, 3)
    ):
        raise ValueError(
            "Expected a line between two images, of shape (height, width) or (height, width, channels), and two `images` if any. "
            f"Received: attributions of shape {shapes(gradients.attribution, skip=0)}, and {len(shown)} images."
        )
    figure = new_figure(figsize=(8.4, 3.0), layout="constrained")
    panels = figure.subplots(1, 3)
    for axes, source, title in zip(panels[:2], shown, ("start", "end"), strict=True):
        draw_picture(axes, source)
        axes.set_title(title, fontsize=10)
    draw_heatmap(panels[2], gradients.attribution, outline=np.asarray(shown[1]))
    for axes in panels:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#c4cad0")
        axes.spines[:].set_linewidth(0.8)
    target = names[gradients.target] if gradients.num_outputs > 1 else ""
    panels[2].set_title(f"attribution to the score {target}".rstrip(), fontsize=10)
    panels[2].set_xlabel(f"sum {gradients.difference:+.3f}: score at the end minus at the start", fontsize=8)
    bar = figure.colorbar(panels[2].images[0], ax=panels[2], shrink=0.85)
    bar.ax.tick_params(labelsize=8)
    return figure


def _walls(plane):
    """Edges inside the rectangle in the coordinates of the picture, and the index of the layer of each."""
    starts = [plane.places(polygon) for polygon in plane.polygons]
    edges = np.concatenate([np.stack([points, np.roll(points, -1, axis=0)], axis=1) for points in starts])
    layers = np.concatenate(plane.edge_layers)
    return edges[layers >= 0], layers[layers >= 0]


def _marks(axes: "Axes", marks, names, images):
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage, TextArea, VPacker

    dots = axes.scatter(
        marks[:, 0], marks[:, 1], s=34, color=_INK, edgecolors="white", linewidths=1.0, zorder=5, label="the three inputs"
    )
    for i, mark in enumerate(marks):
        parts: list[Artist] = []
        if images is not None:
            pixels = shown_image(images[i])
            parts.append(OffsetImage(pixels, zoom=34 / max(pixels.shape[:2]), cmap="gray", interpolation="nearest"))
        if names is not None:
            parts.append(TextArea(str(names[i]), textprops={"fontsize": 9, "color": _INK}))
        if parts:
            # Placed outward, so that labels overlap neither each other nor the area between the inputs.
            outward = 1 if mark[0] >= marks[:, 0].mean() else -1
            label = AnnotationBbox(
                VPacker(children=parts, pad=0, sep=2, align="center"),
                mark,
                (7.0 * outward, 0.0),
                boxcoords="offset points",
                box_alignment=((1 - outward) / 2, 0.5),
                pad=0.2,
                bboxprops={"ec": "#c4cad0", "alpha": 0.9},
            )
            label.set_zorder(6)
            axes.add_artist(label)
    return dots


def _projected(plane, x, y, num_classes):
    """Points, classes and distances of the samples to draw."""
    points, distances, classes = plane.project(x)
    if y is not None:
        given = real_array("y", y, "class indices")
        if given.shape != (len(points),) or given.dtype.kind not in "iub" or not ((given >= 0) & (given < num_classes)).all():
            raise ValueError(
                f"Expected `y` to be a class index from 0 to {num_classes - 1} for each of {len(points)} samples. Received: y={short(y)}"
            )
        classes = given.astype(int)
    low, high = np.transpose(plane.limits)
    inside = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    # The nearest on top.
    chosen = inside[np.argsort(distances[inside], kind="stable")[:_SAMPLES]][::-1]
    return points[chosen], classes[chosen], distances[chosen]


class _Dots(tuple):
    """Dots side by side as one entry of a legend.

    Attributes:
        label: The text of the entry.
    """

    label: str

    def get_label(self) -> str:
        """As artists have it."""
        return self.label


def _draw_samples(axes: "Axes", places, classes, distances, *, known):
    """Dots in the colors of classes, which are those of the data or predicted ones; returns a legend handle."""
    from matplotlib.colors import to_rgb
    from matplotlib.lines import Line2D

    farthest = distances.max(initial=0.0)
    is_away = farthest > 1e-6 * max(1.0, np.abs(places).max(initial=0.0))
    opacity = 1 - 0.6 * distances / farthest if is_away else np.ones(len(distances))
    # Darker than the pieces of their class.
    tones = {k: tuple(0.75 * np.array(to_rgb(class_color(k)))) for k in np.unique(classes)}
    colors = [(*tones[k], alpha) for k, alpha in zip(classes, opacity, strict=True)]
    edges = [(1.0, 1.0, 1.0, alpha) for alpha in opacity]
    axes.scatter(places[:, 0], places[:, 1], s=22, c=colors, edgecolors=edges, linewidths=0.7, zorder=4)
    style: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 5, "markeredgecolor": "white"}
    dots = _Dots(Line2D([], [], color=tone, **style) for tone in list(tones.values())[:_DOTS])
    which = "" if known else "predicted "
    dots.label = (
        f"{len(places):,} samples in the colors\nof their {which}classes"
        if len(places) != 1
        else f"1 sample in the color\nof its {which}class"
    )
    if is_away:
        dots.label += f",\n{distances.min():.2g} to {farthest:.2g} from the plane\n(the farther, the paler)"
    return dots
