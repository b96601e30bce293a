"""Results as pictures and self-contained HTML pages: results in, pictures out, never a model."""

from keras_xai.report.features import boundary_plot, decision_plot
from keras_xai.report.heatmap import color_bar, heatmap, shared_limit
from keras_xai.report.openbox import openbox_page
from keras_xai.report.page import Page, Panel
from keras_xai.report.plots import histogram, picture

__all__ = [
    "Page",
    "Panel",
    "boundary_plot",
    "color_bar",
    "decision_plot",
    "heatmap",
    "histogram",
    "openbox_page",
    "picture",
    "shared_limit",
]
