"""Plots of lines and planes through the linear pieces of a network, built without pyplot's global state."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.data.checks import check_flag, check_names, short
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
) -> "Figure":
    """A plane through the linear pieces of a network, for `Plane.plot`."""
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection, PolyCollection

    from keras_xai.report.figure import add_legend, new_figure

    names = checked_names(class_names, plane.coef.shape[1])
    for given, what in ((input_names, "input_names"), (images, "images")):
        if given is not None and (isinstance(given, str) or not isinstance(given, (Sequence, np.ndarray)) or len(given) != 3):
            raise ValueError(f"Expected three `{what}`, one for each input of the plane. Received: {what}={short(given)}")
    for name, flag in (("by_layer", by_layer), ("mark_inputs", mark_inputs)):
        check_flag(name, flag)
    if input_names is not None:
        check_names("input_names", input_names)
    cells = plane.cells
    (s_low, s_high), (t_low, t_high) = plane.limits
    frame = plane.lengths([[s_low, t_low], [s_high, t_low], [s_high, t_high], [s_low, t_high]])
    low, high = frame.min(axis=0), frame.max(axis=0)
    width, height = (high - low) / (high - low).max()
    figure = new_figure(figsize=(6.2 * width + 1.8, 6.2 * height + 0.4), layout="constrained")
    axes = figure.add_subplot()
    shades = np.array([int(name[:8], 16) / 16**8 for name in plane.region_id])
    colors = [class_shade(k, shades[i], 0.25 if by_layer else 1.0) for i, k in zip(cells.piece, cells.classes, strict=True)]
    axes.add_collection(PolyCollection([plane.lengths(each) for each in cells.polygons], facecolors=colors, linewidths=0))
    handles: list[Artist] = [patch(class_shade(k, 0.5, 0.25 if by_layer else 1.0), names[k]) for k in np.unique(cells.classes)]
    # Many walls must not hide the area between them.
    thin = float(np.clip(20 / np.sqrt(len(plane)), 0.15, 0.8))
    walls, layers = _walls(plane)
    if by_layer:
        tones = colormaps[_LAYERS](np.linspace(0, 0.85, len(plane.layers)))
        axes.add_collection(LineCollection(walls, colors=tones[layers], linewidths=1.5 * thin))
        handles += [stroke(tones[layer], plane.layers[layer]) for layer in np.unique(layers)]
    else:
        axes.add_collection(LineCollection(walls, colors="white", linewidths=thin))
    segments = [plane.lengths(each) for each in plane.boundary.segments]
    axes.add_collection(LineCollection(segments, colors=_INK, linewidths=2.4 if by_layer else 1.6, capstyle="round"))
    handles.append(stroke(_INK, "decision boundary"))
    if mark_inputs:
        _marks(axes, plane.lengths(plane.marks), input_names, images)
    axes.set_xlabel(f"{len(plane):,} linear pieces; the picture is {high[0] - low[0]:.3g} wide in the input space", fontsize=9)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_color("#c4cad0")
    add_legend(figure, handles, loc="outside right upper", frameon=False, fontsize=9)
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
    rug.set_xlabel(f"t, from the start (0) to the end (1); {len(line)} linear pieces, one tick per breakpoint", fontsize=10)
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
    """Edges inside the rectangle in Euclidean coordinates, and the index of the layer of each."""
    starts = [plane.lengths(polygon) for polygon in plane.polygons]
    edges = np.concatenate([np.stack([points, np.roll(points, -1, axis=0)], axis=1) for points in starts])
    layers = np.concatenate(plane.edge_layers)
    return edges[layers >= 0], layers[layers >= 0]


def _marks(axes: "Axes", marks, names, images):
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage, TextArea, VPacker

    axes.scatter(marks[:, 0], marks[:, 1], s=34, color=_INK, edgecolors="white", linewidths=1.0, zorder=5)
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
