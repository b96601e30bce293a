"""Plots of arrays and of several results side by side, and self-contained HTML pages; results have their own `plot()`."""

from keras_xai.report.activations import activations_plot
from keras_xai.report.blocks import Card, Case
from keras_xai.report.diagnosis import depth_plot
from keras_xai.report.explanations import explanations_plot
from keras_xai.report.features import decision_plot
from keras_xai.report.groups import fidelity_plot
from keras_xai.report.heatmap import color_bar, heatmap
from keras_xai.report.maps import maps_plot
from keras_xai.report.openbox import openbox_page
from keras_xai.report.page import Page, Panel
from keras_xai.report.plots import picture
from keras_xai.report.rbm import filters_plot, reconstructions_plot
from keras_xai.report.reconstructions import deconvnet_plot
from keras_xai.report.regions import parallel_coordinates
from keras_xai.report.tokens import words_html

__all__ = [
    "Card",
    "Case",
    "Page",
    "Panel",
    "activations_plot",
    "color_bar",
    "decision_plot",
    "deconvnet_plot",
    "depth_plot",
    "explanations_plot",
    "fidelity_plot",
    "filters_plot",
    "heatmap",
    "maps_plot",
    "openbox_page",
    "parallel_coordinates",
    "picture",
    "reconstructions_plot",
    "words_html",
]
