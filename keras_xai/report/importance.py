"""Bars of the importance of features."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.data.checks import check_count, check_names, check_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from keras_xai.results import FeatureImportance

_WIDTH, _BAR, _MARGIN = 5.5, 0.24, 1.1  # inches
_COLOR, _ERROR = "#3a76af", "#30363d"


def importance_plot(found: "FeatureImportance", *, top: int, feature_names: Sequence[str] | None, title: str) -> "Figure":
    """Bars of the most important features, with standard deviations, for `FeatureImportance.plot`."""
    from keras_xai.report.figure import new_figure

    check_count("top", top)
    check_text("title", title)
    names = (
        found.feature_names if feature_names is None else check_names("feature_names", feature_names, len(found), "feature")
    )
    order = np.argsort(-found.mean, kind="stable")[:top]
    figure = new_figure(figsize=(_WIDTH, _MARGIN + _BAR * len(order)), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(order))
    axes.barh(places, found.mean[order], xerr=found.std[order], color=_COLOR, ecolor=_ERROR, height=0.72)
    axes.axvline(0, color=_ERROR, linewidth=0.8)
    axes.set(ylim=(len(order) - 0.4, -0.6), yticks=places)
    axes.set_yticklabels([names[i] for i in order], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel(f"{'drop' if found.higher_is_better else 'rise'} of {found.metric} when permuted", fontsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#c4cad0")
    more = f", the {len(order)} largest of {len(found)}" if len(order) < len(found) else ""
    axes.set_title(title or f"{found.metric} {found.score:.4g}{more}", fontsize=11)
    return figure
