"""Folding of batch normalization and added constants into the preceding affine map."""

from typing import Any

from keras import ops

from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds.expansion import kind_of
from keras_xai.rules.rule import Call, Passage


def folded_into(graph: Graph, step: Step) -> tuple[Step, ...]:
    """The steps folded into a step: they follow it, and no other step uses the tensors in between.

    Args:
        graph: The graph.
        step: A dense layer, a convolution, or a sum of tensors in the graph.
    """
    found: list[Step] = []
    (output,) = step.outputs
    while output not in graph.outputs:
        consumers = [other for other in graph.steps if output in other.inputs]
        if len(consumers) != 1 or not (kind_of(consumers[0]).shifts(consumers[0]) or _scales_channels(step, consumers[0])):
            break
        found += consumers
        (output,) = consumers[0].outputs
    return tuple(found)


def effective_kernel(passage: Passage, kernel: Any) -> Any:
    """The effective weights of a kernel with the folded steps.

    Args:
        passage: The step.
        kernel: The last of its kernels, a variable, array or tensor.
    """
    weights = ops.convert_to_tensor(kernel)
    for each in passage.folded:
        kind = kind_of(each)
        if kind.normalized_axis(each) is not None:
            channels = kind_of(passage.step).kernel_channels(passage.step)
            assert channels is not None, "only a channel scale is folded"
            rank = len(weights.shape)
            shape = [size if axis - rank in channels else 1 for axis, size in enumerate(weights.shape)]
            scale = ops.sign(kind.scale(each)) if passage.unscaled else kind.scale(each)
            weights = weights * ops.reshape(scale, shape)
    return weights


def folded_bias(call: Call) -> Any:
    """The effective bias of a step with the folded steps, which broadcasts against the output."""
    step, dtype = call.step, call.folded_output.dtype
    spec, axis = step.output_specs[0], _channel_axis(step)
    bias = call.kind.bias(step)
    total = ops.zeros((), dtype=dtype) if bias is None else ops.convert_to_tensor(bias)
    if bias is not None and len(bias.shape) == 1 and axis is not None:
        total = ops.reshape(total, _beside(axis, spec.shape))
    # The output for a zero input is the bias. The input must have the right rank and number of channels.
    start = ops.zeros([1 if other != axis else size for other, size in enumerate(spec.shape)], dtype=dtype)
    return shifted(call, start + total) if call.passage.folded else total


def shifted(call: Call, total: Any) -> Any:
    """The result of the folded steps for a tensor in place of the step's output.

    Args:
        call: The step.
        total: The tensor, of the rank of the output.
    """
    (identifier,) = call.step.outputs
    for each in call.passage.folded:
        (total,) = each(*(total if i == identifier else call.values[i] for i in each.inputs))
        (identifier,) = each.outputs
    return total


def _channel_axis(step):
    """The axis of a step's output whose channels have separate weights; `None` if it is unknown."""
    kind = kind_of(step)
    return None if kind.kernel_channels(step) is None else kind.channel_axis(step) % len(step.output_specs[0].shape)


def _beside(axis, shape):
    return [-1 if other == axis else 1 for other in range(len(shape))]


def _scales_channels(step, following):
    normalized, axis = kind_of(following).normalized_axis(following), _channel_axis(step)
    if normalized is None or axis is None or len(following.inputs) != 1:
        return False
    return normalized % len(step.output_specs[0].shape) == axis
