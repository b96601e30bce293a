"""Plots of groups of regions: fidelity to a network, and areas in a plane."""

import os
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from keras_xai.data.checks import check_choice, check_count, real_array, short
from keras_xai.data.tables import is_frame
from keras_xai.results.pictures import saved

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from keras_xai.report.protocols import Groups

Measure = Literal["agreement", "difference", "accuracy", "auc"]
_NAMES: dict[str, str] = {
    "agreement": "agreement with the network",
    "difference": "difference of probabilities",
    "accuracy": "accuracy",
    "auc": "AUC",
}
_STYLES = {"merge": ("#2f6f9f", "o"), "flatten": ("#c4622d", "s"), "prune": ("#7d8590", "^")}
_SHADES = ("#dbe7f3", "#f6e3d3", "#dcefdc", "#efe0ef", "#f5efc9", "#d8efee", "#f3dbdd", "#e6e6e6", "#e3dcf5", "#e9edd0")
_CLASSES = ("#1f5f99", "#c4501b", "#3c8d40", "#8a4fa3", "#b58a00", "#1d8a88", "#b23a48", "#555555", "#5e4fc2", "#758a1e")
_INK = "#1c2024"


@saved
def fidelity_plot(
    curve: "pd.DataFrame", measure: Measure = "agreement", *, path: str | os.PathLike[str] | None = None
) -> "Figure":
    """Plots fidelity by number of groups, with a line per method and a horizontal line for the network.

    Args:
        curve: The return value of `fidelity_curve`.
        measure: The column to plot: `"agreement"`, `"difference"`, `"accuracy"` or `"auc"`.
        path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: If the measure is unknown, or the curve has no values of it.

    Example:

    >>> import pandas as pd
    >>> from keras_xai.report.groups import fidelity_plot
    >>> curve = pd.DataFrame({"method": ["network", "merge", "merge"], "num_groups": [9, 2, 9], "agreement": [1.0, 0.8, 1.0]})
    >>> fidelity_plot(curve).axes[0].get_xscale()
    'log'
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    from keras_xai.report.figure import new_figure

    check_choice("measure", measure, _NAMES)
    if not is_frame(curve) or "method" not in curve:
        raise ValueError(f"Expected `curve` to be what `fidelity_curve` returns. Received: curve={curve!r}")
    if measure not in curve or curve[measure].isna().all():
        raise ValueError(
            f"Expected a curve with values of {measure!r}; accuracy and AUC need labels. Received: a curve without them."
        )
    figure = new_figure(figsize=(7.0, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for method, (color, marker) in _STYLES.items():
        rows = curve[curve["method"] == method].sort_values("num_groups")
        if len(rows):
            axes.plot(rows["num_groups"], rows[measure], color=color, marker=marker, markersize=5, linewidth=1.6, label=method)
    network = curve[curve["method"] == "network"]
    if len(network):
        axes.axhline(network[measure].iloc[0], color=_INK, linewidth=1.0, linestyle="--", label="network", zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel('groups of regions (hidden units for "flatten")', fontsize=10)
    axes.set_ylabel(_NAMES[measure], fontsize=10)
    axes.tick_params(labelsize=9)
    axes.grid(color="#e3e6ea", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9, loc="best")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def groups_plot(groups: "Groups", x: Any, y: Any, *, resolution: int) -> "Figure":
    """The groups of a network with two inputs, for `RegionGroups.plot`."""
    from matplotlib.colors import ListedColormap

    from keras_xai.report.figure import new_figure

    x = real_array("x", x)
    check_count("resolution", resolution, least=2)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f"Expected `x` to have shape (n, 2). Received: shape {x.shape}")
    if y is not None and (real_array("y", y).shape != (len(x),) or np.asarray(y).dtype.kind not in "iub"):
        raise ValueError(f"Expected `y` to be one class index for each of {len(x)} samples. Received: y={short(y)}")
    labels = groups.predict(x) if y is None else np.asarray(y)
    figure = new_figure(figsize=(5.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    horizontal, vertical = (_ticks(x[:, i], resolution) for i in (0, 1))
    grid = np.stack(np.meshgrid(horizontal, vertical), axis=-1)
    points = groups.points(grid.reshape(-1, 2))
    areas = groups.assign(points)[0].reshape(grid.shape[:2])
    scores = groups.scores(points)
    extent = (horizontal[0], horizontal[-1], vertical[0], vertical[-1])
    axes.imshow(
        areas % len(_SHADES), origin="lower", extent=extent, cmap=ListedColormap(_SHADES), vmin=0, vmax=len(_SHADES) - 1,
        interpolation="nearest", aspect="equal",
    )  # fmt: skip
    for label in np.unique(labels):
        rows = labels == label
        color = _CLASSES[int(label) % len(_CLASSES)]
        axes.scatter(x[rows, 0], x[rows, 1], s=9, color=color, alpha=0.65, linewidths=0, label=f"class {label}")
    for label in np.unique(scores.argmax(axis=1))[1:]:
        margin = scores[:, label] - np.delete(scores, label, axis=1).max(axis=1)
        axes.contour(horizontal, vertical, margin.reshape(areas.shape), levels=[0.0], colors=_INK, linewidths=1.6)
    _number(axes, groups)
    axes.set(xlim=extent[:2], ylim=extent[2:])
    axes.set_xlabel("first input", fontsize=10)
    axes.set_ylabel("second input", fontsize=10)
    axes.tick_params(labelsize=9)
    axes.legend(fontsize=9, framealpha=0.9, loc="upper right", markerscale=2)
    return figure


def _ticks(values, resolution):
    margin = 0.05 * np.ptp(values)
    return np.linspace(values.min() - margin, values.max() + margin, resolution)


def _number(axes, groups):
    """Writes each group's number at its most central sample."""
    features = groups.regions.points.features
    for group, row in enumerate(groups.representatives):
        if row[0] >= 0:
            box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": _INK, "linewidth": 0.6}
            axes.text(*features[row[0]], str(group), fontsize=9, ha="center", va="center", bbox=box, zorder=5)
