"""Channels-first convolutions, which TensorFlow has on a GPU, and on a CPU only with oneDNN and in some types."""

import keras
import numpy as np
import pytest
import tensorflow as tf


def computed_here(dtype="float32"):
    """Whether this machine computes them."""
    x, kernel = np.ones((1, 1, 2, 2), dtype), np.ones((2, 2, 1, 1), dtype)
    try:
        keras.ops.conv(x, kernel, data_format="channels_first")
    except tf.errors.UnimplementedError:
        return False
    return True


def refused():
    """Within it, the error by which the package refuses a model that this machine does not compute."""
    return pytest.raises(ValueError, match=r"Expected layers that this device can run.*TF_ENABLE_ONEDNN_OPTS=1")
