"""Gates and selects against the layers that they stand for, over random settings."""

import hypothesis
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from hypothesis.extra import numpy as arrays
from keras import layers, ops

from keras_xai.backend import record
from keras_xai.graph import trace
from keras_xai.kinds.entries import registry
from keras_xai.kinds.expansion import expand, kind_of
from keras_xai.kinds.select import SelectEntries
from keras_xai.network import Network
from tests.zoo import in_dtype

pytestmark = pytest.mark.onednn

# Thresholds that float32 holds exactly, and values that hit them.
QUARTERS = st.integers(-12, 12).map(lambda number: number / 4)
VALUES = arrays.arrays("float64", (1, 6), elements=QUARTERS)
SIZES = st.integers(1, 4)

settings = hypothesis.settings(max_examples=40, deadline=None)


def _check_step(build, x):
    """On its piece the step equals the layer, at the input and wherever the constraints hold."""
    with in_dtype("float64"):
        inputs = keras.Input(x.shape[1:])
        model = keras.Model(inputs, build(inputs))
    (step,) = expand(trace(model)).steps
    kind = kind_of(step)
    tensors = [ops.convert_to_tensor(x)]
    pattern = kind.pattern(step, tensors)
    assert all((np.asarray(wall) >= 0).all() for wall in kind.constraints(step, pattern, tensors))
    frozen = kind.freeze(step, pattern)
    np.testing.assert_allclose(frozen(tensors)[0], model(x), atol=1e-12)

    other = [ops.convert_to_tensor(x + np.random.default_rng(0).normal(scale=0.1, size=x.shape))]
    inside = all((np.asarray(wall) >= 0).all() for wall in kind.constraints(step, pattern, other))
    same = np.array_equal(np.asarray(kind.pattern(step, other)), np.asarray(pattern))
    if inside:
        np.testing.assert_allclose(frozen(other)[0], model(other[0]), atol=1e-12)
    elif not same:
        assert not inside
    return inside


@settings
@hypothesis.given(x=VALUES, slope=QUARTERS.filter(lambda s: s >= 0), threshold=QUARTERS.filter(lambda t: t >= 0), limit=SIZES)
@pytest.mark.parametrize("limited", [False, True])
def test_relu_of_any_setting(x, slope, threshold, limit, limited):
    limit = limit / 2 if limited else None
    _check_step(lambda t: layers.ReLU(max_value=limit, negative_slope=slope, threshold=threshold)(t), x)


@settings
@hypothesis.given(x=VALUES, threshold=QUARTERS.filter(lambda t: t > 0), low=QUARTERS, width=SIZES)
def test_other_gates(x, threshold, low, width):
    for build in (
        lambda t: ops.hard_shrink(t, threshold),
        lambda t: ops.soft_shrink(t, threshold),
        lambda t: ops.threshold(t, threshold, low),
        lambda t: ops.clip(t, low, low + width),
        lambda t: ops.absolute(t),
        lambda t: ops.hard_sigmoid(t),
        lambda t: ops.hard_tanh(t),
        lambda t: ops.leaky_relu(t, threshold / 4),
    ):
        _check_step(build, x)


@settings
@hypothesis.given(
    seed=st.integers(0, 2**16),
    sizes=st.tuples(st.integers(4, 7), st.integers(4, 7)),
    pool=st.tuples(SIZES, SIZES),
    strides=st.none() | st.tuples(SIZES, SIZES),
    padding=st.sampled_from(["valid", "same"]),
)
def test_max_pooling_of_any_setting(seed, sizes, pool, strides, padding):
    x = np.random.default_rng(seed).normal(size=(2, *sizes, 3))
    _check_step(lambda t: layers.MaxPooling2D(pool, strides, padding)(t), x)


@settings
@hypothesis.given(seed=st.integers(0, 2**16), length=st.integers(1, 9), data=st.data())
def test_adaptive_max_pooling_of_any_setting(seed, length, data):
    x = np.random.default_rng(seed).normal(size=(2, length, 2))
    count = data.draw(st.integers(1, length))
    _check_step(lambda t: layers.AdaptiveMaxPooling1D(count)(t), x)


@settings
@hypothesis.given(
    seed=st.integers(0, 2**16), keepdims=st.booleans(), axis=st.sampled_from([1, 2, 3, -1, (1, 2), (2, 3), (1, 2, 3)])
)
def test_extrema_over_any_axes(seed, keepdims, axis):
    x = np.random.default_rng(seed).normal(size=(2, 3, 4, 2))
    _check_step(lambda t: ops.max(t, axis=axis, keepdims=keepdims), x)
    _check_step(lambda t: ops.min(t, axis=axis, keepdims=keepdims), x)


def test_equal_candidates_are_chosen_once():
    x = np.zeros((1, 4, 4, 1))
    assert _check_step(lambda t: layers.MaxPooling2D(2)(t), x) in (True, False)


SELECTS = [(entry, example) for entry in registry() if isinstance(entry.kind, SelectEntries) for example in entry.examples]


@pytest.mark.parametrize("entry, example", SELECTS, ids=[f"{entry.operation.__name__}" for entry, _ in SELECTS])
def test_equal_entries_share_one_derivative(entry, example):
    """Whatever constant is added to all entries is added to the extremum: its derivative by all of them is 1, also where some are equal.

    TensorFlow's derivative of max pooling of volumes counts each of equal entries. They are equal for all inputs behind windows that
    overlap.
    """
    inputs = keras.Input(example.shape)
    graph = expand(trace(keras.Model(inputs, example.build(inputs))))
    x = np.random.default_rng(0).integers(0, 3, size=(2, *example.shape)).astype("float32")
    recording = record(lambda tensors: Network(graph).outputs(Network(graph).run(tensors)), [ops.convert_to_tensor(x)])
    (y,) = recording.outputs
    (gradient,) = recording.pull([ops.ones_like(y)])
    np.testing.assert_allclose(np.sum(gradient), np.size(y), rtol=1e-5)


def test_extremum_over_the_batch_is_refused():
    x = keras.Input((3,))
    (step,) = trace(keras.Model(x, x - ops.max(x, axis=0))).steps[:1]
    assert "over the batch" in kind_of(step).refusal(step)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("layer", [layers.MaxPooling2D, layers.AveragePooling3D, layers.GlobalMaxPooling2D])
def test_channels_first(layer, data_format):
    """TensorFlow pools channels first on GPUs only, the kinds do so everywhere."""
    rank = int(layer.__name__[-2])
    x = np.random.default_rng(0).normal(size=(2, *[4] * rank, 3)).astype("float32")
    arguments = {} if "Global" in layer.__name__ else {"pool_size": 2}
    reference = layer(**arguments, data_format="channels_last")(x)
    first = data_format == "channels_first"
    inputs = keras.Input((3, *[4] * rank) if first else x.shape[1:])
    (step,) = trace(keras.Model(inputs, layer(**arguments, data_format=data_format)(inputs))).steps
    tensors = [ops.convert_to_tensor(np.moveaxis(x, -1, 1) if first else x)]
    kind = kind_of(step)
    (y,) = kind.freeze(step, kind.pattern(step, tensors))(tensors)
    y = np.asarray(y)
    np.testing.assert_allclose(np.moveaxis(y, 1, -1) if first and y.ndim > 2 else y, reference, rtol=1e-6)
