"""Max pooling of volumes with a custom derivative.

TensorFlow's derivative passes the gradient of a window to each of several equal entries, so that it counts several times. It does not
support float64 on a CPU.
"""

from collections.abc import Callable

import keras
from keras import ops

from keras_xai.graph.nodes import trace_function
from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds.windows import adaptive_windows, channels_back, channels_last, per_axis


def by_volumes(step: Step, operation: Callable) -> Graph | None:
    """The graph that computes a pooling of volumes by an operation below; `None` if it already is one, or pools something else.

    Args:
        step: The call of a pooling layer or operation.
        operation: The class of the replacement, constructed from the pooling.
    """
    if len(step.input_specs[0].shape) != 5 or type(step.operation) is operation:
        return None
    return trace_function(operation(step.operation), step.input_specs)


class MaxPoolVolumes(keras.Operation):
    """Max pooling of volumes: images are pooled, and then the depth.

    Args:
        pool: An object with `pool_size`, `strides`, `padding` and `data_format`.
    """

    def __init__(self, pool, *, name: str | None = None):
        super().__init__(name=name)
        self.pool_size = per_axis(pool.pool_size, 3)
        self.strides = per_axis(pool.strides or pool.pool_size, 3)
        self.padding = pool.padding
        self.data_format = pool.data_format

    def call(self, x):
        """The largest entry of each window."""
        x = channels_last(x, self.data_format)
        depth, channels = ops.shape(x)[1], x.shape[-1]
        images = self._pooled(ops.reshape(x, (-1, *ops.shape(x)[2:])), self.pool_size[1:], self.strides[1:])
        height, width = ops.shape(images)[1:3]
        pooled = self._pooled(
            ops.reshape(images, (-1, depth, height * width, channels)), (self.pool_size[0], 1), (self.strides[0], 1)
        )
        return channels_back(ops.reshape(pooled, (-1, ops.shape(pooled)[1], height, width, channels)), self.data_format)

    def _pooled(self, images, size, strides):
        return ops.max_pool(images, size, strides, self.padding, "channels_last")

    def compute_output_spec(self, x):
        """The spec of the pooled volumes."""
        layer = keras.layers.MaxPooling3D(self.pool_size, self.strides, self.padding, self.data_format)
        return keras.KerasTensor(layer.compute_output_shape(x.shape), x.dtype)


class AdaptiveMaxPoolVolumes(keras.Operation):
    """Max pooling of volumes to a given size: the largest of each window, cut out as a whole.

    Args:
        pool: An object with `output_size` and `data_format`.
    """

    def __init__(self, pool, *, name: str | None = None):
        super().__init__(name=name)
        self.output_size = pool.output_size
        self.data_format = pool.data_format

    def call(self, x):
        """The largest entry of each window."""
        return channels_back(ops.max(adaptive_windows(self, x)[0], axis=-2), self.data_format)

    def compute_output_spec(self, x):
        """The spec of the pooled volumes."""
        layer = keras.layers.AdaptiveMaxPooling3D(self.output_size, data_format=self.data_format)
        return keras.KerasTensor(layer.compute_output_shape(x.shape), x.dtype)
