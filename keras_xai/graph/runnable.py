"""Check for data formats that the current device does not support, such as channels-first on most CPUs."""

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from keras_xai.backend import lacks_layout
from keras_xai.graph.steps import Step
from keras_xai.graph.view import arithmetic, unchanged

# Large enough for the windows of an operation whose input size is unknown; otherwise arbitrary.
_OPEN_SIZE = 32


def check_runnable(steps: Iterable[Step], dtype: str | None = None) -> None:
    """Rejects steps whose data format the current device does not support.

    Support depends on the processor, on how TensorFlow was built and started, and on the dtype: without oneDNN, a CPU has no channels-first
    convolution; with it, only in float32 and bfloat16. Therefore each channels-first step is tried on one sample of zeros with the size of
    its windows.

    Args:
        steps: The steps to run.
        dtype: Floating-point type of all arithmetic; by default that of each layer.

    Raises:
        ValueError: If the device cannot compute some of them; the message names them with solutions.
    """
    refused = [step for step in steps if _is_channels_first(step) and not _runs(step, dtype)]
    if refused:
        names = ", ".join(f"'{step.path}' ({type(step.operation).__name__})" for step in refused)
        raise ValueError(
            f"Expected layers that this device can run. Received: {names}, with data_format='channels_first'"
            f"{f' in {dtype}' if dtype else ''}. On a CPU, TensorFlow computes channels-first convolutions with oneDNN only, in "
            "float32 and bfloat16. Set the environment variable TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported, run on a "
            "GPU, or build the model with data_format='channels_last'."
        )


def _is_channels_first(step: Step) -> bool:
    """Whether the operation, or a layer within it, is channels first."""
    operation = step.operation
    within = operation._flatten_layers() if isinstance(operation, keras.Layer) else [operation]
    return any(getattr(each, "data_format", None) == "channels_first" for each in within)


def _runs(step: Step, dtype: str | None) -> bool:
    def run():
        with unchanged() if dtype is None else arithmetic(dtype):
            step(*(ops.zeros(_sample(step, spec.shape), spec.dtype) for spec in step.input_specs))

    return not lacks_layout(run)


def _sample(step: Step, shape: tuple) -> list[int]:
    """The shape of one sample of the size of a convolution's windows."""
    operation: Any = step.operation
    windows = getattr(operation, "kernel_size", ())
    if len(windows) == len(shape) - 2:
        dilations = getattr(operation, "dilation_rate", [1] * len(windows))
        reaches = [(size - 1) * dilation + 1 for size, dilation in zip(windows, dilations, strict=True)]
        return [1, shape[1], *reaches]
    return [1, *(size or _OPEN_SIZE for size in shape[1:])]
