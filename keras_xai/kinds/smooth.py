"""Layers that are not piecewise linear, each with the reason."""

from keras import layers, ops

from keras_xai.graph.calls import inside
from keras_xai.kinds.activation import Mish
from keras_xai.kinds.axes import BY_USE, Named, channel_at, unmoved
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.kind import Kind
from keras_xai.kinds.ranges import entrywise, whole
from keras_xai.kinds.secants import elementwise, multilinear, softmax


def least(dtype: str) -> float:
    """A score whose softmax is zero, which Keras uses for masked positions."""
    return -3e4 if dtype == "float16" else -1e9


class Smooth(Kind):
    """Not piecewise linear.

    Args:
        reason: The reason, as a clause without a full stop.
    """

    role = "smooth"

    def __init__(self, reason: str):
        self._reason = reason

    def parts(self, step):
        return None

    def refusal(self, step):
        return self._reason

    def pattern(self, step, inputs):
        raise self._error()

    def constraints(self, step, pattern, inputs):
        raise self._error()

    def reason(self, step, pattern, number, unit):
        raise self._error()

    def freeze(self, step, pattern):
        raise self._error()

    def _error(self):
        return TypeError(f"A layer without linear pieces was asked for them: {self._reason}. Check `refusal` first.")


class Unknown(Smooth):
    """An unregistered layer, known only through tracing its `call()`.

    Args:
        reason: The reason why it is unknown, as a clause without a full stop.
    """

    opens = True

    def parts(self, step):
        return inside(step)

    def refusal(self, step):
        try:
            self.parts(step)
            cause = "its `call()` can be traced"
        except ValueError as error:
            cause = str(error)
        return f"{self._reason}, and {cause}; `keras_xai.kinds.register` makes it known"


class Curved(Smooth):
    """An elementwise activation that is not piecewise linear.

    Args:
        reason: The reason, as a clause without a full stop.
        nonnegative: Whether it is never negative.
        keeps_sign: Whether it is nonnegative for nonnegative inputs.
    """

    role = "curved"

    def __init__(self, reason: str, *, nonnegative: bool = False, keeps_sign: bool = False):
        super().__init__(reason)
        self._nonnegative = nonnegative
        self._keeps_sign = keeps_sign

    def elementwise(self, step):
        return True

    def secant(self, step):
        return elementwise(step) if len(step.inputs) == 1 else None

    def relevance(self, step):
        return "activation"

    def nonnegative(self, step):
        return self._nonnegative

    def keeps_sign(self, step):
        return self._keeps_sign or self._nonnegative


class Sigmoid(Curved):
    """The logistic function, which converts a score to a probability."""

    def link(self, step):
        return "sigmoid"


class Reciprocal(Curved):
    """The reciprocal of an entry, or of its root."""

    def divides(self, step):
        return True


class Softmax(Smooth):
    """A softmax, which converts scores to probabilities along the last axis."""

    attends = True

    def nonnegative(self, step):
        return True

    def defused(self, step):
        axes = step.operation.axis
        axis = axes[0] if isinstance(axes, (list, tuple)) and len(axes) == 1 else axes

        def call(x, mask=None):
            mask = ops.cast(mask, "bool")
            x = ops.where(mask, x, least(x.dtype))
            y = (
                ops.exp(x - ops.logsumexp(x, axis=axis, keepdims=True))
                if isinstance(axis, (list, tuple))
                else ops.softmax(x, axis)
            )
            return ops.where(mask, y, 0.0)

        return inside(step, call, compare=False) if step.is_masked else None

    def relevance(self, step):
        return "softmax" if len(step.inputs) == 1 else None  # no mask

    def gates(self, step):
        return True

    def secant(self, step):
        return softmax(axis=step.operation.axis, logarithm=False) if len(step.inputs) == 1 else None  # no mask

    def link(self, step):
        return "softmax" if step.operation.axis in (-1, len(step.output_specs[0].shape) - 1) else None


class LogSoftmax(Smooth):
    """The logarithm of a softmax."""

    def relevance(self, step):
        return "softmax"

    def secant(self, step):
        return softmax(axis=step.operation.axis, logarithm=True)


class Product(Smooth):
    """An elementwise product of tensors."""

    def secant(self, step):
        return multilinear(step)

    def relevance(self, step):
        return "product"

    def keeps_sign(self, step):
        return True

    def receptive_range(self, step, wanted, shape, output_shape):
        return entrywise(wanted, shape)


