"""A model as something that runs: forward passes to any tensor, scores and their derivatives, linear pieces, messages passed back."""

from keras_xai.network.network import Network
from keras_xai.network.piecewise import PiecewiseNetwork
from keras_xai.network.scores import Scores

__all__ = ["Network", "PiecewiseNetwork", "Scores"]
