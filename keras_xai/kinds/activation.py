"""Decomposition of activation functions into operations."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_xai.graph.nodes import trace_function
from keras_xai.graph.steps import Graph


def trace_activation(activation: Callable, specs: Sequence[keras.KerasTensor]) -> Graph:
    """The operations of an activation function.

    Args:
        activation: Maps a tensor to a tensor.
        specs: Shape and dtype of that tensor.

    Raises:
        ValueError: If it cannot be called with a symbolic tensor.
    """
    try:
        return trace_function(activation, specs)
    except ValueError:
        # Some functions of `keras.activations`, such as `hard_silu`, convert their input before they call the operation.
        name = getattr(activation, "__name__", "")
        operation: Any = getattr(ops, name, _OTHERS.get(name))
        if getattr(keras.activations, name, None) is not activation or operation is None:
            raise
        return trace_function(operation, specs)


class Mish(keras.Operation):
    """x tanh(softplus(x)); Keras has it only as an activation, not as an operation."""

    def call(self, x):
        return keras.activations.mish(x)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


# Activations of Keras without a function in `keras.ops`.
_OTHERS = {"mish": Mish(name="mish")}
