"""Extra operation handlers for shap's `DeepExplainer`, and its support check."""

import contextlib
from collections.abc import Iterator

import keras
from keras import ops

from keras_xai.backend import EXCLUSIVE, Primitive, primitives
from keras_xai.graph.view import arithmetic
from keras_xai.kinds.kind import Problem, UnsupportedLayerError
from keras_xai.network.scores import Scores

# Linear in the input of this index, with all others constant.
_LINEAR = {
    "BatchToSpaceND": 0,
    "BroadcastTo": 0,
    "AvgPool3D": 0,
    "BatchMatMulV2": 0,
    "Conv2DBackpropInput": 2,
    "Conv3D": 0,
    "Conv3DBackpropInputV2": 2,
    "DepthwiseConv2dNative": 0,
    "Einsum": 0,
    "MirrorPad": 0,
    "Neg": 0,
    "PadV2": 0,
    "ResizeBilinear": 0,
    "ResizeNearestNeighbor": 0,
    "Slice": 0,
    "SpaceToBatchND": 0,
}
# Elementwise: each output depends on the input entry at its position.
_SINGLE = ("Abs", "Erf", "Erfc", "LeakyRelu", "Log", "Log1p", "Relu6", "Softsign", "Sqrt")
# shap multiplies two varying matrices as if they were scalars.
_ONE_VARIES = ("MatMul", "BatchMatMulV2", "Einsum", "Pow")


@contextlib.contextmanager
def more_operations() -> Iterator[dict]:
    """Context manager that adds operations to shap's `DeepExplainer`: LeakyReLU, ReLU6, depthwise convolution and others.

    They are those of the whole process, so that one thread at a time is within.

    Yields:
        All operations that it knows, by name.
    """
    from shap.explainers._deep import deep_tf

    with EXCLUSIVE:
        known = deep_tf.op_handlers
        before = dict(known)
        known.update({name: deep_tf.linearity_1d(place) for name, place in _LINEAR.items()})
        known.update({name: deep_tf.nonlinearity_1d(0) for name in _SINGLE})
        known.update({"MaxPool3D": deep_tf.maxpool, "Max": _highest, "SelectV2": deep_tf.passthrough})
        try:
            yield known
        finally:
            known.clear()
            known.update(before)


def check_operations(scores: Scores, entries: list[int]) -> None:
    """Rejects a model with a layer that `DeepExplainer` has no rule for.

    Args:
        scores: The model's scores.
        entries: Identifiers of the tensors to which scores are attributed.

    Raises:
        UnsupportedLayerError: Names each such layer, its class and the operation.
    """
    problems = []
    reached = set(entries)
    with more_operations() as known:
        for step in scores.graph.steps:
            if not reached & set(step.inputs) or set(step.outputs) & reached:
                continue
            reached.update(step.outputs)
            unknown = [each for each in _primitives(scores, step) if not _is_known(each, known)]
            if unknown:
                names = " and ".join(sorted({each.name for each in unknown}))
                reason = f"shap's DeepExplainer has no rule for {names}" + (
                    " of two tensors that both vary" if any(each.name in _ONE_VARIES for each in unknown) else ""
                )
                problems.append(Problem(step.path, type(step.operation), reason))
    if problems:
        raise UnsupportedLayerError(
            problems,
            "The model cannot be explained by SHAP with `explainer='deep'`",
            "Use `explainer='gradient'`, 'kernel' or 'partition', which support every model.",
        )


def _primitives(scores, step) -> list[Primitive]:
    def called(*tensors):
        with arithmetic(scores.dtype):
            return step(*tensors)

    specs = [
        (tuple(spec.shape), scores.dtype if keras.backend.is_float_dtype(spec.dtype) else spec.dtype)
        for spec in step.input_specs
    ]
    return primitives(called, specs)


def _is_known(primitive, known):
    return primitive.name in known and not (primitive.name in _ONE_VARIES and primitive.varying > 1)


def _highest(explainer, op, *grads):
    """The max pooling rule for the maximum over whole axes, which shap treats as an elementwise function.

    As in shap's rule for poolings, the sample's maximum gets its excess over the greater of the two maxima, and the reference's maximum
    gets the excess of the greater over it.
    """
    x, reference = ops.split(op.inputs[0], 2)
    top, other = ops.split(op.outputs[0], 2)
    greater = ops.maximum(top, other)
    differences = ops.concatenate([greater - other, top - greater])
    op.type = op.type.removeprefix("shap_")
    passed = explainer.orig_grads[op.type](op, grads[0] * differences)[0]
    of_x, of_reference = ops.split(passed, 2)
    step = x - reference
    unchanged = ops.abs(step) < 1e-7
    slope = ops.where(unchanged, ops.zeros_like(step), (of_x + of_reference) / ops.where(unchanged, ops.ones_like(step), step))
    return [ops.concatenate([slope, slope]), None]
