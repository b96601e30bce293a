"""Secants against what defines them: differences of inputs become differences of outputs, and derivatives in the limit."""

import itertools
import math

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.backend import record
from keras_xai.graph import trace
from keras_xai.kinds.entries import Example, registry
from keras_xai.kinds.expansion import expand, indivisible, kind_of
from keras_xai.kinds.secants import logarithmic_mean
from keras_xai.kinds.shape import Given
from tests.kinds.test_registry import SINGLE_PRECISION
from tests.slow import quickly
from tests.zoo import in_dtype

# What has no secant as a whole; a rule for it makes the test below fail, so that it is taken off.
NONE = {
    layers.Bidirectional,
    layers.ConvLSTM1D,
    layers.ConvLSTM2D,
    layers.ConvLSTM3D,
    layers.Embedding,
    layers.GRU,
    layers.LSTM,
    layers.RNN,
    layers.ReversibleEmbedding,
    layers.SimpleRNN,
}
# Settings and pairs of tensors that the examples of the registry do not have.
MORE = {
    "product of three": Example((4,), lambda x: layers.Multiply()([x, ops.flip(x, axis=1), ops.roll(x, 1, axis=1)])),
    "square": Example((4,), lambda x: ops.multiply(x, x)),
    "row times column": Example((3, 4), lambda x: ops.multiply(x[:, :1], x[:, :, :1])),
    "matmul": Example((3, 4), lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1)))),
    "einsum": Example((3, 4), lambda x: ops.einsum("bij,bkj->bik", x, x + 1.0)),
    "quotient": Example((4,), lambda x: ops.divide(x, ops.exp(ops.flip(x, axis=1)))),
    "quotient by a column": Example((3, 4), lambda x: x / ops.exp(x[:, :, :1])),
    "reciprocal": Example((4,), lambda x: 2.0 / ops.exp(x)),
    "softmax along axes": Example((3, 4), lambda x: layers.Softmax(axis=(1, 2))(x)),
    "log softmax": Example((3, 4), lambda x: ops.log_softmax(x, axis=1)),
    "layer normalization along axes": Example((3, 4), lambda x: layers.LayerNormalization(axis=(1, 2))(x)),
    "layer normalization without weights": Example((3, 4), lambda x: layers.LayerNormalization(center=False, scale=False)(x)),
    "groups of the first axis": Example((4, 3), lambda x: layers.GroupNormalization(2, axis=1)(x)),
    "max and constant": Example((4,), lambda x: ops.maximum(0.3, x)),
    "steps": Example((4,), lambda x: ops.threshold(x, 0.4, -0.3)),
}
KINDS = {
    f"{entry.operation.__name__} {i}": (entry.kind, example)
    for entry in registry()
    # The rows of `TimeDistributed` are not samples, and what is independent has no differences.
    if entry.operation not in {*NONE, layers.TimeDistributed} and not isinstance(entry.kind, Given)
    for i, example in enumerate(entry.examples)
}
EXAMPLES = {name: example for name, (_, example) in KINDS.items()} | MORE
QUICK = {type(kind): name for name, (kind, _) in KINDS.items()}  # one of each kind
by_example = pytest.mark.parametrize("name", quickly(EXAMPLES, *QUICK.values(), *MORE))


POSITIVE = ("Log ", "Sqrt ", "Power ", "Rsqrt ", "Reciprocal ")  # have no real values elsewhere


def dtype_of(name):
    return "float32" if name.split()[0] in SINGLE_PRECISION else "float64"


def steps_of(name):
    """The steps of an example, its weights drawn at random, with the inputs of each at two batches."""
    example, dtype = EXAMPLES[name], dtype_of(name)
    with in_dtype(dtype):
        model = example.model()
        rng = np.random.default_rng(0)
        for variable in model.variables:
            if keras.backend.is_float_dtype(variable.dtype):
                variable.assign(rng.uniform(0.5, 1.5, size=variable.shape))
        graph = expand(trace(model), defuse=True)
        batches = [rng.normal(size=(3, *example.shape)) for _ in range(2)]
        batches = [ops.convert_to_tensor(np.abs(x) if name.startswith(POSITIVE) else x, dtype=dtype) for x in batches]
        values = [dict(zip(graph.inputs, [batch], strict=True)) for batch in batches]
        for step in graph.steps:
            inputs = [[known[identifier] for identifier in step.inputs] for known in values]
            if all(keras.backend.is_float_dtype(spec.dtype) for spec in step.input_specs):
                yield step, *inputs
            for known, tensors in zip(values, inputs, strict=True):
                known.update(zip(step.outputs, step(*tensors), strict=True))


