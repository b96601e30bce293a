"""What kinds say of layers against the layers themselves, over all registered examples: a wrong entry fails.

Facts are checked both ways where that is possible: what a kind claims holds, and what it does not claim does not hold, or is
exempt here with the reason.
"""

import dataclasses
import functools
import zlib

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.graph import trace
from keras_xai.graph.split import alone
from keras_xai.kinds.expansion import expand, kind_of
from keras_xai.kinds.shape import Augmentation
from keras_xai.rules.folding import folded_into
from keras_xai.rules.maps import affine_maps, has_weights, role_of
from keras_xai.rules.rule import Passage
from tests.kinds.test_registry import CASES, NAMES, SINGLE_PRECISION
from tests.zoo import in_dtype

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _draws_of_its_own(monkeypatch):
    """What a test draws does not depend on the tests before it."""
    monkeypatch.setitem(globals(), "RNG", np.random.default_rng(1))


def randomize(model, rng=RNG):
    for variable in model.weights:
        if "seed" not in variable.path:
            positive = "variance" in variable.path or "alpha" in variable.path  # a scale may be negative
            random = rng.uniform(0.5, 2.0, variable.shape) if positive else rng.normal(size=variable.shape)
            variable.assign(random)


@functools.cache
def steps_of(number):
    """The calls of the registered operation among the simple steps of an example with random weights."""
    entry, example = CASES[number]
    with in_dtype("float32" if entry.operation.__name__ in SINGLE_PRECISION else "float64"):
        model = example.model()
    # The same, whatever is registered before.
    randomize(model, np.random.default_rng(zlib.crc32(NAMES[number].encode())))
    return [step for step in expand(trace(model)).steps if isinstance(step.operation, entry.operation)]


ALL = [(kind_of(step), step, name) for number, name in enumerate(NAMES) for step in steps_of(number)[:1]]


def every(where=lambda kind, step: True):
    chosen = [(kind, step, name) for kind, step, name in ALL if where(kind, step)]
    assert chosen
    return pytest.mark.parametrize("kind, step", [each[:2] for each in chosen], ids=[each[2] for each in chosen])


def tensors(step, count=64, draw=lambda shape: RNG.normal(size=shape)):
    """Random inputs of a step."""
    found = []
    for spec in step.input_specs:
        x = RNG.integers(3, size=(count, *spec.shape[1:])) if kind_of(step).looks_up(step) else draw((count, *spec.shape[1:]))
        found.append(ops.convert_to_tensor(x, dtype=spec.dtype))
    return found


def called(step, inputs):
    """The one output as an array in float64."""
    (y,) = step(*inputs)
    return ops.convert_to_numpy(y).astype("float64")


def nonnegative(shape):
    return RNG.uniform(0, 4, size=shape) * (RNG.uniform(size=shape) > 0.3)


def signed(shape):
    return RNG.normal(scale=4, size=shape) - RNG.uniform(0, 20, size=(shape[0], *[1] * (len(shape) - 1)))


def lowest(step, draw):
    """The lowest output for random inputs, at inference and in training."""
    modes = [step, step.in_training(True)]
    return min(np.nanmin(called(mode, tensors(mode, draw=draw))) for mode in modes for _ in range(4))


def is_numeric(kind, step):
    return (
        not kind.looks_up(step)
        and len(step.outputs) == 1
        and step.operation.__class__.__name__ not in ("Cast", "ConvertToTensor")
    )


@every(is_numeric)
def test_signs(kind, step):
    name = type(step.operation).__name__
    unasked = kind.role == "smooth"  # passes no relevance, so that only claims count
    for claimed, draw in ((kind.nonnegative(step), signed), (kind.keeps_sign(step), nonnegative)):
        low = lowest(step, draw)
        if claimed:
            assert low >= 0
        elif not unasked and not isinstance(kind, Augmentation):  # whose fill values may be negative, and mostly are not
            assert low < 0 or (name == "Power" and draw is signed)  # of odd exponents


