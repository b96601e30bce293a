"""Both libraries keep neighbors, repeat by a seed, and are told what their settings say."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_xai.statistics.neighborhood import neighborhood_hit
from keras_xai.statistics.tsne import TSNE, principal_components

IMAGES, LABELS = (array[:200] for array in load_digits(return_X_y=True))


@pytest.mark.parametrize("engine", ["openTSNE", "scikit-learn"])
def test_engines(engine):
    tsne = TSNE(perplexity=12, iterations=400, engine=engine, initialization="random")
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    found = tsne.embed(IMAGES, seed=3)
    assert found.points.shape == (200, 2) and 0 < found.divergence < 2
    assert neighborhood_hit(found.points, LABELS) == pytest.approx(neighborhood_hit(IMAGES, LABELS), abs=0.06)
    np.testing.assert_array_equal(tsne.embed(IMAGES, seed=3).points, found.points)
    assert np.abs(tsne.embed(IMAGES, seed=4).points - found.points).max() > 1
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_settings_reach_the_library():
    """Each setting changes the map: one that was not passed on would not."""
    plain = TSNE(perplexity=12, iterations=300).embed(IMAGES, seed=0).points
    for change in (
        {"perplexity": 20},
        {"iterations": 330},
        {"learning_rate": 50.0},
        {"momentum": (0.5, 0.5)},
        {"initialization": "random"},
    ):
        settings = {"perplexity": 12, "iterations": 300} | change
        assert np.abs(TSNE(**settings).embed(IMAGES, seed=0).points - plain).max() > 0.1, change
    one_unit = IMAGES.mean(axis=1, keepdims=True)  # has no second component to start from
    assert np.isfinite(TSNE(perplexity=12, iterations=300).embed(one_unit, seed=0).points).all()


def test_principal_components():
    found, explained = principal_components(IMAGES, 5, seed=0)
    assert found.shape == (200, 5)
    assert explained == pytest.approx(found.var(axis=0).sum() / IMAGES.var(axis=0).sum(), rel=1e-3)
    same, explained = principal_components(IMAGES, 64, seed=0)
    assert same is IMAGES and explained == 1


@pytest.mark.parametrize(
    "change, message",
    [
        ({"perplexity": 0.5}, "a number of at least 1. Received: perplexity=0.5"),
        ({"perplexity": float("nan")}, "perplexity=nan"),
        ({"iterations": 250}, "more than 250. Received: iterations=250"),
        ({"learning_rate": "fast"}, "'auto' or a positive number. Received: learning_rate='fast'"),
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"momentum": 0.8}, "a tuple of two numbers from 0 to below 1. Received: momentum=0.8"),
        ({"initialization": "spectral"}, "one of .'pca', 'random'.. Received: initialization='spectral'"),
        ({"engine": "cuML"}, "engine='cuML'"),
        ({"engine": "scikit-learn", "momentum": (0.8, 0.8)}, "has a fixed momentum"),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(ValueError, match=message):
        TSNE(**change)


def test_too_few_vectors():
    with pytest.raises(
        ValueError, match="less than a third of the number of samples. Received: perplexity=30.0 and 90 samples"
    ):
        TSNE().embed(IMAGES[:90], seed=0)
