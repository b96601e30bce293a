"""Traced Keras models: a graph of operation calls, and target resolution.

Nothing outside this package and `keras_xai.backend` imports Keras internals.
"""

from keras_xai.graph.steps import Graph, Step
from keras_xai.graph.trace import trace

__all__ = ["Graph", "Step", "trace"]
