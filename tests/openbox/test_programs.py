"""The compiled computations of linear pieces, one score after the other and all at once."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai.network.piecewise import PiecewiseNetwork
from keras_xai.openbox.programs import Programs

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def _two_inputs():
    first, second = keras.Input((4,)), keras.Input((3,))
    hidden = layers.Dense(7, "relu")(layers.Concatenate()([first, second]))
    largest = layers.Maximum()([layers.Dense(5)(hidden), layers.Dense(5)(second)])
    joined = layers.Concatenate()([layers.LeakyReLU()(largest), layers.PReLU(alpha_initializer="ones")(hidden)])
    return keras.Model([first, second], layers.Dense(6, "softmax")(layers.BatchNormalization()(joined)))


def _images():
    body = [layers.Conv2D(3, 2, activation="relu"), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(6)]
    return keras.Sequential([keras.Input((5, 5, 2)), *body])


def _samples(model, count):
    return [np.random.default_rng(0).normal(size=(count, *each.shape[1:])) for each in model.inputs]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("chosen", [[0, 1, 2, 3, 4, 5], [4], [5, 5, 0]])
def test_all_scores_at_once_are_those_one_after_the_other(dtype, chosen):
    keras.utils.set_random_seed(0)
    model = _two_inputs()
    programs = Programs(PiecewiseNetwork(model, None, dtype))
    x = [each.astype(dtype) for each in _samples(model, 9)]
    outputs = np.random.default_rng(1).permuted(np.tile(np.asarray(chosen, "int32"), (9, 1)), axis=1)
    signature = [((None, len(chosen)), "int32")]
    (scores, *found), (expected_scores, *expected) = (
        keras.tree.map_structure(np.asarray, programs._program(name, function, x, signature)(x, outputs))
        for name, function in (("at once", programs._pieces_at_once), ("one by one", programs._pieces))
    )
    np.testing.assert_array_equal(scores, expected_scores)
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        np.testing.assert_allclose(one, other, atol=TOLERANCE[dtype] * max(np.abs(other).max(initial=0), 1))


@pytest.mark.parametrize(
    "make, count, name", [(_two_inputs, 3, "pieces at once"), (_two_inputs, 65, "pieces"), (_images, 3, "pieces")]
)
def test_what_is_computed_at_once(make, count, name, monkeypatch):
    model, names = make(), []
    programs = Programs(PiecewiseNetwork(model, None, "float32"))
    program = programs._program
    monkeypatch.setattr(programs, "_program", lambda name, *rest: names.append(name) or program(name, *rest))
    programs.pieces([each.astype("float32") for each in _samples(model, count)], np.zeros((count, 2), "int32"))
    assert names == [name]
