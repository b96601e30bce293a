"""A Ctrl-C within Keras' own scopes leaves none of them entered."""

import contextlib
import gc

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend import AutocastScope, compute_output_spec
from keras.src.backend.common import global_state
from tensorflow.python.eager import context
from tensorflow.python.framework import ops as framework

from keras_xai.attribution import LRP, GradientTimesInput
from keras_xai.backend import compiled, scopes_kept
from keras_xai.backend.scopes import _SCOPES
from keras_xai.openbox import OpenBox

SCOPES = [keras.SymbolicScope, keras.StatelessScope, AutocastScope, keras.name_scope]
X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


def entered():
    """What Keras holds for the thread."""
    found = {name: global_state.get_global_attribute(name) for name in _SCOPES}
    return {name: list(value) if isinstance(value, list) else value for name, value in found.items() if value}


def network():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(3, activation="softmax")])
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=each.shape) for each in model.get_weights()])
    return model


CALLS = {
    "GradientTimesInput": lambda model: GradientTimesInput(model)(X, 1).values,
    "LRP": lambda model: LRP(model)(X, 1).values,
    "OpenBox": lambda model: OpenBox(model)(X).coef,
    "OpenBox.line": lambda model: OpenBox(model).line(X[0], X[1]).breakpoints,
}


def interrupting(method, number):
    """A method that ends with a Ctrl-C at its call of this number, without having done anything."""
    calls = []

    def interrupted(*args, **kwargs):
        calls.append(None)
        if len(calls) == number:
            raise KeyboardInterrupt
        return method(*args, **kwargs)

    return interrupted, calls


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_interrupts_leave_no_scope(call, monkeypatch):
    call(network())
    before = entered()
    for scope in SCOPES:
        _, calls = counted = interrupting(scope.__exit__, 0)
        model = network()
        with monkeypatch.context() as patch:
            patch.setattr(scope, "__exit__", counted[0])
            expected = call(model)
        for number in {1, len(calls)} if calls else ():
            model = network()
            with monkeypatch.context() as patch:
                patch.setattr(scope, "__exit__", interrupting(scope.__exit__, number)[0])
                with pytest.raises(KeyboardInterrupt):
                    call(model)
            assert entered() == before, (scope, number)
            np.testing.assert_array_equal(call(model), expected)


def test_interrupts_without_it_leave_scopes(monkeypatch):
    """The negative control: this is what Keras leaves behind."""
    with scopes_kept():
        with monkeypatch.context() as patch:
            patch.setattr(keras.SymbolicScope, "__exit__", interrupting(keras.SymbolicScope.__exit__, 1)[0])
            with pytest.raises(KeyboardInterrupt):
                compute_output_spec(keras.ops.sin, keras.KerasTensor((None, 4)))
        assert "symbolic_scope" in entered()
    assert "symbolic_scope" not in entered()


def enter_graph(x=None):
    framework._default_graph_stack.get_controller(tf.Graph()).__enter__()  # as a Ctrl-C before its `__exit__` leaves it
    context.context()._thread_local_data.is_eager = False
    raise KeyboardInterrupt


@contextlib.contextmanager
def graph_mode():
    """Puts back the mode of a graph, as a context manager of TensorFlow within a graph does."""
    try:
        yield
    finally:
        context.context()._thread_local_data.is_eager = False


def stay_in_graph_mode(x):
    manager = graph_mode()
    manager.__enter__()  # and a Ctrl-C before its `__exit__`, so that it ends with the traceback
    raise KeyboardInterrupt


def symbolic_call():
    """Keras computes shapes in a graph of TensorFlow."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Activation(lambda x: x + 1)(inputs))
    model.layers[-1].activation = enter_graph
    LRP(model)


TRACED = {
    "compiled": lambda: compiled(enter_graph, [((None,), "float32")])(np.ones(2, "float32")),
    "symbolic": symbolic_call,
    "left late": lambda: compiled(stay_in_graph_mode, [((None,), "float32")])(np.ones(2, "float32")),
}


@pytest.mark.parametrize("name", TRACED)
def test_a_graph_that_is_not_left_does_not_stay(name):
    try:
        TRACED[name]()
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("it was not interrupted")
    gc.collect()  # the traceback
    assert tf.executing_eagerly()
    assert tf.Variable(1.0).numpy() == 1
