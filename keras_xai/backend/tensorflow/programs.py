"""Functions of tensors compiled by `tf.function`, and loops in them."""

import contextvars
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_xai.backend import ticks
from keras_xai.backend.exclusive import EXCLUSIVE
from keras_xai.backend.interrupts import interrupts_wait
from keras_xai.backend.tensorflow import eager
from keras_xai.backend.tensorflow.scopes import scopes_kept

_FOR_XLA = contextvars.ContextVar("for XLA", default=False)  # whether what is traced is compiled by XLA


def compiled(function: Callable, signature: Sequence, *, jit_compile: bool = False, eager_first: bool = True) -> Callable:
    """Compiles a function of tensors.

    The first calls run eagerly where tracing would cost more than it saves, see `keras_xai.backend.tensorflow.eager`. Their results may
    differ from those of later ones by rounding.

    Args:
        function: Maps tensors to a nest of tensors.
        signature: A `(shape, dtype)` pair for each argument, or a list of pairs for a list argument; `None` for a dimension that varies
            between calls.
        jit_compile: Whether to compile with XLA, from the first call on.
        eager_first: Whether the first calls may run eagerly. `False` for programs that are called many times at once, and for functions of
            the user, which should fail at the first call if they cannot be compiled.
    """
    return _Program(function, signature, jit_compile, eager_first and not jit_compile)


class _Program:
    """A function that threads can share, compiled once that pays; until then, threads take turns."""

    def __init__(self, function, signature, jit_compile, eager_first):
        self._function = scoped(_for_xla(function) if jit_compile else function)
        self._specs = _specs(signature)
        self._program = _traced_once(self._function, self._specs, jit_compile)
        self._eager_calls = eager.CALLS if eager_first else 0  # that are left
        self._is_traced = False

    def __call__(self, *arguments: Any) -> Any:
        if self._is_traced:
            return self._program(*arguments)
        with EXCLUSIVE, interrupts_wait(), scopes_kept():
            if self._eager_calls > 0:
                self._eager_calls -= 1
                try:
                    return eager.tried(self._function, _converted(self._specs, arguments))
                except eager.TooLargeError:
                    self._eager_calls = 0
            found = self._program(*arguments)
            self._is_traced = True
        return found


def _converted(specs, arguments):
    if isinstance(specs, tf.TensorSpec):
        return tf.convert_to_tensor(arguments, specs.dtype)
    return [_converted(spec, argument) for spec, argument in zip(specs, arguments, strict=True)]


def _traced_once(function, specs, jit_compile):
    program = tf.function(function, input_signature=specs, autograph=False, jit_compile=jit_compile)
    # With a fixed signature a program is traced once. TensorFlow identifies programs by their source, and would warn about repeated
    # retracing at the fifth program made from the same function for another method or model.
    program._omit_frequent_tracing_warning = True
    return program


def traced(function: Callable, signature: Sequence) -> None:
    """Calls a function with symbolic tensors, to inspect shapes; nothing is computed.

    Args:
        function: The function, whose result is dropped.
        signature: As in `compiled`.
    """
    with EXCLUSIVE, interrupts_wait(), scopes_kept():
        tf.function(scoped(function), input_signature=_specs(signature), autograph=False).get_concrete_function()


def eagerly(function: Callable[[], Any]) -> Any:
    """Calls a function of concrete tensors at once, also while a program is traced."""
    with tf.init_scope():
        return function()


def stacked(function: Callable, count: int, dtypes: Any) -> Any:
    """Stacks `function(0), ..., function(count - 1)` along a new first axis, one evaluation in memory at a time.

    Args:
        function: Maps an integer scalar tensor to a nest of tensors.
        count: Number of calls; an integer or a scalar tensor.
        dtypes: The dtypes of the nest.
    """
    eager.check_rounds(count)

    def told(i):
        _tell(i, count)
        return function(i)

    return tf.map_fn(told, tf.range(count), fn_output_signature=dtypes, parallel_iterations=1)


def folded(function: Callable, count: int, initial: Sequence) -> list:
    """The list of tensors after `state = function(i, state)` for i = 0, ..., count - 1, starting at `initial`."""
    eager.check_rounds(count)

    def body(i, state):
        _tell(i, count)
        return i + 1, list(function(i, state))

    start = (tf.constant(0), list(initial))
    return tf.while_loop(lambda i, state: i < count, body, start, parallel_iterations=1)[1]


def _tell(i, count):
    """Tells how far a loop is, from within its body. XLA has no way to call Python."""
    length = tf.get_static_value(count)
    if not _FOR_XLA.get() and (length is None or length > ticks.NUM_TICKS):
        every = tf.maximum(count // ticks.NUM_TICKS, 1)
        is_due = tf.logical_and(count > ticks.NUM_TICKS, tf.logical_and(i > 0, i % every == 0))
        tf.cond(is_due, lambda: _told(i, count), tf.no_op)


def _told(i, count):
    tf.py_function(ticks.tick, [i, count], [])
    return tf.no_op()


def _for_xla(function):
    def within(*arguments):
        token = _FOR_XLA.set(True)
        try:
            return function(*arguments)
        finally:
            _FOR_XLA.reset(token)

    return within


def scoped(function: Callable) -> Callable:
    """A function within a scope of names: a layer's name is one within, and may begin with `_`, which outermost ones may not."""

    def within(*arguments):
        with tf.name_scope("explained"):
            return function(*arguments)

    return within


def _specs(signature):
    if isinstance(signature, tuple) and len(signature) == 2 and isinstance(signature[1], str):
        return tf.TensorSpec(*signature)
    return [_specs(entry) for entry in signature]
