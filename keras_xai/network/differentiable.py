"""Paths of a graph along which a score has no derivative: integers, rounding, lookups."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager

import keras
import numpy as np
from keras import ops

from keras_xai.backend import eagerly, record, traced
from keras_xai.graph.split import leading_to
from keras_xai.graph.steps import Step
from keras_xai.graph.view import unchanged
from keras_xai.kinds.entries import find
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.tokens import is_sign
from keras_xai.network.agreement import is_quantized
from keras_xai.network.network import Network


def check_differentiable(network: Network, points: Iterable[int], outputs: Sequence[int]) -> None:
    """Rejects derivatives that do not exist, which a backend reports as zero.

    A comparison may decide which branch is taken, as a padding mask or `ops.where` does, if real numbers come through another path.
    The derivative with respect to a point that `outputs` do not depend on is zero.

    Args:
        network: The model.
        points: Identifiers of the tensors by which is differentiated.
        outputs: Identifiers of the tensors that are differentiated.

    Raises:
        ValueError: If `outputs` depend on a point through a step without derivative; names the step.
    """
    points = list(points)
    steps = leading_to(network.graph, outputs, points)
    for point in points:
        real, behind = {point}, {point}
        masks: list[Step] = []
        for step in steps:
            if behind.isdisjoint(step.inputs):
                continue
            behind.update(step.outputs)
            if real.isdisjoint(step.inputs):
                continue
            if all(spec.dtype == "bool" for spec in step.output_specs):
                masks.append(step)
                continue
            if _is_lost(network, step, real):
                if _depends(step, real):
                    raise _error(network.graph, point, step)
                continue
            real.update(i for i, spec in zip(step.outputs, step.output_specs, strict=True) if _is_real(spec))
        if real.isdisjoint(outputs) and not behind.isdisjoint(outputs):
            raise _error(network.graph, point, masks[0])


def _error(graph, point, step):
    names = dict(zip(graph.inputs, (f"the input '{spec.name}'" for spec in graph.input_specs), strict=True))
    names.update((identifier, f"the output of '{each.path}'") for each in graph.steps for identifier in each.outputs)
    return ValueError(
        f"Expected a score that has a derivative with respect to {names[point]}. Received: a model in which it passes through "
        f"'{step.path}' ({type(step.operation).__name__}), which has none, as rounding, integers and table lookups do not; the "
        "gradient would be zero. Use a method that needs scores only, such as Occlusion or LIME, or explain the part of the model "
        "after this layer."
    )


def _is_real(spec):
    return keras.backend.is_float_dtype(spec.dtype)


def _is_lost(network, step, real: Collection[int]) -> bool:
    """Whether no derivative passes a step from one of its real inputs."""
    if not any(map(_is_real, step.output_specs)) or is_sign(step):
        return True
    if is_quantized(step.operation):
        return True
    entry = find(step.operation)
    kind = kind_of(step)
    if entry is not None and kind is entry.kind:
        return kind.looks_up(step)
    return _has_none(step, [position for position, identifier in enumerate(step.inputs) if identifier in real], network)


def _depends(step: Step, real: Collection[int]) -> bool:
    """Whether a step depends on the numbers in its real inputs, not only on their shape as positions do; found by trial."""
    generator = np.random.default_rng(0)

    def outputs():
        given = [
            ops.convert_to_tensor(generator.normal(size=[2, *(size or 5 for size in spec.shape[1:])]), dtype=spec.dtype)
            if identifier in real
            else ops.ones([2, *(size or 5 for size in spec.shape[1:])], spec.dtype)
            for identifier, spec in zip(step.inputs, step.input_specs, strict=True)
        ]
        with unchanged():
            return [ops.convert_to_numpy(y) for y in step(*given)]

    try:
        return not all(np.array_equal(*pair, equal_nan=True) for pair in zip(eagerly(outputs), eagerly(outputs), strict=True))
    except Exception:  # not to be called alone
        return True


def _has_none(step: Step, positions: Sequence[int], network: Network) -> bool:
    """Whether the backend has no derivative of an unknown operation, found by tracing the step alone."""
    found: list = []

    def differentiate(*tensors):
        def outputs(varied):
            given = list(tensors)
            for position, tensor in zip(positions, varied, strict=True):
                given[position] = tensor
            return [
                y for y, spec in zip(step(*given), step.output_specs, strict=True) if keras.backend.is_float_dtype(spec.dtype)
            ]

        scope: AbstractContextManager = network.scope()
        with scope:
            recording = record(outputs, [tensors[position] for position in positions])
            found.extend(recording.pull([ops.ones_like(y) for y in recording.outputs]))
        return tensors[0]

    dtype = network.dtype
    signature = [(tuple(spec.shape), dtype if dtype and _is_real(spec) else spec.dtype) for spec in step.input_specs]
    try:
        traced(differentiate, signature)
    except Exception:  # not to be called alone; the derivative of the whole model will tell
        return False
    return all(gradient is None for gradient in found)
