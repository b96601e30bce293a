"""Derivatives and compiled loops: the only module that depends on the backend."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True, eq=False)
class Linearization:
    """A function's outputs at a point and its derivative there, as two maps that can be applied many times.

    Attributes:
        outputs: Tensors, the function's outputs.
        auxiliary: What else the function returned.
        pull: Maps cotangents (one tensor for each output) to the vector-Jacobian product (one for each input).
        push: Maps tangents (one tensor for each input) to the Jacobian-vector product (one for each output).
    """

    outputs: list
    auxiliary: Any
    pull: Callable[[Sequence], list]
    push: Callable[[Sequence], list]


def linearize(function: Callable[[list], tuple[list, Any]], inputs: Sequence) -> Linearization:
    """Evaluates `function` at `inputs` and prepares its derivative.

    Each later product costs about one evaluation, since the forward pass is not repeated. Meant to be called inside a
    function made by `compiled`.

    Args:
        function: Maps a list of tensors to `(outputs, auxiliary)`, `outputs` a list of tensors.
        inputs: The point.
    """
    zero = tf.UnconnectedGradients.ZERO
    inputs = [tf.convert_to_tensor(x) for x in inputs]  # arrays, where TensorFlow is told to run functions eagerly
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as outer:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as inner:
            inner.watch(inputs)
            outputs, auxiliary = function(list(inputs))
        # The vector-Jacobian product is linear in its cotangents, so that its own transpose, which needs no second
        # forward pass, is the Jacobian-vector product. Unused, it is pruned when the function is compiled.
        cotangents = [tf.zeros_like(output) for output in outputs]
        outer.watch(cotangents)
        transposed = inner.gradient(outputs, inputs, output_gradients=cotangents, unconnected_gradients=zero)

    def pull(cotangents):
        return _shaped_as(inputs, inner.gradient(outputs, inputs, list(cotangents), zero))

    def push(tangents):
        return _shaped_as(outputs, outer.gradient(transposed, cotangents, list(tangents), zero))

    return Linearization(outputs, auxiliary, pull, push)


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """What a function returned, and its derivative there.

    Attributes:
        outputs: Tensors, the function's outputs.
        pull: Maps cotangents (one tensor for each output) to the vector-Jacobian product, one tensor for each input, `None`
            for an input that no output depends on. To be called once. It can be differentiated in turn.
    """

    outputs: list
    pull: Callable[[Sequence], list]


def record(function: Callable[[list], Sequence], inputs: Sequence, *, push: Callable | None = None) -> Recording:
    """Evaluates `function` at `inputs` and keeps what its derivative takes.

    Unlike `linearize`, it may be called within the training of the function's own variables, which it does not watch.

    Args:
        function: Maps a list of tensors to a list of tensors.
        inputs: The point.
        push: For a function of one input and one output that passes each entry on to one output entry or none: the
            Jacobian-vector product at hand of a tangent and the vector-Jacobian product of ones. The product that the
            backend has for it may be several times slower, as that of pooling is.
    """
    with tf.GradientTape(persistent=push is not None, watch_accessed_variables=False) as tape:
        tape.watch([x for x in inputs if x.dtype.is_floating])
        outputs = list(function(list(inputs)))

    def pull(cotangents):
        return tape.gradient(outputs, inputs, list(cotangents))

    if push is None:
        return Recording(outputs, pull)

    @tf.custom_gradient
    def pull_once(cotangent):
        def transposed(tangent):
            (reached,) = pull([tf.ones_like(cotangent)])
            return push(tangent, reached)

        return pull([cotangent])[0], transposed

    return Recording(outputs, lambda cotangents: [pull_once(*cotangents)])


def _shaped_as(tensors, derivatives):
    # Some derivatives, that of `split` for one, know their shape only when they run.
    return [tf.ensure_shape(derivative, tensor.shape) for derivative, tensor in zip(derivatives, tensors, strict=True)]


def stacked(function: Callable, count: int, dtypes: Any) -> Any:
    """Stacks `function(0), ..., function(count - 1)` along a new first axis, one evaluation in memory at a time.

    Args:
        function: Maps an integer scalar tensor to a nest of tensors.
        count: How often it is called; an integer or a scalar tensor.
        dtypes: The nest's dtypes.
    """
    return tf.map_fn(function, tf.range(count), fn_output_signature=dtypes, parallel_iterations=1)


def folded(function: Callable, count: int, initial: Sequence) -> list:
    """The list of tensors after `state = function(i, state)` for i = 0, ..., count - 1, starting at `initial`."""

    def body(i, state):
        return i + 1, list(function(i, state))

    start = (tf.constant(0), list(initial))
    return tf.while_loop(lambda i, state: i < count, body, start, parallel_iterations=1)[1]


def compiled(function: Callable, signature: Sequence, *, jit_compile: bool = False) -> Callable:
    """Compiles a function of tensors.

    Args:
        function: Maps tensors to a nest of tensors.
        signature: A `(shape, dtype)` pair for each argument, or a list of pairs for an argument that is a list; `None`
            for a dimension that varies between calls.
        jit_compile: Whether to compile with XLA.
    """
    program = tf.function(function, input_signature=_specs(signature), autograph=False, jit_compile=jit_compile)
    # With a fixed signature a program is traced once. TensorFlow tells programs apart by their source, and would warn that the fifth one
    # made of the same function, by another method or for another model, is traced again and again.
    program._omit_frequent_tracing_warning = True
    return program


def traced(function: Callable, signature: Sequence) -> None:
    """Calls a function of tensors with placeholders, so that it can look at their shapes; nothing is computed.

    Args:
        function: Its result is dropped.
        signature: As in `compiled`.
    """
    tf.function(function, input_signature=_specs(signature), autograph=False).get_concrete_function()


def _specs(signature):
    if isinstance(signature, tuple) and len(signature) == 2 and isinstance(signature[1], str):
        return tf.TensorSpec(*signature)
    return [_specs(entry) for entry in signature]
