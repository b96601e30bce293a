"""Parallel-coordinates plot of regions, with one axis per feature and one line per region."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import check_names, check_text, real_array
from keras_xai.report.classes import PALETTE, class_color
from keras_xai.results.pictures import saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Viridis from violet to green; its yellow end is hard to see on white.
_COLOR_MAP, _COLOR_MAP_END = "viridis", 0.82
_WIDTHS = (0.6, 4.0)
_OPACITIES = (0.3, 0.95)
_GRAY = "#5a6068"


@saved
def parallel_coordinates(
    values: np.ndarray,
    samples: Sequence[int],
    *,
    feature_names: Sequence[str] | None = None,
    labels: Sequence[Any] | None = None,
    response: Sequence[float] | None = None,
    label: str = "coefficient",
    response_label: str = "response",
    path: str | os.PathLike[str] | None = None,
) -> "Figure":
    """Plots the coefficients of regions as lines over one axis per feature, all on one scale.

    Regions with more samples have wider and more opaque lines; the largest regions are in front.

    Args:
        values: `(regions, features)`: coefficients of one class, or decision features.
        samples: `(regions,)`, the number of samples in each region.
        feature_names: Names of the features; their numbers by default.
        labels: `(regions,)`, a label for each region, such as its most frequent class, shown as up to ten colors.
        response: `(regions,)`, a number for each region, such as its mean response, shown on a color scale. Excludes `labels`.
        label: Meaning of the values, with their unit.
        response_label: Meaning of the response, with its unit.
        path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: If the shapes are inconsistent, a value is not finite, a number of samples is not positive, both `labels` and `response`
            are given, or there are more than ten classes.

    Example:

    >>> import numpy as np
    >>> from keras_xai.report import parallel_coordinates
    >>> coefficients = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, -1.0]])
    >>> figure = parallel_coordinates(coefficients, [90, 10], feature_names=["age", "height", "income"], labels=["yes", "no"])
    >>> [text.get_text() for text in figure.axes[0].get_xticklabels()]
    ['age', 'height', 'income']
    """
    values, samples = _checked(values, samples)
    names = _checked_names(values, feature_names)
    for name, text in (("label", label), ("response_label", response_label)):
        check_text(name, text)
    order = np.argsort(samples, kind="stable")  # the largest last, in front
    colors, legend, scale = _colors(len(values), labels, response)
    figure, axes = _empty(values, names, label)
    for i, share in zip(order, _shares(samples)[order], strict=True):
        axes.plot(
            values[i],
            color=colors[i],
            linewidth=_between(_WIDTHS, share),
            alpha=_between(_OPACITIES, share),
            marker="o" if values.shape[1] == 1 else None,
            solid_joinstyle="round",
        )
    _add_legend(axes, legend, samples)
    if scale is not None:
        bar = figure.colorbar(scale, ax=axes, pad=0.015, fraction=0.04)
        bar.set_label(response_label, fontsize=9)
        bar.ax.tick_params(labelsize=8)
    return figure


def _checked(values, samples):
    values, samples = real_array("values", values).astype("float64"), real_array("samples", samples)
    if values.ndim != 2 or not values.size:
        raise ValueError(
            f"Expected `values` to have shape (regions, features). Received: shape {values.shape}. Select a class, and flatten the axes "
            "of a sample, for example `coef[:, 0].reshape(len(coef), -1)`."
        )
    if not np.isfinite(values).all():
        raise ValueError("Expected finite `values`. Received: NaN or infinity.")
    if samples.shape != values.shape[:1] or samples.dtype.kind not in "iuf" or not (samples > 0).all():
        raise ValueError(
            f"Expected `samples` to be {len(values)} positive numbers, one for each region. Received: {samples!r}"
        )
    return values, samples


def _checked_names(values, names):
    if names is None:
        return [str(i) for i in range(values.shape[1])]
    return check_names("feature_names", names, values.shape[1], "feature")


def _colors(count, labels, response):
    """The color of each region, the legend entries, and the color scale."""
    if labels is not None and response is not None:
        raise ValueError("Expected `labels` or `response` to be None, since each line has one color. Received: both.")
    for name, given in (("labels", labels), ("response", response)):
        if given is not None and np.shape(given) != (count,):
            raise ValueError(
                f"Expected `{name}` to have one entry for each of {count} regions. Received: shape {np.shape(given)}."
            )
    if labels is not None:
        return _class_colors(np.asarray(labels))
    if response is not None:
        return _response_colors(real_array("response", response).astype("float64"))
    return [class_color(1)] * count, {}, None


def _class_colors(classes):
    labels, places = np.unique(classes, return_inverse=True)
    if len(labels) > len(PALETTE):
        raise ValueError(
            f"Expected at most {len(PALETTE)} classes, the number of distinguishable colors. "
            f"Received: {len(labels)}. Draw fewer regions at a time."
        )
    return [PALETTE[place] for place in places], dict(zip(map(str, labels), PALETTE, strict=False)), None


def _response_colors(response):
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    if not np.isfinite(response).all():
        raise ValueError("Expected a finite response. Received: NaN or infinity.")
    colors = colormaps[_COLOR_MAP](np.linspace(0, _COLOR_MAP_END, 256))
    scale = ScalarMappable(Normalize(response.min(), response.max()), ListedColormap(colors))
    return list(scale.to_rgba(response)), {}, scale


def _empty(values, names, label) -> tuple["Figure", "Axes"]:
    """A figure with one vertical line for each feature."""
    from keras_xai.report.figure import new_figure

    count, longest = len(names), max(map(len, names))
    width = float(np.clip(2.5 + 0.38 * count, 6.5, 14.0))
    turned = 0.08 * longest > 0.85 * width / count  # required versus available inches of the longest name
    figure = new_figure(figsize=(width, 3.8 + 0.05 * longest * turned), layout="constrained")
    axes = figure.add_subplot()
    axes.vlines(range(count), 0, 1, transform=axes.get_xaxis_transform(), color="#d9dde1", linewidth=0.8, zorder=0)
    axes.axhline(0, color="#1c2024", linewidth=0.9, linestyle="--", zorder=1)
    margin = 0.06 * (np.ptp(np.append(values, 0.0)) or 1.0)
    axes.set_ylim(min(values.min(), 0.0) - margin, max(values.max(), 0.0) + margin)
    axes.set_xlim(-0.3, count - 0.7)
    axes.set_xticks(
        range(count), names, rotation=45 if turned else 0, ha="right" if turned else "center", rotation_mode="anchor"
    )
    axes.tick_params(labelsize=9 if count <= 30 else 6, length=0)
    axes.tick_params(axis="y", labelsize=9, length=3)
    axes.set_ylabel(label, fontsize=10)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    return figure, axes


def _add_legend(axes, classes, samples):
    """Adds the legends of colors and widths."""
    from matplotlib.lines import Line2D

    from keras_xai.report.figure import add_legend

    handles = [Line2D([], [], color=color, linewidth=2.5, label=name) for name, color in classes.items()]
    for place in dict.fromkeys((int(samples.argmin()), int(samples.argmax()))):
        share, number = _shares(samples)[place], samples[place]
        width, opacity = _between(_WIDTHS, share), _between(_OPACITIES, share)
        name = f"{number:,} sample{'' if number == 1 else 's'}"
        handles.append(Line2D([], [], color=_GRAY, linewidth=width, alpha=opacity, label=name))
    add_legend(axes, handles, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(handles), frameon=False, fontsize=9)


def _shares(samples):
    # Proportional to the root, so that a region with a hundredth of the samples is still a tenth as wide.
    return np.sqrt(samples / samples.max())


def _between(limits, share):
    return limits[0] + (limits[1] - limits[0]) * share
