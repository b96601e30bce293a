"""Data formats that TensorFlow supports on the current device."""

from collections.abc import Callable

import tensorflow as tf


def lacks_layout(call: Callable[[], object]) -> bool:
    """Whether a call fails because the device has no kernel for the data format of its tensors.

    Args:
        call: Called once, outside of any program that is being compiled. Other failures are ignored.
    """
    with tf.init_scope():
        try:
            call()
        except tf.errors.OpError as error:
            # Kernels say that one "only supports the NHWC tensor format" or "only supports NDHWC".
            return "only supports" in str(error) and "HWC" in str(error)
        except Exception:
            return False
    return False
