"""Derivatives by `tf.GradientTape`."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_xai.backend.interface import Linearization, Recording
from keras_xai.backend.tensorflow.eager import check_batch


def linearize(function: Callable[[list], tuple[list, Any]], inputs: Sequence) -> Linearization:
    """Evaluates `function` at `inputs` and prepares its derivative.

    Each later product costs about one evaluation, because the forward pass is not repeated. Call it inside a function made by `compiled`.

    Args:
        function: Maps a list of tensors to `(outputs, auxiliary)`, `outputs` a list of tensors.
        inputs: The point.
    """
    zero = tf.UnconnectedGradients.ZERO
    inputs = [tf.convert_to_tensor(x) for x in inputs]  # arrays, if TensorFlow runs functions eagerly
    check_batch(inputs)
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as inner:
        inner.watch(inputs)
        outputs, auxiliary = function(list(inputs))

    def pull(cotangents):
        return _shaped_as(inputs, inner.gradient(outputs, inputs, list(cotangents), zero))

    def transpose():
        # The vector-Jacobian product is linear in its cotangents, so its own transpose, which needs no second forward pass, is the
        # Jacobian-vector product.
        cotangents = [tf.zeros_like(output) for output in outputs]
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as outer:
            outer.watch(cotangents)
            transposed = inner.gradient(outputs, inputs, output_gradients=cotangents, unconnected_gradients=zero)
        return lambda tangents: _shaped_as(outputs, outer.gradient(transposed, cotangents, list(tangents), zero))

    return Linearization(outputs, auxiliary, pull, transpose)


def record(function: Callable[[list], Sequence], inputs: Sequence, *, push: Callable | None = None) -> Recording:
    """Evaluates `function` at `inputs` and records its vector-Jacobian product.

    Unlike `linearize`, it may be called while training the function's own variables, which it does not watch.

    Args:
        function: Maps a list of tensors to a list of tensors.
        inputs: The point.
        push: For a function with one input and one output that passes each entry to at most one output entry: the Jacobian-vector product,
            computed from a tangent and the vector-Jacobian product of ones. The backend's own product may be several times slower, for
            example for pooling.
    """
    check_batch(inputs)
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
    # Some derivatives, such as that of `split`, only know their shape at run time.
    return [tf.ensure_shape(derivative, tensor.shape) for derivative, tensor in zip(derivatives, tensors, strict=True)]
