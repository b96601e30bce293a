"""Steps between tokens and their `Embedding`, and steps whose derivative is zero wherever it exists."""

import functools

import keras
from keras import layers, ops

from keras_xai.graph.nodes import operation_class
from keras_xai.graph.steps import Step


def passes_tokens(step: Step) -> bool:
    """Whether a step keeps tokens in their order: it reshapes, casts, or looks up another number for each."""
    return isinstance(step.operation, _passing()) or (isinstance(step.operation, _encoding()) and not encodes(step))


def encodes(step: Step) -> bool:
    """Whether a step encodes categories as vectors of real numbers, such as one-hot vectors."""
    return isinstance(step.operation, _encoding()) and all(
        keras.backend.is_float_dtype(spec.dtype) for spec in step.output_specs
    )


def keeps_tokens(step: Step) -> bool:
    """Whether a step also keeps the numbers of tokens: it reshapes or casts them."""
    return passes_tokens(step) and not isinstance(step.operation, layers.IntegerLookup)


def is_masking(step: Step) -> bool:
    """Whether a step masks the time steps that are all of one value, its `mask_value`."""
    return isinstance(step.operation, layers.Masking)


def is_sign(step: Step) -> bool:
    """Whether a step computes signs; TensorFlow defines their derivative as zero, while rounding has none."""
    return isinstance(step.operation, _sign())


@functools.cache
def _passing():
    functions = (lambda x: ops.reshape(x, (-1, 1)), lambda x: ops.expand_dims(x, 1), lambda x: ops.cast(x, "int32"))
    squeeze = operation_class(lambda x: ops.squeeze(x, 1), (1,))
    operations = [operation_class(function) for function in functions]
    return (layers.Flatten, layers.Reshape, layers.Identity, squeeze, *operations)


@functools.cache
def _encoding():
    one_hot = operation_class(lambda x: ops.one_hot(ops.cast(x, "int32"), 3), (2,))
    return (
        layers.CategoryEncoding,
        layers.Discretization,
        layers.HashedCrossing,
        layers.Hashing,
        layers.IntegerLookup,
        layers.StringLookup,
        layers.TextVectorization,
        one_hot,
    )


@functools.cache
def _sign():
    return operation_class(ops.sign)
