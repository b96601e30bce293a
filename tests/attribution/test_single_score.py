"""Models of one score: a sigmoid has two classes, a regression has none."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_xai.attribution import Explanation, Saliency
from keras_xai.metrics import Deletion
from tests.attribution.grid import CASES, METHODS, OF_ATTENTION, model_of, transformer
from tests.slow import quickly

X = np.array([[5.0, 5.0], [-1.0, -1.0]])


def model(activation, name="head"):
    head = keras.layers.Dense(1, activation, kernel_initializer="ones", name=name)
    return keras.Sequential([keras.Input((2,)), head])


@pytest.mark.parametrize("name", quickly([*METHODS], "GradientTimesInput", "DeepLIFT", "DecisionFeatures", "Occlusion", "LRP"))
def test_classes_of_one_sigmoid(name):
    """1 is the score, as by default, and 0 is its negative: as two scores [-s, s] of which a class is explained."""
    case = CASES["single sigmoid"]
    if name in OF_ATTENTION:
        case = dataclasses.replace(case, build=lambda: transformer("sigmoid", units=1))
    network = model_of(case)
    method, x = METHODS[name](network, case), case.x[:3]
    found = [method(x, target) for target in (None, 1, 0, [1, 0, 1])]
    assert [each.target.tolist() for each in found] == [[1, 1, 1], [1, 1, 1], [0, 0, 0], [1, 0, 1]]
    np.testing.assert_array_equal(found[0].values, found[1].values)
    two = keras.layers.Dense(2, name="two")
    body = keras.Model(network.inputs, two(network.get_layer("head").input))
    weights, bias = network.get_layer("head").get_weights()
    two.set_weights([np.concatenate([-weights, weights], axis=1), np.concatenate([-bias, bias])])
    if name != "DecisionFeatures":  # of two scores it explains the difference
        for each, target in zip(found[1:], (1, 0, [1, 0, 1]), strict=True):
            expected = METHODS[name](body, case)(x, target).values
            np.testing.assert_allclose(each.values, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    else:
        np.testing.assert_allclose(found[2].values, -found[1].values, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found[0].probability, network(x)[:, 0], atol=1e-6)
    assert found[0].prediction is None


def test_probabilities_of_class_0_are_the_rest():
    case = CASES["single sigmoid"]
    network = model_of(case)
    found = METHODS["GradientTimesInput"](network, case)(case.x, 0)
    _, curve = Deletion(network, steps=2).curve(found)
    np.testing.assert_allclose(curve[:, 0], 1 - np.asarray(network(case.x))[:, 0], atol=1e-6)


def test_rows_say_what_is_explained_and_predicted(tmp_path):
    binary = Saliency(model("sigmoid"))(X)
    labels = [axes.get_ylabel() for axes in binary.plot(class_names=["negative", "positive"]).axes[:2]]
    assert labels == ["positive (p = 1)", "positive (p = 0.119)\npredicted: negative\n(p = 0.881)"]
    labels = [axes.get_ylabel() for axes in Saliency(model("sigmoid"))(X, [1, 0]).plot(class_names=["no", "yes"]).axes[:2]]
    assert labels == ["yes (p = 1)", "no (p = 0.881)"]
    other = "class 1 (p = 0.119)\npredicted: class 0\n(p = 0.881)"
    assert binary.plot().axes[1].get_ylabel() == other
    assert binary.plot(class_names=["ill"]).axes[1].get_ylabel().startswith("ill (p = 0.119)\npredicted: not ill")
    number = Saliency(model(None))(X)
    assert [axes.get_ylabel() for axes in number.plot().axes[:2]] == ["prediction = 10", "prediction = -2"]
    assert number.plot(class_names=["price"]).axes[0].get_ylabel() == "price = 10"
    assert "class 0" not in number._repr_html_()
    assert [axes.get_ylabel() for axes in number[1:].plot().axes[:1]] == ["prediction = -2"]
    loaded = Explanation.load(binary.save(tmp_path / "binary.npz") or tmp_path / "binary.npz")
    assert loaded == binary and loaded.plot().axes[1].get_ylabel() == other


def test_several_outputs_of_one_score():
    x = keras.Input((2,))
    outputs = {"sick": keras.layers.Dense(1, "sigmoid", name="sick")(x), "cost": keras.layers.Dense(1, name="cost")(x)}
    network = keras.Model(x, outputs)
    found = Saliency(network)(X, {"sick": 0, "cost": None})
    assert list(found.probability) == ["sick"] and list(found.prediction) == ["cost"]
    probability, cost = 1 - float(network(X)["sick"][0, 0]), float(network(X)["cost"][0, 0])
    assert found.plot().axes[0].get_ylabel() == f"sick class 0\n(p = {probability:.3g})\ncost = {cost:.3g}"


@pytest.mark.parametrize(
    "activation, target, message", [("sigmoid", 2, "from 0 to 1"), (None, 1, "from 0 to 0.*not end in a sig")]
)
def test_what_is_no_class(activation, target, message):
    with pytest.raises(ValueError, match=message):
        Saliency(model(activation))(X, target)
