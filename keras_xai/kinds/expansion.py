"""Divides a traced model into simple steps and finds the kind of each."""

import inspect

import keras
import numpy as np
from keras import ops

from keras_xai.graph.inlining import inlined
from keras_xai.graph.nodes import names_unused
from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds.entries import find
from keras_xai.kinds.kind import Constant, Kind, Problem, problems_of
from keras_xai.kinds.rows import rows_per_sample
from keras_xai.kinds.smooth import Smooth, Unknown


def kind_of(step: Step) -> Kind:
    """The kind of a step's operation; for unknown operations, a `Smooth` kind with that reason."""
    operation = step.operation
    if not step.inputs:
        return Constant()
    entry = find(operation)
    if entry is None:
        if not isinstance(operation, keras.Layer):
            return Smooth("its kind is not known; `keras_xai.kinds.register` makes a function of `keras.ops` known")
        return Unknown("its kind is not known")
    overridden = _overridden(type(operation), entry.operation)
    if overridden and type(entry.kind) is not Smooth:  # `Smooth` makes no claims
        base = entry.operation.__name__
        return Unknown(f"it overrides `{overridden}()` of {base}, so that what is known of {base} need not hold")
    return entry.kind


def expand(graph: Graph, *, unroll: bool = False, apart: bool = False, defuse: bool = False) -> Graph:
    """The graph in which fused and composite layers are replaced by their parts.

    A layer that cannot be expanded is kept; `refusals` gives the reason.

    Args:
        graph: The graph.
        unroll: Whether recurrent layers have the steps of their cells for each time step.
        apart: Whether layers that calculate with several rows for each sample have steps for each.
        defuse: Whether fused operations such as attention are divided into steps without linear pieces.
    """
    return inlined(graph, lambda step: _parts(step, unroll=unroll, apart=apart, defuse=defuse))


def open_layers(graph: Graph) -> Graph:
    """The graph in which layers of which nothing else is known are replaced by the layers and operations inside them."""
    return inlined(graph, lambda step: _parts(step) if kind_of(step).opens else None)


def refusals(graph: Graph) -> list[Problem]:
    """The reasons why steps of an expanded graph have no linear pieces: one `Problem` for each such step."""
    rows = rows_per_sample(graph)

    def reason(step):
        if any(rows[identifier] != 1 for identifier in step.outputs):
            return _ROWS
        return kind_of(step).refusal(step) or _setting_refused(step) or indivisible(step) or _mixes_samples(step)

    return problems_of((step, reason(step)) for step in graph.steps)


_ROWS = "it has several rows for each sample, as layers inside `TimeDistributed` do, of which pieces know only one"

# Methods that a subclass may override without changing the layer's computation.
_HARMLESS = {"build", "get_config", "from_config", "get_build_config", "build_from_config", "compute_output_shape"}
_HARMLESS |= {"compute_output_spec", "save_own_variables", "load_own_variables", "train_step", "test_step"}


def _overridden(operation, known):
    """The name of a method of `known` that its subclass `operation` overrides with unknown consequences, or `None`."""
    for base in operation.__mro__[: operation.__mro__.index(known)]:
        for name, value in vars(base).items():
            if inspect.isfunction(value) and hasattr(known, name) and not name.startswith("__") and name not in _HARMLESS:
                return name
    return None


def _mixes_samples(step):
    """Whether a sample's result depends on other samples, by trial: layers never do this, operations may."""
    if isinstance(step.operation, keras.Layer) or not step.inputs:
        return None
    generator = np.random.default_rng(0)
    batch = []
    for position, spec in enumerate(step.input_specs):
        shape = spec.shape if position in step.fixed else (3, *(size or 6 for size in spec.shape[1:]))
        batch.append(ops.convert_to_tensor(generator.normal(size=shape), dtype="float32"))
    try:
        together = step(*batch)
        alone = step(*(x if position in step.fixed else x[:1] for position, x in enumerate(batch)))
    except Exception:  # unknown sizes cannot be guessed
        return None
    for all_results, one_result in zip(together, alone, strict=True):
        every, one = ops.convert_to_numpy(all_results), ops.convert_to_numpy(one_result)
        if every.ndim == 0 or len(every) != 3 or every[:1].shape != one.shape or not np.allclose(every[:1], one, atol=1e-4):
            return "it mixes the samples of a batch"
    return None


@names_unused()
def _parts(step, *, unroll=False, apart=False, defuse=False):
    kind = kind_of(step)
    ways = [way for way, wanted in ((kind.unrolled, unroll), (kind.apart, apart), (kind.defused, defuse)) if wanted]
    try:
        return next((graph for way in ways if (graph := way(step)) is not None), None) or kind.parts(step)
    except ValueError:
        return None


def indivisible(step: Step) -> str | None:
    """The reason why a step's parts are unknown, a clause without a full stop; `None` if they are known."""
    try:
        kind_of(step).parts(step)
    except ValueError as error:
        return str(error)
    return None


def _setting_refused(step):
    if step.is_masked and isinstance(step.operation, keras.Layer):
        return "it is called with a mask, which is not supported"
    if getattr(step.operation, "quantization_mode", None):
        return f"it is quantized ('{step.operation.quantization_mode}'), which rounds its input"
    return None
