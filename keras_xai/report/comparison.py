"""Explanations by several methods, with their metrics."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.report.explanations import Grid
from keras_xai.results.plot_options import PlotOptions

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from keras_xai.results import Explanation

_LINE = 0.2  # inches


def comparison_plot(
    named: Mapping[str, "Explanation"], table: "pd.DataFrame", higher_is_better: Mapping[str, bool], options: PlotOptions
) -> "Figure":
    """Explanations with the metrics of each method below, for `Comparison.plot`."""
    metrics = list(higher_is_better)
    grid = Grid(named, options)
    figure = grid.figure(footer=_LINE * (len(metrics) + 2))
    lines = [f"{metric} {'↑' if higher_is_better[metric] else '↓'}" for metric in metrics]
    lines += ["passes per sample", "seconds per sample"]
    best = {metric: _best(table[metric]["mean"], higher_is_better[metric]) for metric in metrics}
    places = 1 - (np.arange(len(lines)) + 0.5) / len(lines)
    for axes in grid.footer_labels:
        for place, line in zip(places, lines, strict=True):
            axes.text(-0.02 if not grid.first else 1.0, place, line, fontsize=8, ha="right", va="center", color="#30363d")
    for name, axes in grid.footers.items():
        row = table.loc[name]
        cells = [(_cell(row[metric]), name in best[metric]) for metric in metrics]
        cells += [(f"{row['cost']['num_forward_passes']:.4g}", False), (f"{row['cost']['seconds']:.2g}", False)]
        for place, (cell, bold) in zip(places, cells, strict=True):
            axes.text(0.5, place, cell, fontsize=8, ha="center", va="center", fontweight="bold" if bold else "normal")
    return figure


def _best(means, higher):
    """The methods with the best mean."""
    return set(means.index[np.isclose(means, means.max() if higher else means.min(), rtol=1e-5)])


def _cell(statistics):
    if np.isnan(statistics["mean"]):
        return "-"
    half = statistics["high"] - statistics["mean"]
    return f"{statistics['mean']:.3g}" + ("" if np.isnan(half) else f" ± {half:.2g}")