def pulled(step, inputs, reference, messages):
    """What Multipliers pass back, as an array for each input."""
    linear = kind_of(step).secant(step)(inputs, reference)
    found = record(linear, [ops.zeros_like(x) for x in inputs]).pull(messages)
    return [np.zeros(x.shape) if each is None else np.asarray(each) for x, each in zip(inputs, found, strict=True)]


@by_example
def test_contributions_add_up(name):
    """Multipliers times differences of inputs are differences of outputs; with the multipliers halved, they are not."""
    seen = 0
    tolerance = 1e-9 if dtype_of(name) == "float64" else 1e-4
    for step, inputs, reference in steps_of(name):
        assert indivisible(step) is None
        differences = [np.asarray(y) - np.asarray(z) for y, z in zip(step(*inputs), step(*reference), strict=True)]
        rng = np.random.default_rng(1)
        messages = [rng.normal(size=each.shape).astype(each.dtype) for each in differences]
        expected = sum((m * d).reshape(len(d), -1).sum(axis=1) for m, d in zip(messages, differences, strict=True))
        found = pulled(step, inputs, reference, [ops.convert_to_tensor(each) for each in messages])
        sums = sum(
            (m * (np.asarray(x) - np.asarray(b))).reshape(len(m), -1).sum(axis=1)
            for m, x, b in zip(found, inputs, reference, strict=True)
        )
        np.testing.assert_allclose(sums, expected, rtol=tolerance, atol=tolerance)
        assert np.abs(sums / 2 - expected).max() > 1e-3
        seen += 1
    assert seen or name == "Activation 2"  # the identity


@by_example
def test_multipliers_are_derivatives_near_the_sample(name):
    distance = 1e-5 if dtype_of(name) == "float64" else 1e-2
    for step, inputs, other in steps_of(name):
        near = [x + distance * (b - x) for x, b in zip(inputs, other, strict=True)]
        inputs = [ops.copy(x) for x in inputs]  # each its own, where a step takes a tensor twice
        recording = record(lambda tensors, step=step: step(*tensors), inputs)
        rng = np.random.default_rng(1)
        messages = [ops.convert_to_tensor(rng.normal(size=y.shape), dtype=y.dtype) for y in recording.outputs]
        bound = 1e-3 if dtype_of(name) == "float64" else 0.05
        expected = [0 if each is None else np.asarray(each) for each in recording.pull(messages)]
        found = pulled(step, inputs, near, messages)
        for each, right in zip(found, expected, strict=True):
            np.testing.assert_allclose(each, right + np.zeros_like(each), rtol=bound, atol=bound)


def test_what_has_no_secant_is_refused_by_name():
    none = set()
    for entry in registry():
        with in_dtype("float64"):
            graph = expand(trace(entry.examples[0].model()), defuse=True)
        if any(kind_of(step).secant(step) is None for step in graph.steps):
            none.add(entry.operation)
    assert none == NONE


def test_a_product_of_three_has_shapley_values():
    with in_dtype("float64"):
        x = keras.Input((3,))
        model = keras.Model(x, layers.Multiply()([x[:, :1], x[:, 1:2], x[:, 2:]]))
    step = expand(trace(model)).steps[-1]
    a, b = np.array([2.0, -3.0, 5.0]), np.array([0.5, 1.0, -2.0])
    tensors = [[ops.convert_to_tensor(each[None, None], dtype="float64") for each in values] for values in (a, b)]
    found = pulled(step, *tensors, [ops.ones((1, 1), "float64")])
    orders = [*itertools.permutations(range(3))]
    shapley = np.zeros(3)
    for order in orders:
        point = b.copy()
        for i in order:
            before = math.prod(point)
            point[i] = a[i]
            shapley[i] += (math.prod(point) - before) / len(orders)
    np.testing.assert_allclose(np.ravel(found) * (a - b), shapley, rtol=1e-12)
    pairwise = (a - b) * (np.roll(a, 1) + np.roll(b, 1)) * (np.roll(a, 2) + np.roll(b, 2)) / 4  # ((x y) z), two at a time
    assert np.abs(pairwise - shapley).max() > 0.1


