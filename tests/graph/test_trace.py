"""The flat list of calls says what the model does, in order and by path."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.graph.inlining import inlined
from keras_xai.graph.nodes import trace_function
from keras_xai.graph.trace import trace
from keras_xai.kinds.expansion import expand
from keras_xai.openbox import OpenBox
from tests.zoo import ZOO

pytestmark = pytest.mark.onednn


def _run(graph, *tensors):
    values = dict(zip(graph.inputs, tensors, strict=True))
    for step in graph.steps:
        values.update(zip(step.outputs, step(*(values[i] for i in step.inputs)), strict=True))
    return [values[i] for i in graph.outputs]


@pytest.mark.parametrize("name", ZOO)
def test_running_the_steps_is_running_the_model(name, digits):
    model = ZOO[name]()
    x = digits[0][:4].astype("float32")
    np.testing.assert_allclose(_run(trace(model), x)[0], model(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(_run(expand(trace(model)), x)[0], model(x), rtol=1e-5, atol=1e-6)


def test_paths_of_nested_and_shared_layers():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="a"), layers.Dense(4, name="b")], name="inner")
    middle_input = keras.Input((4,))
    middle = keras.Model(middle_input, layers.Add(name="sum")([inner(middle_input), middle_input]), name="middle")
    x = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    model = keras.Model(x, shared(middle(shared(middle(x)))))
    assert [step.path for step in trace(model).steps] == [
        "middle/inner/a",
        "middle/inner/b",
        "middle/sum",
        "shared",
        "middle:1/inner/a",
        "middle:1/inner/b",
        "middle:1/sum",
        "shared:1",
    ]


def test_paths_of_fused_and_composite_layers():
    x = keras.Input((4,))
    y = layers.Dense(3, activation="relu", name="dense")(x)
    y = layers.Activation("hard_sigmoid", name="activation")(y)
    y = layers.Lambda(lambda t: ops.maximum(t, 0.5) + ops.maximum(-t, 0.1), name="function")(y)
    assert [step.path for step in expand(trace(keras.Model(x, y))).steps] == [
        "dense",
        "dense.relu",
        "activation",
        "function.negative",
        "function.maximum",
        "function.maximum:1",
        "function.add",
    ]


def test_find():
    model = ZOO["nested"]()
    assert trace(model).find("backbone/block/" + model.get_layer("backbone").get_layer("block").layers[0].name).path
    with pytest.raises(ValueError, match=r"Received: path='backbone/block/con'. The nearest paths are \['backbone/block/conv"):
        trace(model).find("backbone/block/con")


def test_a_layer_used_in_another_model_too_is_traced_for_this_model_only():
    shared = layers.Dense(3, name="shared")
    first, second = keras.Input((4,)), keras.Input((4,))
    shared(first)
    model = keras.Model(second, shared(second))
    assert [step.path for step in trace(model).steps] == ["shared"]


def test_a_model_that_starts_at_an_inner_tensor():
    model = ZOO["residual"]()
    tail = keras.Model(model.get_layer(index=-3).output, model.output)
    assert [step.path for step in trace(tail).steps] == [layer.name for layer in model.layers[-2:]]


def test_layers_run_as_at_inference():
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dropout(0.9)(layers.GaussianNoise(0.9)(x), training=True))
    points = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_array_equal(_run(trace(model), points)[0], points)
    np.testing.assert_array_equal(model.predict(points, verbose=0), points)


def test_constants_of_a_call_are_kept():
    x = keras.Input((3,))
    model = keras.Model(x, ops.where(x > 0, x, 2.0) - ops.concatenate([x, x], axis=-1)[:, :3])
    points = np.random.default_rng(0).normal(size=(3, 3)).astype("float32")
    np.testing.assert_array_equal(_run(trace(model), points)[0], model(points))


def test_functions_leave_no_record_in_the_layers_that_they_call():
    dense = layers.Dense(2)
    dense.build((None, 3))
    spec = keras.KerasTensor((None, 3))
    graph = trace_function(lambda x: ops.relu(dense(x)), [spec])
    assert [step.path for step in graph.steps] == [dense.name, "relu"]
    assert dense._inbound_nodes == [] and dense._outbound_nodes == []


def test_functions_that_use_an_input_twice():
    dense = layers.Dense(3)
    dense.build((None, 3))
    graph = trace_function(lambda x: x + dense(x), [keras.KerasTensor((None, 3))])
    assert [step.path for step in graph.steps] == [dense.name, "add"]
    assert dense._inbound_nodes == [] and dense._outbound_nodes == []


def test_composites_leave_no_record_in_branches_that_lead_nowhere():
    class Branched(layers.Layer):
        def __init__(self):
            super().__init__()
            self.used, self.unused = layers.Dense(3), layers.Dense(3)

        def call(self, x):
            self.unused(x)
            return self.used(x)

    layer = Branched()
    layer(np.zeros((1, 3)))
    trace_function(layer.call, [keras.KerasTensor((None, 3))], owner=layer)
    with pytest.raises(ValueError, match="returns int"):
        trace_function(lambda x: [layer.call(x), 3], [keras.KerasTensor((None, 3))], owner=layer)
    assert layer.used._inbound_nodes == layer.unused._inbound_nodes == []


def test_automatic_names_are_not_used_up():
    def number(layer):
        return int(layer.name.rsplit("_", 1)[-1])

    kinds = (layers.ReLU, layers.Add, lambda: layers.Dense(2), lambda: layers.InputLayer((3,)))
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, "relu"), layers.Dense(2)])
    for kind in kinds:
        kind()  # the first of a process has no number
    before = [number(kind()) for kind in kinds]
    OpenBox(model)
    assert [number(kind()) for kind in kinds] == [last + 1 for last in before]


@pytest.mark.slow
def test_automatic_names_are_not_used_up_by_importing():
    code = (
        "import keras, keras_xai.openbox; names = [keras.layers.ReLU().name, keras.layers.Add().name]; "
        "model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, 'relu')]); keras_xai.openbox.OpenBox(model); "
        "print(*names, keras.layers.ReLU().name, keras.layers.Dense(2).name, keras.layers.InputLayer((3,)).name)"
    )
    names = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert names == ["re_lu", "add", "re_lu_1", "dense_1", "input_layer_1"]


@pytest.mark.parametrize("function", [np.sin, lambda x: 3, lambda x: (x, 3)])
def test_functions_that_cannot_be_traced(function):
    with pytest.raises(ValueError, match="symbolic tensor|returns"):
        trace_function(function, [keras.KerasTensor((None, 3))])


def test_inlining_a_step_that_does_nothing():
    x = keras.Input((3,))
    model = keras.Model(x, layers.Dense(2, name="last")(layers.Activation("linear")(x)))
    graph = expand(trace(model))
    assert [step.path for step in graph.steps] == ["last"]
    assert graph.steps[0].inputs == graph.inputs
    identity = expand(trace(keras.Model(x, layers.Activation("linear")(x))))
    assert identity.steps == () and identity.outputs == identity.inputs


def test_inlining_nothing_changes_nothing():
    graph = trace(ZOO["residual"]())
    again = inlined(graph, lambda step: None)
    assert [vars(step) for step in again.steps] == [vars(step) for step in graph.steps]
    assert again.outputs == graph.outputs