def test_signs_claimed_for_subtraction_would_be_noticed(monkeypatch):
    (step,) = steps_of(next(i for i, (entry, _) in enumerate(CASES) if entry.operation is layers.Subtract))
    monkeypatch.setattr(type(kind_of(step)), "keeps_sign", lambda self, step: True)
    with pytest.raises(AssertionError):
        test_signs(kind_of(step), step)


def jacobian(step):
    """The matrix of an affine step of one input, `(inputs, outputs)`, and its value at zero."""
    shape = step.input_specs[0].shape[1:]
    entries = int(np.prod(shape))
    points = np.concatenate([np.zeros((1, entries)), np.eye(entries)]).reshape(-1, *shape)
    zero, *rows = called(step, [ops.convert_to_tensor(points, dtype=step.input_specs[0].dtype)]).reshape(entries + 1, -1)
    return np.array(rows) - zero, zero


@every(lambda kind, step: kind.role == "affine" and role_of(step) == "pooling")
def test_averages_have_constant_weights_of_at_least_zero(kind, step):
    matrix, offset = jacobian(step)
    assert kind.averages(step) == (matrix.min() > -1e-6)
    if kind.averages(step):
        assert not offset.any()
        (x,) = tensors(step)
        np.testing.assert_allclose(
            called(step, [x]).reshape(len(x), -1), ops.convert_to_numpy(x).reshape(len(x), -1) @ matrix, atol=1e-5
        )


@every(lambda kind, step: role_of(step) not in ("pooling", "merge"))
def test_nothing_else_claims_to_average(kind, step):
    assert not kind.averages(step)


# Classes of Keras say by their names what they do, which the kinds do not read.
@pytest.mark.parametrize("kind, step", [each[:2] for each in ALL], ids=[each[2] for each in ALL])
def test_names_agree(kind, step):
    name = type(step.operation).__name__
    assert kind.pools == ("global" if "Global" in name else "windows" if "Pool" in name else None)
    assert kind.looks_up(step) == ("Embedding" in name)
    assert kind.convolves(step) == (
        "Conv" in name.removeprefix("Convert") or name == "TimeDistributed"
    )  # of a convolution, in its example
    assert (kind.normalized_axis(step) is not None) == (name == "BatchNormalization")


@every(lambda kind, step: kind.pools is not None)
def test_poolings_keep_channels_apart_and_make_fewer_entries(kind, step):
    spec, before = step.output_specs[0], step.input_specs[0]
    axis = kind.channel_axis(step) % len(spec.shape)
    assert spec.shape[axis] == before.shape[-1] and np.prod(spec.shape[1:]) < np.prod(before.shape[1:])
    (x,) = tensors(step)
    other = ops.convert_to_numpy(x).copy()
    other[..., 1] += RNG.normal(size=other[..., 1].shape)
    change = np.moveaxis(called(step, [x]) - called(step, [ops.convert_to_tensor(other)]), axis, -1)
    assert not change[..., 0].any() and change[..., 1].any()
    if kind.pools == "global":
        assert np.prod(spec.shape[1:]) == spec.shape[axis]


@every(lambda kind, step: kind.looks_up(step))
def test_embeddings_make_a_vector_of_each_token(kind, step):
    (tokens,) = tensors(step)
    vectors = called(step, [tokens])
    assert vectors.shape[:-1] == tokens.shape
    for token in range(3):
        found = vectors[ops.convert_to_numpy(tokens) == token]
        assert (found == found[0]).all()
    assert len(np.unique(vectors.reshape(-1, vectors.shape[-1]), axis=0)) == 3


