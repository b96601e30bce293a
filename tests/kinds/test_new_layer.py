"""A layer that the package has never seen is understood everywhere after one kind and one `register` call."""

import dataclasses
import importlib.util
import pathlib
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_xai.attribution import LRP, AlphaBeta, Epsilon, EpsilonPlus, EpsilonPlusFlat, Flat, Gamma, GradCAM, RoleComposite
from keras_xai.features import activations, receptive_field
from keras_xai.graph import trace
from keras_xai.kinds import Affine, Composite, Example, entries, register
from keras_xai.kinds.expansion import kind_of
from keras_xai.losses import fbi_penalty
from keras_xai.openbox import OpenBox, UnsupportedLayerError
from tests.attribution.grid import METHODS, OF_ATTENTION, Case
from tests.slow import quickly

X = np.random.default_rng(0).normal(size=(4, 8, 8, 2)).astype("float32")


class Stencil(layers.Layer):
    """A 3 x 3 convolution in a backend's own functions, its weights under names of its own."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.taps = self.add_weight(shape=(3, 3, input_shape[-1], self.units), name="taps")
        self.offset = self.add_weight(shape=(self.units,), name="offset")

    def call(self, x):
        return tf.nn.conv2d(x, ops.convert_to_tensor(self.taps), 1, "VALID") + ops.convert_to_tensor(self.offset)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[1] - 2, input_shape[2] - 2, self.units)


class StencilKind(Affine):
    """A convolution with windows of 3 x 3."""

    def kernels(self, step):
        return [step.operation.taps]

    def bias(self, step):
        return step.operation.offset

    def kernel_channels(self, step):
        return (-1,)

    def convolves(self, step):
        return True

    def receptive_range(self, step, wanted, shape, output_shape):
        return [*((start, stop + 2) for start, stop in wanted[:-1]), (0, shape[-1])]


EXAMPLE = Example((6, 6, 2), lambda x: Stencil(3)(x))


def network(convolution):
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 2))
    y = convolution(4, name="conv1")(x)
    y = layers.MaxPooling2D(2, 1)(layers.ReLU()(layers.BatchNormalization()(y)))
    y = layers.ReLU()(convolution(5, name="conv2")(y))
    return keras.Model(x, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(y)))


def twins():
    """A network of the new layer, and the same of `Conv2D`."""
    new, known = network(Stencil), network(lambda units, name: layers.Conv2D(units, 3, name=name))
    rng = np.random.default_rng(1)
    new.set_weights([rng.normal(0.3, 0.5, size=weight.shape) ** 2 + 0.1 for weight in new.get_weights()])
    for layer in new.layers:
        if "conv" in layer.name:
            layer.set_weights([rng.normal(scale=0.5, size=weight.shape) for weight in layer.get_weights()])
    known.set_weights(new.get_weights())
    return new, known


def same(one, other):
    np.testing.assert_allclose(ops.convert_to_numpy(one), ops.convert_to_numpy(other), rtol=2e-4, atol=2e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "method",
    quickly(
        [name for name in METHODS if name not in OF_ATTENTION],
        *("IntegratedGradients", "GuidedBackprop", "LRP", "DecisionFeatures", "CAM", "GradCAM", "Occlusion"),
    ),
)
def test_every_attribution_method_takes_a_new_layer(method):
    register(Stencil, StencilKind(), EXAMPLE)
    case = Case("new", network, X)
    one, other = (METHODS[method](model, case)(X, 1).values for model in twins())
    same(one, other)
    assert np.any(one)


def test_default_layers_and_weights_of_rules():
    register(Stencil, StencilKind(), EXAMPLE)
    new, known = twins()
    same(GradCAM(new)(X, 1).values, GradCAM(known)(X, 1).values)
    rules = {"dense": Epsilon(), "convolution": Gamma(), "first": Flat(), "pooling": AlphaBeta()}
    for composite in (EpsilonPlusFlat(), RoleComposite(**rules)):
        same(*(LRP(model, composite=composite)(X, 1).values for model in (new, known)))


def test_openbox_the_penalty_and_features_take_a_new_layer():
    register(Stencil, StencilKind(), EXAMPLE)
    new, known = twins()
    one, other = (OpenBox(model)(X, verbose=0) for model in (new, known))
    same(one.coef, other.coef)
    same(one.nearest_wall(verbose=0).distance, other.nearest_wall(verbose=0).distance)
    for rule in ("z", "zplus"):
        parts = [fbi_penalty(model, X, np.array([0, 1, 2, 0]), rule=rule, per_layer=True) for model in (new, known)]
        assert list(parts[0])[1:] == list(parts[1])[1:] == ["conv1", "conv2"]
        for path in ("conv1", "conv2"):
            same(parts[0][path], parts[1][path])
    found, expected = activations(new, X), activations(known, X)
    assert list(found) == list(expected) == ["conv1", "conv2"]
    for path in found:
        same(found[path], expected[path])
    assert (
        receptive_field(new, "conv2", (0, 0)) == receptive_field(known, "conv2", (0, 0)) == (*[slice(0, 6)] * 2, slice(0, 2))
    )
    assert receptive_field(new, "conv1", (1, 5)) == (slice(1, 4), slice(5, 8), slice(0, 2))


def test_the_table_of_layers_shows_a_new_layer():
    pytest.importorskip("sphinx")
    register(Stencil, StencilKind(), EXAMPLE)
    path = pathlib.Path(__file__).parents[2] / "docs" / "_ext" / "layer_tables.py"
    spec = importlib.util.spec_from_file_location("layer_tables", path)
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    (table,) = tables.LayerTable.from_code(types.SimpleNamespace(arguments=["affine"]))
    assert "A convolution with windows of 3 x 3" in table.astext() and "Stencil" in table.astext()


def test_what_a_kind_does_not_say_is_not_known():
    """The control: the facts are the kind's, and without one the layer is refused."""
    new, _ = twins()
    with pytest.raises(UnsupportedLayerError, match="'conv1' .Stencil.: its kind is not known"):
        OpenBox(new)
    register(Stencil, Affine(), EXAMPLE)
    assert receptive_field(new, "conv1", (1, 5)) == (slice(0, 8), slice(0, 8), slice(0, 2))
    with pytest.raises(ValueError, match="Expected a model with convolutional layers"):
        activations(new, X)
    with pytest.raises(UnsupportedLayerError, match="splits weights by sign, and the weights of this layer are not known"):
        LRP(new, composite=RoleComposite(dense=Epsilon(), convolution=Epsilon(), pooling=Gamma()))


