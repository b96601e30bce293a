"""A layer may be named by its path or by the layer itself, everywhere; results have the path."""

import pickle

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai import callbacks, diagnosis, features, losses, metrics, models, openbox
from keras_xai.attribution import LRP, GradCAM, Saliency, ScoreCAM
from keras_xai.features import TSNE, Ascent, Dream
from keras_xai.graph import trace
from keras_xai.kinds.expansion import expand
from keras_xai.rules import Epsilon, Gamma, RoleComposite

X = np.random.default_rng(0).uniform(size=(24, 12, 12, 2)).astype("float32")
Y = np.arange(24) % 2


class Block(layers.Layer):
    """A block whose layers are inside its `call()`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(4, 3, activation="relu", name="conv")
        self.last = layers.Conv2D(4, 3, name="last")

    def call(self, x):
        return self.last(self.conv(x))


class Subclassed(keras.Model):
    """A model whose layers are inside its `call()`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.block = Block(name="block")
        self.pool = layers.GlobalAveragePooling2D(name="pool")
        self.head = layers.Dense(2, activation="softmax", name="head")

    def call(self, x):
        return self.head(self.pool(self.block(x)))


def subclassed():
    keras.utils.set_random_seed(0)
    model = Subclassed()
    model(X[:1])
    return model, model.block.conv, "block/conv"


def nested():
    keras.utils.set_random_seed(0)
    conv = layers.Conv2D(4, 3, activation="relu", name="conv")
    backbone = keras.Sequential([keras.Input((12, 12, 2)), conv], name="backbone")
    model = keras.Sequential(
        [keras.Input((12, 12, 2)), backbone, layers.GlobalAveragePooling2D(), layers.Dense(2, activation="softmax")]
    )
    return model, conv, "backbone/conv"


def in_block():
    keras.utils.set_random_seed(0)
    block = Block(name="block")
    model = keras.Sequential([keras.Input((12, 12, 2)), block, layers.GlobalAveragePooling2D(), layers.Dense(2)])
    return model, block.conv, "block/conv"


# Each returns something that is compared by value.
USES = {
    "GradCAM": lambda model, layer: GradCAM(model, layer=layer)(X, target=1),
    "ScoreCAM": lambda model, layer: ScoreCAM(model, layer=layer)(X[:2], target=1),
    "LRP": lambda model, layer: LRP(
        model, composite=RoleComposite(dense=Epsilon(), convolution=Epsilon(), layers={layer: Gamma(0.5)})
    )(X, target=1),
    "OpenBox": lambda model, layer: openbox.OpenBox(model, layer=layer)(X[:2]).coef,
    "activations": lambda model, layer: features.activations(model, X, [layer]),
    "tsne_map": lambda model, layer: features.tsne_map(model, X, layer=layer, perplexity=5, seed=0),
    "extreme_examples": lambda model, layer: features.extreme_examples(model, X, layer=layer, k=2),
    "maximize_activation": lambda model, layer: features.maximize_activation(
        model, 1, layer=layer, ascent=Ascent(steps=2), seed=0
    ),
    "receptive_field": lambda model, layer: features.receptive_field(model, layer, (1, 2)),
    "deep_dream": lambda model, layer: features.deep_dream(
        model, X[:1], layers={layer: 1}, dream=Dream(octaves=1, steps=2), seed=0
    ),
    "diagnose": lambda model, layer: (
        diagnosis.diagnose(
            model, X, Y, [layer], protocol=diagnosis.Protocol(repeats=1, tsne=TSNE(perplexity=5, iterations=260)), verbose=0
        ).layers
    ),
}


def _same(one, other):
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


@pytest.mark.parametrize("use", USES)
def test_a_layer_is_the_same_as_its_path(use):
    model, layer, path = in_block()
    assert _same(USES[use](model, layer), USES[use](model, path))
    other = "block/last"
    assert not _same(USES[use](model, layer), USES[use](model, other))  # what is compared depends on the layer


