"""Runnable models: forward passes to any tensor, scores and gradients, linear pieces, backward passes by rules."""

from keras_xai.network.network import Network
from keras_xai.network.piecewise import PiecewiseNetwork
from keras_xai.network.scores import Scores

__all__ = ["Network", "PiecewiseNetwork", "Scores"]
