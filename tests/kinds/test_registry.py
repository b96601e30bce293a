"""Every registered layer is exact on the linear piece that its kind claims, and its kind says what it is."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_xai.graph import trace
from keras_xai.kinds.entries import registry
from keras_xai.kinds.expansion import expand, kind_of, refusals
from keras_xai.network.piecewise import PiecewiseNetwork
from keras_xai.openbox import OpenBox, UnsupportedLayerError
from tests.zoo import in_dtype

pytestmark = pytest.mark.onednn

NUM_SAMPLES, NUM_POINTS = 4, 250

CASES = [(entry, example) for entry in registry() for example in entry.examples]
NAMES = [
    f"{entry.operation.__module__.split('.')[-1]}-{entry.operation.__name__}-{entry.examples.index(example)}"
    for entry, example in CASES
]
LINEAR = [(case, name) for case, name in zip(CASES, NAMES, strict=True) if case[0].kind.role not in ("smooth", "curved")]
SMOOTH = [(case, name) for case, name in zip(CASES, NAMES, strict=True) if case[0].kind.role in ("smooth", "curved")]


# TensorFlow resizes in float32 whatever the input, has no 3-D pooling in float64 on a CPU, and convolves with a constant
# in its own type only: there the model itself, not its linear piece, is off by float32's rounding.
SINGLE_PRECISION = (
    "UpSampling2D",
    "Resizing",
    "CenterCrop",
    "Resize",
    "Conv",
    "AveragePooling3D",
    "AdaptiveAveragePooling3D",
    "MaxPooling3D",
    "AdaptiveMaxPooling3D",
)


def _parametrize(cases):
    return pytest.mark.parametrize("entry, example", [case for case, _ in cases], ids=[name for _, name in cases])


def _one_of_each_kind(cases, key=type):
    """The cases, slow but for the first of each kind: others of it have its pieces, and the test above has them all."""
    seen = set()
    for (entry, example), name in cases:
        # The derivative of a split knows its shape only when it runs.
        quick = key(entry.kind) not in seen or name == "numpy-Split-0"
        seen.add(key(entry.kind))
        yield pytest.param(entry, example, id=name, marks=() if quick else pytest.mark.slow)


def _model(entry, build):
    """A model of what `build` makes, and the tolerance for its outputs."""
    single = entry.operation.__name__ in SINGLE_PRECISION
    with in_dtype("float32" if single else "float64"):
        return build(), 2e-6 if single else 1e-10


@_parametrize(LINEAR)
def test_held_networks_are_affine_and_the_model_within_their_walls(entry, example):
    keras.utils.set_random_seed(1)
    model, tolerance = _model(entry, example.model)
    network = PiecewiseNetwork(model, None, "float64")
    x, offset = np.random.default_rng(0).normal(size=(2, NUM_SAMPLES, *example.shape))
    scores, patterns, _ = network.run([ops.convert_to_tensor(x)])

    def held(points):
        values, _, walls = network.run([ops.convert_to_tensor(points)], patterns)
        inside = [(np.asarray(wall.value) >= 0).reshape(NUM_SAMPLES, -1).all(axis=1) for wall in walls]
        return np.asarray(values), np.all(inside, axis=0) if inside else np.ones(NUM_SAMPLES, bool)

    left = False
    for length in (1e-4, 0.03, 0.3, 3.0):
        values, inside = held(x + length * offset)
        actual = _outputs(model, x + length * offset)
        atol = tolerance * max(1.0, np.abs(actual).max())
        error = np.abs(values - actual).max(axis=1)
        assert (error[inside] <= atol).all()
        np.testing.assert_allclose(values + held(x - length * offset)[0], 2 * np.asarray(scores), atol=4 * atol)
        # The control: on another piece the model is another function.
        left = left or (error[~inside] > 10 * atol).any()
        assert inside.all() or length > 1e-4
    assert left or entry.kind.role not in ("gate", "select")


@pytest.mark.parametrize("entry, example", list(_one_of_each_kind(LINEAR)))
def test_linear_pieces_are_exact(entry, example):
    keras.utils.set_random_seed(1)
    model, tolerance = _model(entry, example.model)
    x = np.random.default_rng(0).normal(size=(NUM_SAMPLES, *example.shape))
    box = OpenBox(model, dtype="float64", batch_size=NUM_SAMPLES)
    local = box(x, verbose=0)
    wall = local.nearest_wall(verbose=0)
    reach = np.minimum(wall.distance, 10.0)

    offsets = np.random.default_rng(2).normal(size=(NUM_POINTS, *x.shape))
    lengths = np.linalg.norm(offsets.reshape(NUM_POINTS, NUM_SAMPLES, -1), axis=-1)
    scale = 0.999 * reach / lengths
    points = x + offsets * scale.reshape(NUM_POINTS, NUM_SAMPLES, *[1] * len(example.shape))
    actual = _outputs(model, points.reshape(-1, *example.shape)).reshape(NUM_POINTS, NUM_SAMPLES, -1)
    flat = points.reshape(NUM_POINTS, NUM_SAMPLES, -1)
    predicted = np.einsum("nkd,pnd->pnk", local.coef.reshape(NUM_SAMPLES, actual.shape[-1], -1), flat) + local.intercept
    assert np.abs(actual - predicted).max() <= tolerance * max(1.0, np.abs(actual).max())

    # The control: just beyond the wall the network is on another piece.
    near = np.isfinite(wall.distance)
    if entry.kind.role in ("gate", "select"):
        assert near.all()
    if near.any():
        step = (2 * np.where(near, wall.distance, 0)).reshape(-1, *[1] * len(example.shape)) * wall.direction
        beyond = _outputs(model, x + step)
        assert not local.contains(x + step)[near].any()
        assert (np.abs(beyond - local.predict(x + step)).max(axis=1)[near] > 10 * tolerance).all()


def _derivative(kind):
    """What tells derivatives of kinds apart: gates have one, a product with the slopes of their pieces."""
    return kind.role if kind.role == "gate" else type(kind)


FIRST = [(case, name) for case, name in LINEAR if name.endswith("-0")]


@pytest.mark.parametrize("entry, example", list(_one_of_each_kind(FIRST, _derivative)))
def test_walls_behind_the_layer(entry, example):
    """Distances through the layer: its derivative is needed forwards and backwards, from many walls and from few."""
    keras.utils.set_random_seed(2)

    def build():
        x = keras.Input(example.shape)
        hidden = keras.layers.Dense(3, activation="relu")(keras.layers.Flatten()(example.build(x)))
        return keras.Model(x, keras.layers.Dense(2)(hidden))

    model, _ = _model(entry, build)
    points = np.random.default_rng(3).normal(size=(NUM_SAMPLES, *example.shape))
    local = OpenBox(model, dtype="float64", batch_size=NUM_SAMPLES)(points, outputs=[0], verbose=0)
    wall = local.nearest_wall(verbose=0)
    assert np.isfinite(wall.distance).any()
    near = np.isfinite(wall.distance)
    np.testing.assert_allclose(local.exit_distance(wall.direction)[near], wall.distance[near], rtol=1e-6)
    step = np.where(near, wall.distance, 0).reshape(-1, *[1] * len(example.shape)) * wall.direction
    assert local.contains(points + 0.999 * step).all() and not local.contains(points + 1.001 * step)[near].any()


def _outputs(model, x):
    return np.asarray(ops.convert_to_numpy(model(x, training=False))).reshape(len(x), -1)


@_parametrize(SMOOTH)
def test_smooth_layers_are_refused_by_path_class_and_reason(entry, example):
    model = _with_head(example)
    with pytest.raises(UnsupportedLayerError) as caught:
        OpenBox(model)
    opened = [step.path for step in trace(model).steps if type(step.operation) is entry.operation]
    problem = next(
        problem
        for problem in caught.value.problems
        if problem.layer is entry.operation or problem.path.startswith(tuple(f"{path}/" for path in opened))
    )
    assert problem.path in str(caught.value)
    assert problem.layer.__name__ in str(caught.value)
    assert problem.reason in str(caught.value)


def _with_head(example):
    """The example with something after it, so that a final softmax or sigmoid is not left out as such."""
    x = keras.Input(example.shape)
    y = example.build(x)
    return keras.Model(x, keras.layers.Dense(2)(y))


@pytest.mark.parametrize("entry", registry(), ids=lambda entry: entry.operation.__name__)
def test_every_entry_has_an_example_that_uses_it(entry):
    assert entry.examples
    for example in entry.examples:
        operations = [type(step.operation) for step in trace(example.model()).steps]
        assert entry.operation in operations


@pytest.mark.parametrize("entry", registry(), ids=lambda entry: entry.operation.__name__)
def test_kinds_are_described_and_final(entry):
    assert entry.kind.role in ("affine", "merge", "shape", "gate", "select", "composite", "curved", "smooth")
    assert type(entry.kind).__doc__
    graph = expand(trace(entry.examples[0].model()), unroll=True, apart=True)
    assert bool(refusals(graph)) == (entry.kind.role in ("smooth", "curved"))
    assert all(kind_of(step).parts(step) is None for step in graph.steps)
