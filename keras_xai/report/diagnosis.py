"""Layer diagnosis as pictures: t-SNE maps, and neighborhood hit against depth."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import check_index, check_named
from keras_xai.data.imagenet import check_class_names
from keras_xai.report.classes import class_color, class_colors
from keras_xai.report.samples import figure_of, frame
from keras_xai.results.diagnosis import Diagnosis
from keras_xai.results.pictures import saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Inches.
_SIDE = 2.3
_CAPTION = 0.45
_NARROWEST = 4.0
_COLUMNS = 5
_MOST_NAMED = 30


def layers_plot(
    named: Mapping[str, "Diagnosis"],
    columns: Sequence[Sequence[str]],
    *,
    class_names: Sequence[str] | None,
    repeat: int,
    title: str,
) -> "Figure":
    """The maps of layers, for `Diagnosis.plot` and `NetworkComparison.plot`; each of `columns` has one path per network."""
    reports = list(named.values())
    if any(report.classes != reports[0].classes for report in reports):
        raise ValueError(
            f"Expected networks diagnosed on the same classes. Received: {[report.classes for report in reports]}."
        )
    names = _class_names(reports[0], class_names)
    colors = class_colors(len(names))
    for report in reports:
        check_index("repeat", repeat, report.protocol.repeats)
    if not columns:
        raise ValueError("Expected at least one layer to plot. Received: a part of a result without layers.")
    single = len(reports) == 1
    across = min(len(columns), _COLUMNS) if single else len(columns)
    rows = -(-len(columns) // across) if single else len(reports)
    figure, grid = figure_of(rows, across, side=_SIDE, extra=_CAPTION * rows + 0.7)
    figure.set_figwidth(max(figure.get_figwidth(), _NARROWEST))
    for column, paths in enumerate(columns):
        for row, (name, path) in enumerate(zip(named, paths, strict=True)):
            axes = grid[divmod(column, across)] if single else grid[row, column]
            layer = named[name].layers[path]
            axes.set_axis_on()
            _draw_map(axes, layer.points[repeat], colors[named[name].labels])
            axes.set_title(path, fontsize=9)
            found = layer.neighborhood_hit
            half = "" if np.isnan(found.low) else f" ± {found.high - found.mean:.2f}"
            axes.set_xlabel(f"neighborhood hit {found.mean:.2f}{half}", fontsize=8)
            if column == 0 and not single:
                axes.set_ylabel(name, fontsize=10)
    _legend(figure, names, colors)
    if title or single:
        figure.suptitle(title or next(iter(named)), fontsize=11)
    return figure


@saved
def depth_plot(named: Mapping[str, "Diagnosis"], *, title: str = "", path: str | os.PathLike[str] | None = None) -> "Figure":
    """Plots the neighborhood hit of each layer by depth, on the maps and among the activations themselves.

    Error bars are 95 % confidence intervals. The gray line is the level of shuffled labels.

    Args:
        named: Maps the name of each network to its diagnosis.
        title: A title.
        path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

    Returns:
        A matplotlib figure with a curve per network: on the maps, among the activations, and the accuracy of the linear probe.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.diagnosis import Protocol, diagnose
    >>> from keras_xai.features import TSNE
    >>> from keras_xai.report import depth_plot
    >>> dense = keras.layers.Dense
    >>> model = keras.Sequential([keras.Input((8,)), dense(8, "relu", name="hidden"), dense(2, "softmax")])
    >>> x, y = np.random.default_rng(0).normal(size=(60, 8)), np.arange(60) % 2
    >>> report = diagnose(model, x, y, protocol=Protocol(tsne=TSNE(perplexity=8, iterations=260), repeats=1))
    >>> [axes.get_title() for axes in depth_plot({"network": report}).axes]
    ['on the maps, by t-SNE', 'among the activations', 'linear probe']
    """
    check_named("named", named, Diagnosis, "diagnosis")
    for name, report in named.items():
        if not len(report):
            raise ValueError(f"Expected diagnoses with at least one layer. Received: named[{name!r}] without layers.")
    panels = (
        ("on the maps, by t-SNE", "neighborhood_hit", "neighborhood hit"),
        ("among the activations", "activation_hit", "neighborhood hit"),
        ("linear probe", "probe_accuracy", "accuracy"),
    )
    from keras_xai.report.figure import add_legend, new_figure

    drawn: dict[str, Any] = {}
    figure = new_figure(figsize=(11.0, 3.9), layout="constrained")
    for axes, (heading, attribute, quantity) in zip(figure.subplots(1, len(panels), sharey=True), panels, strict=True):
        for number, (name, report) in enumerate(named.items()):
            layers = list(report.layers.values())
            found = np.array([getattr(layer, attribute) for layer in layers])
            depth = [layer.depth for layer in layers]
            errors = np.nan_to_num(np.abs(found[:, 1:] - found[:, :1])).T
            drawn[name] = axes.errorbar(
                depth,
                found[:, 0],
                yerr=errors,
                color=class_color(number),
                label=name,
                marker="o",
                markersize=4,
                linewidth=1.5,
                capsize=2,
            )
        report = next(iter(named.values()))
        chance = report.chance if quantity == "neighborhood hit" else np.bincount(report.labels).max() / len(report.labels)
        axes.axhline(chance, color="#8a929b", linewidth=1.0, linestyle="--")
        axes.text(0.0, chance, " chance", fontsize=8, color="#5b636b", va="bottom")
        axes.set_title(heading, fontsize=10)
        axes.set_xlabel("relative depth, share of the layers with weights", fontsize=8)
        axes.set_ylabel(quantity, fontsize=9)
        axes.set(xlim=(-0.02, 1.04), ylim=(0, 1.02))
        axes.tick_params(labelsize=8, labelleft=True)
        axes.grid(color="#e6e9ec", linewidth=0.6)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    add_legend(figure, [*drawn.values()], loc="outside lower center", ncols=min(len(drawn), 4), frameon=False, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def _class_names(report, class_names):
    return check_class_names(class_names, len(report.classes), "class") or [str(label) for label in report.classes]


def _draw_map(axes, points, colors):
    """Centered points on a square that contains all of them."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    half = np.abs(points - middle).max() * 1.05 or 1.0
    size = float(np.clip(4000 / len(points), 1.0, 14.0))
    # Shuffled, so that no class covers all others.
    order = np.random.default_rng(0).permutation(len(points))
    axes.scatter(*points[order].T, c=colors[order], s=size, linewidths=0)
    frame(axes)
    axes.set(xlim=middle[0] + [-half, half], ylim=middle[1] + [-half, half], aspect="equal")


def _legend(figure, names, colors):
    from matplotlib.lines import Line2D

    from keras_xai.report.figure import add_legend

    handles = [
        Line2D([], [], color=color, marker="o", markersize=5, linestyle="", label=name)
        for name, color in zip(names, colors, strict=True)
    ]
    if len(handles) > _MOST_NAMED:
        handles = [handles[0], handles[-1]]
    options = {"loc": "outside lower center", "frameon": False, "fontsize": 8, "columnspacing": 1.0}
    add_legend(figure, handles, ncols=min(len(handles), 10), **options)