@every(lambda kind, step: role_of(step) in ("dense", "convolution") and kind.kernel_channels(step) is not None)
def test_a_batch_normalization_folded_into_a_layer_is_the_layer_and_the_normalization(kind, step):
    axis, spec = kind.channel_axis(step), step.output_specs[0]
    with in_dtype(spec.dtype):
        between = keras.Input(batch_shape=spec.shape)
        model = keras.Model(between, layers.BatchNormalization(axis=axis)(between))
    randomize(model)
    (normalization,) = trace(model).steps
    normalization = dataclasses.replace(normalization, inputs=step.outputs, outputs=(step.outputs[0] + 1,))
    graph = dataclasses.replace(alone(step), outputs=normalization.outputs, steps=(step, normalization))
    assert folded_into(graph, step) == (normalization,)
    inputs = tensors(step)
    (expected,) = normalization(*step(*inputs))
    values = {step.inputs[0]: inputs[0], normalization.outputs[0]: expected}
    maps = affine_maps(Passage(step, folded=(normalization,)).call(values))
    y = inputs
    for each in maps:
        y = [each.product(y, None) + each.bias()]
    np.testing.assert_allclose(y[0], expected, atol=1e-5 if spec.dtype == "float32" else 1e-10)
    # One map is linear in the weights of a rule: what is modified is the kernel.
    assert has_weights(step) and not np.allclose(maps[-1].product(maps[-1].inputs, ops.abs), expected)


@every(lambda kind, step: kind.normalized_axis(step) is not None)
def test_normalizations_scale_channels(kind, step):
    (x,) = tensors(step)
    axis, scale = kind.normalized_axis(step), ops.convert_to_numpy(kind.scale(step))
    change = called(step, [x]) - called(step, [ops.zeros_like(x)])
    np.testing.assert_allclose(
        np.moveaxis(change, axis, -1), np.moveaxis(ops.convert_to_numpy(x), axis, -1) * scale, rtol=1e-9
    )


@every(lambda kind, step: kind.role in ("merge", "affine") and kind.elementwise(step) and is_numeric(kind, step))
def test_shifts_add_a_constant(kind, step):
    (x,) = tensors(step)
    added = called(step, [x]) - ops.convert_to_numpy(x)
    assert kind.shifts(step) == bool(np.ptp(added, axis=0).max() < 1e-12)


@every(is_numeric)
def test_links_make_probabilities(kind, step):
    if len(step.inputs) > 1 or step.input_specs[0].shape != step.output_specs[0].shape:
        assert kind.link(step) is None
        return
    (x,) = tensors(step)
    y = called(step, [x])
    softmax = bool((y >= 0).all() and np.allclose(y.sum(axis=-1), 1))
    sigmoid = np.allclose(y, 1 / (1 + np.exp(-ops.convert_to_numpy(x))), atol=1e-7)
    assert kind.link(step) == ("softmax" if softmax else "sigmoid" if sigmoid else None)


def support(step, position, draws=4):
    """Which entries of an input which entries of the output depend on, `(inputs, outputs)`, by changing them one by one."""
    inputs = [ops.convert_to_numpy(x) for x in tensors(step, draws)]
    shape = inputs[position].shape[1:]
    entries = int(np.prod(shape))
    base = called(step, [ops.convert_to_tensor(x) for x in inputs]).reshape(draws, 1, -1)
    found = np.zeros((entries, base.shape[-1]), bool)
    for change in [1, 2] if kind_of(step).looks_up(step) else [50.0, -50.0]:
        rows = [np.repeat(x, entries, axis=0) for x in inputs]
        changed = rows[position].reshape(draws, entries, entries)
        diagonal = np.arange(entries)
        moved = changed[:, diagonal, diagonal] + change
        changed[:, diagonal, diagonal] = moved % 3 if kind_of(step).looks_up(step) else moved
        y = called(step, [ops.convert_to_tensor(x) for x in rows]).reshape(draws, entries, -1)
        found |= ~((np.abs(y - base) < 1e-6) | (y == base) | (np.isnan(y) & np.isnan(base))).all(axis=0)
    return found.reshape(*shape, *step.output_specs[0].shape[1:])