def test_the_registry_is_as_it_was():
    assert Stencil not in [entry.operation for entry in entries.registry()]


class Projection(layers.Layer):
    """A dense layer that is written in `keras.ops`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.bias = self.add_weight(shape=(self.units,), name="bias")

    def call(self, x):
        return ops.matmul(x, self.kernel) + self.bias


@dataclasses.dataclass
class Pair:
    own: keras.Model
    known: keras.Model

    def set_weights(self, seed):
        rng = np.random.default_rng(seed)
        weights = [rng.normal(size=weight.shape) for weight in self.own.get_weights()]
        weights = [np.abs(each) if "variance" in v.path else each for v, each in zip(self.own.weights, weights, strict=True)]
        self.own.set_weights(weights)
        self.known.set_weights(weights)


def dense_pair(*, normalized=True):
    def build(dense):
        x = keras.Input((6,))
        y = dense(8, name="first")(x)
        y = layers.ReLU()(layers.BatchNormalization()(y) if normalized else y)
        return keras.Model(x, dense(3, name="last")(layers.ReLU()(dense(7, name="second")(y))))

    pair = Pair(build(Projection), build(layers.Dense))
    pair.set_weights(0)
    return pair


def test_products_with_a_layers_own_weights(float64):
    register(Projection, Composite(), Example((6,), lambda x: Projection(3)(x)))
    pair = dense_pair()
    x, y = np.random.default_rng(1).normal(size=(5, 6)), np.array([0, 1, 2, 0, 1])
    composites = (EpsilonPlus(), EpsilonPlusFlat(), RoleComposite(dense=AlphaBeta(), convolution=Epsilon()))
    for seed in (0, 1):  # weights are read anew, and not as they were when the layer was traced
        pair.set_weights(seed)
        one, other = (OpenBox(model)(x, verbose=0) for model in (pair.own, pair.known))
        np.testing.assert_allclose(one.coef, other.coef, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(one.predict(x), pair.own(x), rtol=1e-12)
        # The rule "zplus" of the FBI loss takes a batch normalization for part of the layer before it, unless that consists of others.
        plain = dense_pair(normalized=False)
        plain.set_weights(seed)
        for rule, each in (("z", pair), ("zplus", plain)):
            penalties = [fbi_penalty(model, x, y, rule=rule) for model in (each.own, each.known)]
            np.testing.assert_allclose(*penalties, rtol=1e-10)
        for composite in composites:
            explained = [LRP(model, composite=composite)(x, target=1) for model in (pair.own, pair.known)]
            np.testing.assert_allclose(explained[0].values, explained[1].values, rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(explained[0].convergence_delta, explained[1].convergence_delta, rtol=1e-9, atol=1e-12)


def test_a_method_follows_weights_that_change_after_it_was_made(float64):
    register(Projection, Composite(), Example((6,), lambda x: Projection(3)(x)))
    pair, x = dense_pair(), np.random.default_rng(1).normal(size=(5, 6))
    methods = [LRP(model) for model in (pair.own, pair.known)]
    before = methods[0](x, target=1).values
    pair.set_weights(7)
    one, other = (method(x, target=1).values for method in methods)
    np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
    assert not np.allclose(one, before)


@pytest.mark.parametrize("registered", [True, False])
def test_tensors_computed_from_weights_follow_the_weights(registered, float64):
    class Doubled(Projection):
        def call(self, x):
            return ops.matmul(x, 2 * ops.transpose(ops.transpose(self.kernel))) + self.bias

    if registered:
        register(Doubled, Composite(), Example((6,), lambda x: Doubled(3)(x)))
    x = keras.Input((6,))
    model = keras.Model(x, layers.ReLU()(Doubled(3)(x)))
    box, points = OpenBox(model), np.random.default_rng(1).normal(size=(5, 6))
    for seed in (0, 1):
        model.set_weights([np.random.default_rng(seed).normal(size=weight.shape) for weight in model.get_weights()])
        pieces = box(points, verbose=0)
        np.testing.assert_allclose(pieces.predict(points), model(points), rtol=1e-12, atol=1e-12)
        active = np.asarray(model(points)) > 0
        kernel = 2 * model.layers[1].get_weights()[0]
        np.testing.assert_allclose(pieces.coef, np.where(active[:, :, None], kernel.T, 0.0), rtol=1e-12)


def test_subclasses_that_override_the_call_inherit_no_facts():
    class Words(layers.Embedding):
        def call(self, x):
            return super().call(x)

    class Scores(layers.Softmax):
        def call(self, x):
            return -super().call(x)

    class Pooled(layers.MaxPooling1D):
        def call(self, x):
            return -super().call(x)

    for layer, shape in ((Words(5, 2), (3,)), (Scores(), (4,)), (Pooled(), (4, 2))):
        x = keras.Input(shape)
        (step,) = trace(keras.Model(x, layer(x))).steps
        kind = kind_of(step)
        assert not kind.looks_up(step) and kind.link(step) is None and kind.pools is None
        assert not kind.nonnegative(step) and not kind.keeps_sign(step)
        assert "it overrides `call()`" in kind.refusal(step)
