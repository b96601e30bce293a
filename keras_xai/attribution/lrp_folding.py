"""Batch normalization, and constants that are added, as part of the affine map that they follow."""

from collections.abc import Sequence
from typing import Any

from keras import layers, ops

from keras_xai.graph.steps import Graph, Step
from keras_xai.graph.trace import operation_class
from keras_xai.kinds import kind_of

_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_ADD = operation_class(lambda x: ops.add(x, 1.0))


def folded_into(graph: Graph, step: Step) -> tuple[Step, ...]:
    """The steps that are folded into a step with weights: they follow it, and nothing else takes what is in between.

    Args:
        graph: The graph.
        step: A dense layer or convolution, one of its steps.
    """
    found: list[Step] = []
    (output,) = step.outputs
    while output not in graph.outputs:
        consumers = [other for other in graph.steps if output in other.inputs]
        if len(consumers) != 1 or not (_adds_constant(consumers[0]) or _scales_channels(step, consumers[0])):
            break
        found += consumers
        (output,) = consumers[0].outputs
    return tuple(found)


def channel_axis(step: Step) -> int | None:
    """The axis of a step's output that tells its channels apart, each with weights of its own; `None` if that is not known."""
    operation: Any = step.operation
    last = len(step.output_specs[0].shape) - 1
    if getattr(operation, "data_format", None) == "channels_first":
        return 1
    if isinstance(operation, layers.EinsumDense):
        _, kernel, output = operation.equation.replace("->", ",").split(",")
        return last if kernel[-1] == output[-1] else None
    return last if kind_of(step).kernels(step) else None


def scale_of(step: Step) -> Any:
    """What a folded step multiplies the channels by, a tensor `(channels,)`; `None` if it only adds something."""
    if not isinstance(step.operation, layers.BatchNormalization):
        return None
    layer = step.operation
    scale = ops.rsqrt(ops.convert_to_tensor(layer.moving_variance) + layer.epsilon)
    return scale * ops.convert_to_tensor(layer.gamma) if layer.scale else scale


def scaled(step: Step, kernel: Any, scale: Any) -> Any:
    """A kernel whose channels are multiplied by a scale.

    Args:
        step: The step that has the kernel; of a separable convolution the kernel that mixes channels.
        kernel: Tensor.
        scale: Tensor `(channels,)`.
    """
    operation: Any = step.operation
    if hasattr(operation, "depth_multiplier") and not hasattr(operation, "pointwise_kernel"):
        return kernel * ops.reshape(scale, kernel.shape[-2:])  # its channels are told by the input's and one of its own
    return kernel * (scale[:, None] if isinstance(operation, _TRANSPOSED) else scale)


def folded_bias(step: Step, folded: Sequence[Step], dtype: str) -> Any:
    """The bias of a step together with what is folded into it; it broadcasts against the output.

    Args:
        step: The step.
        folded: The steps.
        dtype: The type of all arithmetic.
    """
    spec, axis = step.output_specs[0], channel_axis(step)
    bias = getattr(step.operation, "bias", None)
    total = ops.zeros((), dtype=dtype) if bias is None else ops.convert_to_tensor(bias)
    if bias is not None and len(bias.shape) == 1 and axis is not None:
        total = ops.reshape(total, _beside(axis, spec.shape))
    for each in folded:
        # What the step makes of zero is what it adds. Its input must have the right rank, and as many channels.
        start = ops.zeros([1 if other != axis else size for other, size in enumerate(spec.shape)], dtype=dtype)
        (total,) = each(start + total)
    return total


def _beside(axis, shape):
    return [-1 if other == axis else 1 for other in range(len(shape))]


def _adds_constant(step):
    kind = kind_of(step)
    if kind.role != "merge" or not kind.elementwise(step):
        return False
    return isinstance(step.operation, _ADD) or step.takes_tensor(0)  # x - 1, but not 1 - x


def _scales_channels(step, following):
    if not isinstance(following.operation, layers.BatchNormalization) or len(following.inputs) != 1:
        return False
    axis = channel_axis(step)
    return axis is not None and following.operation.axis % len(step.output_specs[0].shape) == axis
