"""The activations that the FBI penalty compares with their relevance."""

from collections.abc import Sequence

import keras

from keras_xai.kinds.activated import activated
from keras_xai.kinds.expansion import kind_of
from keras_xai.network.layers import LayerNetwork


def terms_of(network: LayerNetwork, paths: Sequence[str] | None = None) -> dict[str, int]:
    """The tensors that are compared, by the path of the layer, or the name of the input, that they belong to.

    Args:
        network: The network.
        paths: Layers by path, and inputs by name. By default all inputs that are floating-point numbers and all layers that
            multiply by weights but the last, whose outputs are the scores: a_0 to a_(K-1) of the paper.

    Returns:
        Identifiers of tensors. The activation of a layer with weights is taken after the batch normalization and the
        activation that follow it, also where they are layers of their own.

    Raises:
        ValueError: If there is no such layer, or if it gives no floating-point numbers or the scores.
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
    if paths is not None:
        return {path: _chosen(path, known, network) for path in dict.fromkeys(paths)}
    if not terms:
        raise ValueError(
            "Expected a model of floating-point inputs, or of more than one layer with weights, whose activations can be compared "
            "with their relevance. Received: a model that has neither."
        )
    return terms


def _chosen(path, known, network):
    if path not in known:
        spec = network.graph.find(path).output_specs[0]
        raise ValueError(
            f"Expected layers that give floating-point numbers. Received: layers with {path!r}, which gives {spec.dtype}."
        )
    if known[path] in (network.score, *network.graph.outputs):
        raise ValueError(
            f"Expected layers before the one that gives the scores, where relevance starts. Received: layers with {path!r}."
        )
    return known[path]


def _before_any_of(units, network):
    """The units behind which there is another one of `units`, on the way to the scores."""
    wanted: set[int] = set()
    inner = set()
    for unit in reversed(network.units):
        if wanted.intersection(unit.step.outputs):
            inner.add(unit)
        if unit in inner or unit in units:
            wanted.update(unit.step.inputs)
    return inner


def _has_weights(unit):
    if not unit.passed:  # a table that integers are looked up in, the first to give numbers
        return any(len(weight.shape) > 1 for weight in getattr(unit.step.operation, "weights", ()))
    return any(kind_of(part).kernels(part) for part in unit.parts.steps)
