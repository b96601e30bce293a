"""Which activations of a network are compared with their relevance."""

from collections.abc import Sequence

import keras

from keras_xai.kinds import kind_of
from keras_xai.relevance import Network, Unit


def terms_of(network: Network, paths: Sequence[str] | None = None) -> dict[str, int]:
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
    tensors = {
        spec.name: identifier
        for identifier, spec in zip(graph.inputs, graph.input_specs, strict=True)
        if keras.backend.is_float_dtype(spec.dtype)
    }
    consumers: dict[int, list[Unit]] = {}
    for unit in network.units:
        for identifier in unit.step.inputs:
            consumers.setdefault(identifier, []).append(unit)
    known = dict(tensors)
    for unit in network.units:
        activation = _activation(unit, consumers) if _has_weights(unit) else unit.step.outputs[0]
        known[unit.step.path] = activation
        if _has_weights(unit) and activation not in (network.score, *graph.outputs):
            tensors[unit.step.path] = activation
    if paths is None:
        return tensors
    return {path: _chosen(path, known, network) for path in dict.fromkeys(paths)}


def _chosen(path, known, network):
    if path not in known:
        network.graph.find(path)
    if known[path] in (network.score, *network.graph.outputs):
        raise ValueError(
            f"Expected layers before the one that gives the scores, where relevance starts. Received: layers with {path!r}."
        )
    return known[path]


def _has_weights(unit):
    if not unit.passed:  # a table that integers are looked up in, the first to give numbers
        return any(len(weight.shape) > 1 for weight in getattr(unit.step.operation, "weights", ()))
    return any(kind_of(part).kernels(part) for part in unit.parts.steps)


def _activation(unit, consumers):
    """The output of a layer, or of what normalizes it and acts on each of its entries after it."""
    (output,) = unit.step.outputs
    while not _activates(unit):
        following = consumers.get(output, ())
        if len(following) != 1 or not (_activates(following[0]) or _normalizes(following[0])):
            break
        (unit,) = following
        (output,) = unit.step.outputs
    return output


def _activates(unit):
    return any(kind_of(part).role in ("gate", "curved") for part in unit.parts.steps)


def _normalizes(unit):
    return isinstance(unit.step.operation, keras.layers.BatchNormalization)
