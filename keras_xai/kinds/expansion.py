"""Divides a traced model into simple steps and finds the kind of each."""

from keras_xai.graph.trace import Graph, Step, inlined
from keras_xai.kinds.kind import Kind, Problem, find
from keras_xai.kinds.smooth import Smooth


def kind_of(step: Step) -> Kind:
    """The kind of a step's operation; for one that has none, a `Smooth` kind whose refusal says so."""
    operation = step.operation
    entry = find(operation)
    if entry is None:
        return Smooth(
            "its kind is not known; if its `call()` is made of Keras layers and `keras.ops`, "
            f"`keras_xai.kinds.register({type(operation).__name__}, Composite())` makes it known"
        )
    if type(operation).call is not entry.operation.call and not isinstance(entry.kind, Smooth):
        return Smooth(
            f"it overrides `call()` of {entry.operation.__name__}, so that what is known of {entry.operation.__name__} need not "
            "hold; register a kind for it"
        )
    return entry.kind


def expand(graph: Graph) -> Graph:
    """The graph in which fused and composite layers are replaced by what they consist of.

    A layer that cannot be divided stays as it is; `refusals` says why.
    """
    return inlined(graph, _parts)


def refusals(graph: Graph) -> list[Problem]:
    """Why the steps of an expanded graph have no linear pieces: one `Problem` for each step that has none."""
    problems = []
    for step in graph.steps:
        reason = _setting_refused(step) or kind_of(step).refusal(step) or _indivisible(step)
        if reason:
            problems.append(Problem(step.path, type(step.operation), reason))
    return problems


def _parts(step):
    try:
        return kind_of(step).parts(step)
    except ValueError:
        return None


def _indivisible(step):
    try:
        kind_of(step).parts(step)
    except ValueError as error:
        return str(error)
    return None


def _setting_refused(step):
    _, kwargs = step.arguments
    if kwargs.get("mask") is not None:
        return "it is called with a mask, which is not supported"
    if getattr(step.operation, "quantization_mode", None):
        return f"it is quantized ('{step.operation.quantization_mode}'), which rounds its input"
    return None