def test_a_quotient_has_shapley_values_of_its_two_operands():
    x = keras.Input((2,))
    step = expand(trace(keras.Model(x, x[:, :1] / x[:, 1:]))).steps[-1]
    (a, b), (c, d) = (3.0, 2.0), (1.0, 5.0)
    tensors = [[ops.convert_to_tensor([[each]], dtype="float64") for each in values] for values in ((a, b), (c, d))]
    found = np.ravel(pulled(step, *tensors, [ops.ones((1, 1), "float64")])) * [a - c, b - d]
    expected = [(a / d - c / d + a / b - c / b) / 2, (c / b - c / d + a / b - a / d) / 2]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_rule_of_max_pooling_by_hand():
    step = expand(trace(keras.Sequential([keras.Input((4, 1)), layers.MaxPooling1D(2)]))).steps[0]
    x, b = (ops.reshape(ops.convert_to_tensor(each), (1, 4, 1)) for each in ([1.0, 5.0, 2.0, 0.0], [4.0, 2.0, 1.0, 6.0]))
    # 4 rises to 5 by the entry that was 2; 6 falls to 2 by the entry that is 0 now.
    np.testing.assert_allclose(np.ravel(pulled(step, [x], [b], [ops.ones((1, 2, 1))])), [0, 1 / 3, 0, 4 / 6], rtol=1e-6)


@pytest.mark.parametrize("level", [0.0, 300.0])
def test_softmax_does_not_depend_on_a_constant(level):
    """Probabilities are the same for scores that a constant is added to, and so are contributions: nothing of the constant."""
    step = expand(trace(keras.Sequential([keras.Input((3,)), layers.Softmax(), layers.Dense(1)]))).steps[0]
    x, b = ops.convert_to_tensor([[2.0, -1.0, 0.5]]), ops.convert_to_tensor([[0.0, 1.0, -40.0]])
    plain = pulled(step, [x], [b], [ops.convert_to_tensor([[1.0, 0.0, 0.0]])])[0]
    shifted = pulled(step, [x + level], [b], [ops.convert_to_tensor([[1.0, 0.0, 0.0]])])[0]
    np.testing.assert_allclose(shifted, plain, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(plain.sum(), 0, atol=1e-6)
    assert np.abs(plain).max() > 0.1


@pytest.mark.parametrize("distance", [0.0, 1e-12, 1e-3, 1.0, 50.0, 2000.0])
def test_the_logarithmic_mean(distance):
    a, b = -1.0, -1.0 - distance
    expected = np.exp(a) * (1 if distance == 0 else -np.expm1(-distance) / distance)
    for pair in ((a, b), (b, a)):
        found = logarithmic_mean(*(ops.convert_to_tensor(each, dtype="float64") for each in pair))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["LayerNormalization", "RMSNormalization", "UnitNormalization", "GroupNormalization"])
def test_normalizations_stay_accurate_from_a_baseline_of_zeros(name):
    """In float32, where the product with a reciprocal of 1e-12 would be a difference of large numbers."""
    layer = {"GroupNormalization": lambda: layers.GroupNormalization(2)}.get(name, getattr(layers, name))()
    step = expand(trace(keras.Sequential([keras.Input((5, 4)), layer, layers.Dense(1)]))).steps[0]
    x = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(3, 5, 4)), dtype="float32")
    message = ops.convert_to_tensor(np.random.default_rng(1).normal(size=(3, 5, 4)), dtype="float32")
    (found,) = pulled(step, [x], [ops.zeros_like(x)], [message])
    expected = np.sum(message * (step(x)[0] - step(ops.zeros_like(x))[0]), axis=(1, 2))
    np.testing.assert_allclose((found * np.asarray(x)).sum(axis=(1, 2)), expected, atol=1e-5)
    assert np.abs(found).max() < 10
