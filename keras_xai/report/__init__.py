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
from keras_xai.results.pictures import shown

# Within the package they are imported from their modules: what pages and callbacks draw is not shown besides.
activations_plot = shown(activations_plot)
color_bar = shown(color_bar)
decision_plot = shown(decision_plot)
deconvnet_plot = shown(deconvnet_plot)
depth_plot = shown(depth_plot)
explanations_plot = shown(explanations_plot)
fidelity_plot = shown(fidelity_plot)
filters_plot = shown(filters_plot)
heatmap = shown(heatmap)
maps_plot = shown(maps_plot)
parallel_coordinates = shown(parallel_coordinates)
picture = shown(picture)
reconstructions_plot = shown(reconstructions_plot)

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
