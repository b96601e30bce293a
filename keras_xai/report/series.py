"""Series as lines in the colors of their values."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.report.colors import SIGNED, Colors
from keras_xai.report.labels import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CHANNELS = 8
_TOGETHER = 3  # up to so many channels share an axis; more have a lane each
_LONGEST_NAME = 20
_POINTS = 1500  # of a line; of a longer one the extremes of equal parts are drawn
_GRAY, _FRAME, _INK = "#8a939c", "#c4cad0", "#30363d"


def strongest_channels(values: Sequence[np.ndarray], count: int) -> np.ndarray:
    """The channels to draw, in their order: those with the largest relative values by any method that tells channels apart.

    Args:
        values: By each method, `(time, channels)`, or one channel for all.
        count: The number of channels of the series.
    """
    sizes = [np.abs(each).mean(axis=0) for each in values if each.shape[1] == count]
    strength = np.max([each / (each.max() or 1.0) for each in sizes] or [np.zeros(count)], axis=0)
    return np.sort(np.argsort(-strength, kind="stable")[:_CHANNELS])


def series_height(channels: int) -> float:
    """The height of a series in inches, without its axis."""
    return 1.1 if channels <= _TOGETHER else 0.33 * min(channels, _CHANNELS) + 0.1


def series_width(steps: int) -> float:
    """The width of a series in inches."""
    return float(np.interp(steps, [100, 1000], [3.0, 6.0]))


def draw_series(
    axes: "Axes",
    x: np.ndarray,
    values: np.ndarray | None,
    channels: np.ndarray,
    names: Sequence[str] | None,
    colors: Colors = SIGNED,
) -> float:
    """Draws channels of a series as lines, with each segment in the color of the values at its ends.

    Args:
        axes: Where to draw.
        x: `(time, channels)`.
        values: `(time, channels)`, or one channel for all; `None` to draw the series alone.
        channels: The channels to draw.
        names: Names of all channels; their indices by default.
        colors: The color scale.

    Returns:
        The end of the color scale.
    """
    count = x.shape[1]
    labels = [shortened(f"channel {i}" if names is None else names[i], _LONGEST_NAME) for i in channels]
    shown = x[:, channels].astype("float64")
    values = None if values is None else colors.shown(values)
    found = None if values is None else np.broadcast_to(values, x.shape)[:, channels]
    limit = 1.0 if values is None else colors.limit(values)
    lanes = count > _TOGETHER
    if lanes:
        low, high = shown.min(axis=0), shown.max(axis=0)
        # From 0 at the top, each in a lane of its own scale.
        shown = (
            np.arange(len(channels))
            + 0.38
            - 0.76 * np.where(high > low, (shown - low) / np.where(high > low, high - low, 1), 0.5)
        )
    for i in range(len(channels)):
        _draw_line(axes, shown[:, i], None if found is None else found[:, i], colors, limit)
    more = count - len(channels)
    axes.set_xlabel("time step" + f"; {more} more channel{'s' * (more > 1)}" * (more > 0), fontsize=8)
    axes.set_xlim(-0.01 * len(x), 1.01 * len(x))
    axes.tick_params(labelsize=7, color=_GRAY)
    axes.locator_params(axis="x", integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(_FRAME)
    if lanes:
        axes.set(ylim=(len(channels) - 0.45, -0.55), yticks=np.arange(len(channels)))
        axes.set_yticklabels(labels, fontsize=7)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    elif count > 1:
        for i, (place, label) in enumerate(zip(_spread(shown[-1], np.ptp(shown)), labels, strict=True)):
            axes.annotate(
                label,
                (len(x) - 1, shown[-1, i]),
                (1.02, place),
                textcoords=axes.get_yaxis_transform(),
                fontsize=7,
                va="center",
                color=_INK,
                arrowprops={"arrowstyle": "-", "color": _FRAME, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2},
            )
    return limit


def _draw_line(axes, channel, found, colors, limit):
    from matplotlib.collections import LineCollection

    time, channel, found = _thinned(channel, found)
    axes.plot(time, channel, color=_GRAY, linewidth=1.5 if found is None else 3.8, solid_capstyle="round", zorder=1)
    if found is not None:
        points = np.stack([time, channel], axis=1)
        segments = [*np.stack([points[:-1], points[1:]], axis=1)]
        ends = colors.of((found[1:] + found[:-1]) / 2, limit)
        axes.add_collection(LineCollection(segments, colors=ends, linewidths=2.6, capstyle="round", zorder=2))


def _thinned(channel, found):
    """Times, entries and values to draw: of a long series the lowest and highest entry of equal parts, with the largest value there."""
    time = np.arange(len(channel))
    if len(channel) <= _POINTS:
        return time, channel, found
    starts = np.unique(np.linspace(0, len(channel), _POINTS // 2 + 1).astype(int))
    kept: list[int] = []
    colors: list[float] = []
    for start, stop in itertools.pairwise(starts):
        part = channel[start:stop]
        kept += sorted({start + int(part.argmin()), start + int(part.argmax())})
        if found is not None:
            largest = found[start:stop][np.abs(found[start:stop]).argmax()]
            colors += [largest] * (len(kept) - len(colors))
    return time[kept], channel[kept], None if found is None else np.array(colors)


def _spread(places, span):
    """Places of labels, moved apart so that none covers another."""
    gap = 0.17 * (span or 1.0)
    order = np.argsort(places, kind="stable")
    found = places[order].copy()
    for i in range(1, len(found)):
        found[i] = max(found[i], found[i - 1] + gap)
    moved = np.empty_like(found)
    moved[order] = found - (found - places[order]).mean()
    return moved
