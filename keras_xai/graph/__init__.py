"""What a Keras model is: its calls in order, what is explained, and its derivatives.

Nothing outside this package imports Keras internals or a backend.
"""

from keras_xai.graph.split import split
from keras_xai.graph.steps import Graph, Step
from keras_xai.graph.target import resolve_target
from keras_xai.graph.trace import trace

__all__ = ["Graph", "Step", "resolve_target", "split", "trace"]
