"""Which tensors of a network have no negative entries, whatever the input."""

from collections.abc import Iterable

from keras import layers, ops

from keras_xai.graph.steps import Graph, Step
from keras_xai.graph.trace import operation_class
from keras_xai.kinds import Gate, kind_of

# Each makes what is not negative out of what is not negative, in training too.
_KEEP_SIGN = (
    layers.Add,
    layers.Average,
    layers.AveragePooling1D,
    layers.AveragePooling2D,
    layers.Concatenate,
    layers.Dropout,
    layers.Flatten,
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
    layers.Identity,
    layers.MaxPooling1D,
    layers.MaxPooling2D,
    layers.Permute,
    layers.Reshape,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
)
_POSITIVE = (operation_class(ops.sigmoid), operation_class(ops.softplus))


def nonnegative_tensors(layers: Iterable[tuple[Step, Graph]]) -> frozenset[int]:
    """Identifiers of tensors that have no negative entries. Others may have none either.

    Args:
        layers: The calls of a network in order, each with the simple steps that it consists of.
    """
    known: set[int] = set()
    for step, parts in layers:
        within = known & set(step.inputs)
        for part in parts.steps:
            if _is_positive(part) or (isinstance(part.operation, _KEEP_SIGN) and within.issuperset(part.inputs)):
                within.update(part.outputs)
        known.update(outer for outer, inner in zip(step.outputs, parts.outputs, strict=True) if inner in within)
    return frozenset(known)


def _is_positive(step):
    kind = kind_of(step)
    if not isinstance(kind, Gate):
        return isinstance(step.operation, _POSITIVE)
    pieces = kind.pieces(step.operation)
    numbers = (*pieces.thresholds, *pieces.slopes, *pieces.offsets)
    if not all(isinstance(number, (int, float)) for number in numbers):
        return False
    if pieces.slopes[0] > 0 or pieces.slopes[-1] < 0:
        return False
    ends = zip(
        pieces.thresholds * 2, pieces.slopes[:-1] + pieces.slopes[1:], pieces.offsets[:-1] + pieces.offsets[1:], strict=True
    )
    return all(slope * threshold + offset >= 0 for threshold, slope, offset in ends)
