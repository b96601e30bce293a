"""Layers that are not piecewise linear, each with the reason that its refusal gives."""

from keras import layers, ops

from keras_xai.kinds.kind import Example, Kind, register


class Smooth(Kind):
    """Not piecewise linear.

    Args:
        reason: Why, as a clause without a full stop.
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


class Curved(Smooth):
    """An activation that acts on each unit alone, and is not piecewise linear.

    Args:
        reason: As a clause without a full stop.
    """

    role = "curved"

    def elementwise(self, step):
        return True


_CURVED = "its activation is curved"
_SOFTMAX = "a softmax is not piecewise linear; only the one that ends the model is left out"
_SIGMOID = "a sigmoid is not piecewise linear; only the one that ends the model is left out"
_STATISTICS = "it divides by statistics of the sample itself, which is not piecewise linear"
_PRODUCT = "it multiplies tensors that both depend on the input, which is not piecewise linear"
_ATTENTION = "attention multiplies tensors that both depend on the input and takes a softmax of them"
_RECURRENT = "recurrent layers gate with sigmoids and products"
_LOOKUP = "it looks integers up in a table, and has no derivative by its input"

register(layers.Softmax, Smooth(_SOFTMAX), Example((4,), lambda x: layers.Dense(2)(layers.Softmax()(x))))
register(layers.ELU, Curved(_CURVED), Example((4,), lambda x: layers.ELU()(x)))
for _class, _shape, _arguments in (
    (layers.LayerNormalization, (4,), {}),
    (layers.RMSNormalization, (4,), {}),
    (layers.UnitNormalization, (4,), {}),
    (layers.GroupNormalization, (6, 6, 4), {"groups": 2}),
):
    register(_class, Smooth(_STATISTICS), Example(_shape, lambda x, cls=_class, arguments=_arguments: cls(**arguments)(x)))
register(layers.Multiply, Smooth(_PRODUCT), Example((4,), lambda x: layers.Multiply()([x, x])))
register(layers.Dot, Smooth(_PRODUCT), Example((4,), lambda x: layers.Dot(axes=1)([x, x])))
register(layers.Attention, Smooth(_ATTENTION), Example((4, 2), lambda x: layers.Attention()([x, x])))
register(layers.AdditiveAttention, Smooth(_ATTENTION), Example((4, 2), lambda x: layers.AdditiveAttention()([x, x])))
register(layers.MultiHeadAttention, Smooth(_ATTENTION), Example((4, 2), lambda x: layers.MultiHeadAttention(1, 2)(x, x)))
register(layers.GroupQueryAttention, Smooth(_ATTENTION), Example((4, 2), lambda x: layers.GroupQueryAttention(2, 2, 1)(x, x)))
register(layers.RNN, Smooth(_RECURRENT), Example((4, 2), lambda x: layers.RNN(layers.LSTMCell(2))(x)))
register(layers.LSTM, Smooth(_RECURRENT), Example((4, 2), lambda x: layers.LSTM(2)(x)))
register(layers.GRU, Smooth(_RECURRENT), Example((4, 2), lambda x: layers.GRU(2)(x)))
register(layers.SimpleRNN, Smooth(_RECURRENT), Example((4, 2), lambda x: layers.SimpleRNN(2)(x)))
register(layers.Bidirectional, Smooth(_RECURRENT), Example((4, 2), lambda x: layers.Bidirectional(layers.LSTM(2))(x)))
register(layers.Embedding, Smooth(_LOOKUP), Example((4,), lambda x: layers.Embedding(3, 2)(x)))

register(ops.softmax, Smooth(_SOFTMAX), Example((4,), lambda x: ops.softmax(x)))
register(ops.log_softmax, Smooth(_SOFTMAX), Example((4,), lambda x: ops.log_softmax(x)))
register(ops.sigmoid, Curved(_SIGMOID), Example((4,), lambda x: ops.sigmoid(x)))
for _function in (
    ops.tanh,
    ops.gelu,
    ops.silu,
    ops.hard_silu,
    ops.elu,
    ops.selu,
    ops.celu,
    ops.softplus,
    ops.softsign,
    ops.squareplus,
    ops.sparse_plus,
    ops.log_sigmoid,
    ops.exp,
    ops.log,
    ops.square,
    ops.sqrt,
    ops.power,
):
    if _function is ops.power:
        register(_function, Curved(_CURVED), Example((4,), lambda x: ops.power(x, 2.0)))
    else:
        register(_function, Curved(_CURVED), Example((4,), lambda x, function=_function: function(x)))
