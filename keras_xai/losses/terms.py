"""The activations that the FBI penalty compares with their relevance."""

from collections.abc import Sequence

import keras

from keras_xai.kinds.activated import activated
from keras_xai.kinds.expansion import kind_of
from keras_xai.network.layers import LayerNetwork


def terms_of(network: LayerNetwork, layers: Sequence[str | keras.Layer] | None = None) -> dict[str, int]:
    """The compared tensors, by the path of their layer or the name of their input.

    Args:
        network: The network.
        layers: Layers or their paths, and inputs by name. By default all floating-point inputs and all layers that multiply by weights
            except the last, whose outputs are the scores: a_0 to a_(K-1) of the paper.

    Returns:
        Identifiers of tensors. The activation of a layer with weights is taken after the batch normalization and the activation that follow
        it, including separate layers.

    Raises:
        ValueError: If there is no such layer, or its output is not floating-point or is the scores.
    """
    graph = network.graph
    terms = {
        spec.name: identifier
        for identifier, spec in zip(graph.inputs, graph.input_specs, strict=True)
        if keras.backend.is_float_dtype(spec.dtype)
    }
    known = dict(terms)
    weighted = {unit for unit in network.units if _has_weights(unit)}
    inner = _before_any_of(weighted, network)
    for unit in network.units:
        path, spec = unit.step.path, unit.step.output_specs[0]
        if keras.backend.is_float_dtype(spec.dtype):
            known[path] = (activated(graph, unit.step) if unit in weighted else unit.step).outputs[0]
        if unit in inner & weighted:
            terms[path] = known[path]
    if layers is not None:
        return {path: _chosen(path, known, network) for path in graph.paths_of(layers)}
    if not terms:
        raise ValueError(
            "Expected a model with floating-point inputs, or more than one layer with weights, whose activations can be compared with "
            "their relevance. Received: a model without either."
        )
    return terms


def _chosen(path, known, network):
    if path not in known:
        spec = network.graph.find(path).output_specs[0]
        raise ValueError(
            f"Expected layers with floating-point outputs. Received: layers with {path!r}, whose output is {spec.dtype}."
        )
    if known[path] in (network.score, *network.graph.outputs):
        raise ValueError(f"Expected layers before the scores, where relevance starts. Received: layers with {path!r}.")
    return known[path]


def _before_any_of(units, network):
    """The units followed by another one of `units` on the path to the scores."""
    wanted: set[int] = set()
    inner = set()
    for unit in reversed(network.units):
        if wanted.intersection(unit.step.outputs):
            inner.add(unit)
        if unit in inner or unit in units:
            wanted.update(unit.step.inputs)
    return inner


def _has_weights(unit):
    if not unit.passed:  # an embedding of integers, the first floating-point output
        return any(len(weight.shape) > 1 for weight in getattr(unit.step.operation, "weights", ()))
    return any(kind_of(part).kernels(part) for part in unit.parts.steps)
