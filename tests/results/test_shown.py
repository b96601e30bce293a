"""Results that hold a network: how they show themselves, and parts of linear pieces."""

import keras
import numpy as np
import pytest

from keras_xai.openbox import OpenBox, merge_regions
from keras_xai.report.figure import ShownFigure


@pytest.fixture(scope="module")
def box():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return OpenBox(
        keras.Sequential([keras.Input((2,)), layers.Dense(8, "relu"), layers.Dense(6, "relu"), layers.Dense(3, "softmax")]),
        dtype="float64",
        batch_size=4,
    )


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(10, 2))


@pytest.fixture(scope="module")
def shown(box, x):
    return {
        "LinearPieces": box(x, verbose=0),
        "Line": box.line(x[0], x[1], verbose=0),
        "Plane": box.plane(*x[:3], verbose=0),
        "RegionGroups": merge_regions(box, x, 3, verbose=0),
    }


@pytest.mark.parametrize("name", ["LinearPieces", "Line", "Plane", "RegionGroups"])
def test_one_line_and_a_page(shown, name):
    result = shown[name]
    assert repr(result).startswith(f"<{name} of {len(result)} ") and len(repr(result)) < 200
    page = result._repr_html_()
    assert f"{name} of {len(result)} " in page and ("<img" in page) == (name in ("Line", "Plane"))


def test_plots(shown, x):
    figures = [shown["Line"].plot(class_names=list("abc")), shown["Plane"].plot(by_layer=True)]
    figures.append(shown["RegionGroups"].plot(x, resolution=10))
    assert all(isinstance(figure, ShownFigure) for figure in figures)


@pytest.mark.parametrize("index", [slice(2, 7), [8, 1], -1, np.arange(10) % 3 == 0])
def test_parts_of_linear_pieces(shown, box, x, index):
    whole, numbers = shown["LinearPieces"], np.atleast_1d(np.arange(10)[index])
    part, anew = whole[index], box(x[numbers], verbose=0)
    assert len(part) == len(numbers) and len(whole) == 10
    for name in ("x", "coef", "intercept", "scores", "outputs", "region_id"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[numbers])
    np.testing.assert_allclose(part.coef, anew.coef, rtol=1e-12)
    directions = np.ones((len(part), 2))
    np.testing.assert_allclose(part.exit_distance(directions), anew.exit_distance(directions), rtol=1e-9)
    np.testing.assert_allclose(part.radius(verbose=0), whole.radius(verbose=0)[numbers], rtol=1e-9)
    np.testing.assert_allclose(part.predict(part.x), part.scores, atol=1e-12)
    np.testing.assert_allclose(part.decision_features(), whole.decision_features()[numbers], rtol=1e-12)
    facets = part.polytope(0, bounds=(-9, 9)).facets(verbose=0)
    np.testing.assert_allclose(facets.distance, whole.polytope(int(numbers[0]), bounds=(-9, 9)).facets(verbose=0).distance)


def test_parts_that_are_not_there(shown):
    for index in (10, -11, "a"):
        with pytest.raises(IndexError):
            shown["LinearPieces"][index]
