"""TensorFlow's gradient registry, which shap patches, and the primitive operations of a function."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import execute
from tensorflow.python.framework import ops as framework

from keras_xai.backend.exclusive import EXCLUSIVE
from keras_xai.backend.interface import Primitive
from keras_xai.backend.tensorflow.programs import scoped

# Their results depend on shapes and dtypes only, not on values.
_BLIND = {"Shape", "ShapeN", "Rank", "Size", "ZerosLike", "OnesLike"}


@contextlib.contextmanager
def gradients_restored() -> Iterator[None]:
    """Context manager that restores TensorFlow's gradient registry and recording hooks afterwards, one at a time in the process.

    A failed call of shap's `DeepExplainer` leaves them changed, which breaks the next gradient of the process.
    """
    with EXCLUSIVE:
        registry = framework._gradient_registry._registry
        entries = [(name, entry, dict(entry)) for name, entry in list(registry.items())]
        recording = execute.record_gradient
        try:
            yield
        finally:
            execute.record_gradient = recording
            _restore(registry, entries)


def _restore(registry, entries):
    """Keeps the entries that TensorFlow itself has added for traced functions, in any thread: it still needs them."""
    before = {name for name, _, _ in entries}
    for name in [name for name in list(registry) if name not in before and not name.startswith("CustomGradient")]:
        del registry[name]
    for name, entry, content in entries:
        if entry != content:
            entry.clear()
            entry.update(content)
        registry[name] = entry


def primitives(function: Callable, specs: Sequence[tuple]) -> list[Primitive]:
    """The operations through which the result of a function depends on its real arguments.

    Args:
        function: Maps tensors to a nest of tensors. It is called once with placeholders.
        specs: A `(shape, dtype)` pair for each argument; only floating-point arguments are followed.
    """
    signature = [tf.TensorSpec(*spec) for spec in specs]
    with EXCLUSIVE:
        graph = tf.function(scoped(function), input_signature=signature, autograph=False).get_concrete_function().graph
    reached = {tensor.ref() for tensor in graph.inputs[: len(signature)] if tensor.dtype.is_floating}
    found = []
    for operation in graph.get_operations():
        varying = sum(tensor.ref() in reached for tensor in operation.inputs)
        if not varying or operation.type in _BLIND:
            continue
        reached.update(tensor.ref() for tensor in operation.outputs)
        custom = "_gradient_op_type" in operation.node_def.attr
        found.append(Primitive("CustomGradient" if custom else operation.type, varying))
    return found


def as_written(function: Callable) -> Any:
    """Exempts a function from AutoGraph."""
    return tf.autograph.experimental.do_not_convert(function)
