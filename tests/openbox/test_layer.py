"""Pieces as functions of a hidden layer's output."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai.graph import trace
from keras_xai.graph.split import split
from keras_xai.openbox import OpenBox
from tests.slow import quickly
from tests.tolerance import rounding
from tests.zoo import in_dtype


def _rest(model, layer):
    """The second half of a sequential model, as a model of its own."""
    return keras.Model(model.get_layer(layer).output, model.outputs)


@pytest.mark.parametrize("number", quickly([1, 3, 4], 3))
def test_pieces_are_those_of_the_rest_of_the_model(number, trained, digits):
    model, x = trained("cnn"), digits[0][1500:1520]
    name = model.layers[number].name
    features = keras.Model(model.inputs, model.get_layer(name).output)(x).numpy()
    inner = OpenBox(model, layer=name)(x, verbose=0)
    expected = OpenBox(_rest(model, name))(features, verbose=0)
    np.testing.assert_allclose(inner.x, features, atol=1e-12)
    np.testing.assert_allclose(inner.coef, expected.coef, atol=1e-12)
    np.testing.assert_allclose(inner.scores, expected.scores, atol=1e-12)
    atol = rounding("float64", terms=200)
    np.testing.assert_allclose(inner.radius(verbose=0), expected.radius(verbose=0), rtol=1e-9, atol=atol)
    np.testing.assert_array_equal(inner.region_id, expected.region_id)
    assert inner.decision_features().shape == features.shape


def test_later_layers_have_fewer_regions(trained, digits):
    x = digits[0][1200:1700]
    counts = [
        len(set(OpenBox(trained("mlp"), layer=layer)(x, verbose=0).region_id)) for layer in (None, _hidden(trained("mlp"), 1))
    ]
    assert counts[0] > 1.5 * counts[1] > 0


def _hidden(model, number):
    return [layer.name for layer in model.layers if isinstance(layer, layers.Dense)][number]


def test_layers_before_need_not_be_piecewise_linear():
    keras.utils.set_random_seed(0)
    with in_dtype("float64"):
        model = keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(5, "tanh"),
                layers.LayerNormalization(name="norm"),
                layers.Dense(4, "relu"),
                layers.Dense(2),
            ]
        )
    x = np.random.default_rng(0).normal(size=(7, 6))
    local = OpenBox(model, layer="norm")(x, verbose=0)
    np.testing.assert_allclose(local.scores, model(x), atol=1e-12)
    step = local.exit_distance(np.ones_like(local.x)).clip(max=1)[:, np.newaxis]
    rest = _rest(model, "norm")
    np.testing.assert_allclose(local.predict(local.x + 0.9 * step), rest(local.x + 0.9 * step), atol=1e-12)
    with pytest.raises(ValueError, match="tanh"):
        OpenBox(model)


def test_a_layer_inside_a_nested_model(trained, digits):
    model, x = trained("nested"), digits[0][1500:1505]
    path = next(step.path for step in trace(model).steps if isinstance(step.operation, layers.MaxPooling2D))
    local = OpenBox(model, layer=path)(x, verbose=0)
    assert path.startswith("backbone/block/") and local.x.shape == (5, 3, 3, 4)
    np.testing.assert_allclose(local.scores, OpenBox(model)(x, verbose=0).scores, atol=1e-12)


def test_a_layer_that_some_of_the_output_bypasses_is_refused(trained):
    model = trained("residual")
    names = [layer.name for layer in model.layers if isinstance(layer, layers.Conv2D)]
    with pytest.raises(
        ValueError,
        match=rf"the whole output of the model passes. Received: '{names[1]}'.*depends on the model's input through",
    ):
        OpenBox(model, layer=names[1])
    with pytest.raises(ValueError, match="nearest paths"):
        OpenBox(model, layer="nowhere")


def test_split_parts_make_the_whole(trained):
    graph = trace(trained("cnn"))
    before, after = split(graph, graph.steps[3].path)
    assert [step.path for step in before.steps + after.steps] == [step.path for step in graph.steps]
    assert before.outputs == after.inputs == graph.steps[3].outputs


def test_wrong_samples_are_refused_as_the_model_takes_them(trained):
    model = trained("cnn")
    box = OpenBox(model, layer=model.layers[3].name)
    with pytest.raises(ValueError, match=r"Expected an array of shape \(None, 8, 8, 1\)"):
        box(np.zeros((2, 4, 4, 6)))


def test_lines_and_planes_between_the_features_of_inputs(trained, digits):
    model, x = trained("cnn"), digits[0][1500:1503]
    box = OpenBox(model, layer=model.layers[4].name)
    features = box(x, verbose=0).x
    way = box.line(x[0], x[1], verbose=0)
    np.testing.assert_allclose(way.inputs(np.array([0.0, 1.0])), features[:2], atol=1e-12)
    assert way.integrated_gradients(verbose=0).convergence_delta < 1e-9
    assert box.plane(*x, limits=((0, 0.2), (0, 0.2)), verbose=0).gap < 1e-9
