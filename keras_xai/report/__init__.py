"""Results as pictures and self-contained HTML pages: results in, pictures out, never a model."""

from keras_xai.report.activations import activations_plot
from keras_xai.report.comparison import comparison_plot
from keras_xai.report.diagnosis import depth_plot, layers_plot
from keras_xai.report.embedding import embedding_plot
from keras_xai.report.examples import examples_plot
from keras_xai.report.explanations import explanations_plot
from keras_xai.report.features import boundary_plot, decision_plot
from keras_xai.report.groups import fidelity_plot, groups_plot
from keras_xai.report.heatmap import color_bar, heatmap, shared_limit
from keras_xai.report.maps import maps_plot
from keras_xai.report.maximized import dream_plot, maximized_plot
from keras_xai.report.openbox import openbox_page
from keras_xai.report.page import Page, Panel
from keras_xai.report.partition import gradients_plot, line_plot, plane_plot
from keras_xai.report.plots import histogram, picture
from keras_xai.report.rbm import filters_plot, reconstructions_plot
from keras_xai.report.reconstructions import deconvnet_plot
from keras_xai.report.regions import parallel_coordinates

__all__ = [
    "Page",
    "Panel",
    "activations_plot",
    "boundary_plot",
    "color_bar",
    "comparison_plot",
    "decision_plot",
    "deconvnet_plot",
    "depth_plot",
    "dream_plot",
    "embedding_plot",
    "examples_plot",
    "explanations_plot",
    "fidelity_plot",
    "filters_plot",
    "gradients_plot",
    "groups_plot",
    "heatmap",
    "histogram",
    "layers_plot",
    "line_plot",
    "maps_plot",
    "maximized_plot",
    "openbox_page",
    "parallel_coordinates",
    "picture",
    "plane_plot",
    "reconstructions_plot",
    "shared_limit",
]