class Contraction(Smooth):
    """Scalar products of tensors."""

    def refusal(self, step):
        return "divides by the norms of its inputs" if step.operation.normalize else super().refusal(step)

    def letters(self, step):
        axes = step.operation.axes if isinstance(step.operation.axes, (list, tuple)) else (step.operation.axes,) * 2
        if step.operation.normalize or any(len(spec.shape) != 3 for spec in step.input_specs):
            return None
        return ("nji" if axes[0] % 3 == 1 else "nij"), ("njk" if axes[1] % 3 == 1 else "nkj"), "nik"

    def secant(self, step):
        return None if step.operation.normalize else multilinear(step)

    def relevance(self, step):
        return None if step.operation.normalize else "product"


class OfSequence(Smooth):
    """A layer on sequences of vectors, (time, channels), such as attention or a recurrent layer."""

    def axis_names(self, step):
        names, output_names = (_of_sequence(len(specs[0].shape) - 1) for specs in (step.input_specs, step.output_specs))
        return Named(names, output_names, BY_USE)


def _of_sequence(rank):
    return ["T", "C"] if rank == 2 else channel_at(-1, rank)


class Embedding(Smooth):
    """An embedding, which looks up the vectors of tokens in a table, or multiplies by the table where it is called in reverse."""

    def defused(self, step):
        return None if self.looks_up(step) else inside(step)  # a product with the table

    def looks_up(self, step):
        return not step.arguments[1].get("reverse", False)

    def axis_names(self, step):
        shape, output_shape = step.input_specs[0].shape, step.output_specs[0].shape
        if len(output_shape) != len(shape) + 1:
            return None
        return Named([None] * (len(shape) - 1), channel_at(-1, len(shape)), BY_USE)

    def axis_sources(self, step, position):
        shape, output_shape = step.input_specs[0].shape[1:], step.output_specs[0].shape[1:]
        if len(output_shape) == len(shape) + 1:
            return [*((axis,) for axis in range(len(shape))), ()]
        return unmoved(shape, output_shape)

    def receptive_range(self, step, wanted, shape, output_shape):
        return list(wanted[:-1]) if len(shape) < len(wanted) else whole(shape)


_CURVED = "its activation is curved"
_SOFTMAX = "a softmax is not piecewise linear; only the one that ends the model is left out"
_SIGMOID = "a sigmoid is not piecewise linear; only the one that ends the model is left out"
_PRODUCT = "it multiplies tensors that both depend on the input, which is not piecewise linear"
_LOOKUP = "it looks integers up in a table, and has no derivative by its input"

register(layers.Softmax, Softmax(_SOFTMAX), Example((4,), lambda x: layers.Dense(2)(layers.Softmax()(x))))
register(layers.ELU, Curved(_CURVED, keeps_sign=True), Example((4,), lambda x: layers.ELU()(x)))
register(layers.Multiply, Product(_PRODUCT), Example((4,), lambda x: layers.Multiply()([x, x])))
register(layers.Dot, Contraction(_PRODUCT), Example((4,), lambda x: layers.Dot(axes=1)([x, x])))
register(layers.Embedding, Embedding(_LOOKUP), Example((4,), lambda x: layers.Embedding(3, 2)(x)))
register(layers.ReversibleEmbedding, Embedding(_LOOKUP), Example((4,), lambda x: layers.ReversibleEmbedding(3, 2)(x)))

register(ops.softmax, Softmax(_SOFTMAX), Example((4,), lambda x: ops.softmax(x)))
register(ops.log_softmax, LogSoftmax(_SOFTMAX), Example((4,), lambda x: ops.log_softmax(x)))
register(ops.sigmoid, Sigmoid(_SIGMOID, nonnegative=True), Example((4,), lambda x: ops.sigmoid(x)))
for _function in (ops.softplus, ops.squareplus, ops.sparse_plus, ops.exp, ops.square, ops.sqrt):
    register(_function, Curved(_CURVED, nonnegative=True), Example((4,), lambda x, function=_function: function(x)))
for _function in (ops.tanh, ops.gelu, ops.silu, ops.hard_silu, ops.elu, ops.selu, ops.celu, ops.softsign):
    register(_function, Curved(_CURVED, keeps_sign=True), Example((4,), lambda x, function=_function: function(x)))
register(ops.reciprocal, Reciprocal(_CURVED, keeps_sign=True), Example((4,), lambda x: ops.reciprocal(x)))
register(ops.rsqrt, Reciprocal(_CURVED, nonnegative=True), Example((4,), lambda x: ops.rsqrt(x)))
for _function in (ops.log_sigmoid, ops.log):
    register(_function, Curved(_CURVED), Example((4,), lambda x, function=_function: function(x)))
register(Mish, Curved(_CURVED, keeps_sign=True), Example((4,), lambda x: Mish()(x)))
register(ops.power, Curved(_CURVED, keeps_sign=True), Example((4,), lambda x: ops.power(x, 2.0)))