@every(lambda kind, step: len(step.outputs) == 1)
def test_receptive_ranges_are_the_support_of_the_derivative(kind, step):
    to = step.output_specs[0].shape[1:]
    for position, spec in enumerate(step.input_specs):
        shape = spec.shape[1:]
        seen = support(step, position)
        for place in np.ndindex(*to):
            claimed = kind.receptive_range(step, [(each, each + 1) for each in place], shape, to)
            inside = [(max(start, 0), min(stop, size)) for (start, stop), size in zip(claimed, shape, strict=True)]
            depends = seen[(..., *place)]
            box = np.zeros(shape, bool)
            box[tuple(slice(*ends) for ends in inside)] = True
            assert not (depends & ~box).any(), place
            # Where less than all is claimed, no less would do; of places that is said of all channels together.
            unmoved = kind.axis_sources(step, position) == [(axis,) for axis in range(len(shape))]
            by_place = len(to) == len(shape) > 1 and unmoved
            channels = seen[(..., *place[:-1], slice(None))].any(axis=-1) if by_place else depends
            for axis, (start, stop) in enumerate(inside):
                of_axis = channels if axis < len(shape) - 1 else depends
                if (start, stop) != (0, shape[axis]) and depends.any():
                    along = np.flatnonzero(of_axis.any(axis=tuple(other for other in range(len(shape)) if other != axis)))
                    assert (start, stop) == (along.min(), along.max() + 1), (place, axis)


def test_a_claimed_range_that_is_shifted_would_be_noticed(monkeypatch):
    (step,) = steps_of(next(i for i, (entry, _) in enumerate(CASES) if entry.operation is layers.ZeroPadding2D))
    kind = kind_of(step)
    (right,) = [kind.receptive_range(step, [(2, 3), (2, 3), (0, 1)], (6, 6, 2), (7, 8, 2))]
    monkeypatch.setattr(type(kind), "receptive_range", lambda self, *_: [(a + 1, b + 1) for a, b in right])
    with pytest.raises(AssertionError):
        test_receptive_ranges_are_the_support_of_the_derivative(kind, step)


@pytest.mark.parametrize(
    "layer, arguments",
    [
        (layers.Conv2D, {"filters": 4, "kernel_size": (3, 2), "strides": 2, "padding": "same"}),
        (layers.DepthwiseConv2D, {"kernel_size": 3}),
        (layers.Conv2DTranspose, {"filters": 4, "kernel_size": 3, "strides": 2}),
        (layers.MaxPooling2D, {"pool_size": (2, 3)}),
        (layers.AdaptiveAveragePooling2D, {"output_size": (4, 3)}),
        (layers.ZeroPadding2D, {"padding": ((1, 0), (0, 2))}),
        (layers.Cropping2D, {"cropping": ((1, 0), (0, 2))}),
        (layers.UpSampling2D, {"size": (2, 3)}),
    ],
)
def test_channels_first(layer, arguments):
    """Only shapes are needed: not every machine computes with channels first."""
    steps = []
    for data_format, shape in (("channels_last", (7, 8, 2)), ("channels_first", (2, 7, 8))):
        x = keras.Input(shape)
        steps += expand(trace(keras.Model(x, layer(**arguments, data_format=data_format)(x)))).steps
    last, first = steps
    kind = kind_of(last)
    assert [kind.channel_axis(step) % 4 for step in steps] == [3, 1]
    shapes = [(step.input_specs[0].shape[1:], step.output_specs[0].shape[1:]) for step in steps]
    for row, column in np.ndindex(*shapes[0][1][:-1]):
        wanted = [(row, row + 1), (column, column + 1), (0, 1)]
        *places, channels = kind.receptive_range(last, wanted, *shapes[0])
        assert kind.receptive_range(first, [wanted[2], *wanted[:2]], *shapes[1]) == [channels, *places]


def test_wrappers_convolve_where_what_they_wrap_does():
    x = keras.Input((3, 6, 6, 2))
    for layer, convolves, axis in (
        (layers.TimeDistributed(layers.Conv2D(4, 3)), True, -1),
        (layers.TimeDistributed(layers.Dense(4)), False, -1),
        (layers.TimeDistributed(layers.ZeroPadding2D(data_format="channels_first")), False, -3),
        (layers.SpectralNormalization(layers.Conv3D(4, 3)), True, -1),
        (layers.SpectralNormalization(layers.Dense(4)), False, -1),
    ):
        (step,) = trace(keras.Model(x, layer(x))).steps
        assert (kind_of(step).convolves(step), kind_of(step).channel_axis(step)) == (convolves, axis)