@pytest.mark.parametrize("build", [subclassed, nested, in_block])
def test_layers_inside_models_and_blocks(build):
    model, layer, path = build()
    assert expand(trace(model)).path_of(layer) == path
    assert list(features.activations(model, X, [layer])) == [path]
    assert GradCAM(model, layer=layer)(X, target=1) == GradCAM(model, layer=path)(X, target=1)


def test_a_nested_model_is_a_layer_too():
    model, _, path = nested()
    backbone = model.get_layer("backbone")
    (found,) = features.activations(model, X, [backbone]).values()
    np.testing.assert_array_equal(found, features.activations(model, X, [path])[path])


@pytest.mark.parametrize("build", [nested, in_block])
def test_results_have_the_path(build):
    model, layer, path = build()
    assert features.extreme_examples(model, X, layer=layer, k=2).layer == path
    assert features.reconstruct(model, X[:1], layer=layer).layer == path
    found = features.maximize_activation(model, 0, layer=layer, ascent=Ascent(steps=1), seed=0)
    assert found.layer == path and path in repr(found)


def test_metrics_losses_and_callbacks_take_layers():
    model, layer, path = nested()
    method = Saliency(model)
    explanation = method(X[:3])
    metric = metrics.ModelParameterRandomization(model, method, layers=[layer], seed=0)
    assert list(metric.similarities(explanation)) == [path]
    assert list(losses.fbi_penalty(model, X, Y, layers=[layer], per_layer=True)) == [path]
    wrapped = models.FBIModel(model, layers=[layer])
    assert wrapped.get_config()["layers"] == [path]
    statistics, hits = callbacks.ActivationStatistics(X, [layer]), callbacks.NeighborhoodHit(X, Y, [layer])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, callbacks=[statistics, hits], verbose=0)
    assert list(statistics.statistics) == [path] and list(hits.hits) == [path]


def test_a_loss_is_saved_with_paths():
    model, layer, path = nested()
    loss = losses.FBILoss("sparse_categorical_crossentropy", layers=[layer])
    with pytest.raises(ValueError, match="Expected `layers` by their paths to save the loss before it was called"):
        loss.get_config()
    loss(model, X, Y)
    assert loss.get_config()["layers"] == [path]


@pytest.mark.parametrize(
    "make",
    [
        lambda model, layer: GradCAM(model, layer=layer),
        lambda model, layer: LRP(
            model, composite=RoleComposite(dense=Epsilon(), convolution=Epsilon(), layers={layer: Gamma(0.5)})
        ),
    ],
)
def test_methods_of_layers_are_pickled(make):
    model, layer, _ = nested()
    method = make(model, layer)
    assert pickle.loads(pickle.dumps(method))(X, target=1) == method(X, target=1)


def test_boxes_of_layers_are_pickled():
    model, layer, _ = nested()
    box = openbox.OpenBox(model, layer=layer)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(box))(X[:2]).coef, box(X[:2]).coef)


def test_layers_that_name_nothing_or_too_much():
    x = keras.Input((12, 12, 2))
    twice = layers.Conv2D(2, 3, padding="same", name="twice")
    model = keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(twice(twice(x)))))
    with pytest.raises(ValueError, match=r"calls once.*called 2 times, as \['twice', 'twice:1'\]. Give the path of one"):
        GradCAM(model, layer=twice)
    GradCAM(model, layer="twice:1")  # the advice works
    with pytest.raises(
        ValueError, match=r"Expected a layer that the model calls.*name=twic\b.*The nearest paths are \['twice'"
    ):
        GradCAM(model, layer=layers.Conv2D(2, 3, name="twic"))
    with pytest.raises(ValueError, match="a string such as 'twice', or the layer itself. Received: layer=3"):
        GradCAM(model, layer=3)
    model, layer, path = nested()
    with pytest.raises(ValueError, match=r"Expected different layers.*\['backbone/conv', 'backbone/conv'\]"):
        features.activations(model, X, [layer, path])
    recurrent = layers.LSTM(3, name="recurrent")
    model = keras.Sequential([keras.Input((4, 2)), recurrent])
    with pytest.raises(ValueError, match=r"output can be reached.*inside 'recurrent' \(LSTM\). Choose 'recurrent'"):
        features.activations(model, np.ones((1, 4, 2)), [recurrent.cell])
