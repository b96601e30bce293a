"""t-SNE keeps neighbors as scikit-learn's does, repeats by a seed, and is told what its settings say."""

import inspect

import numpy as np
import pytest
from sklearn import manifold
from sklearn.datasets import load_digits

from keras_xai.statistics.neighborhood import neighborhood_hit
from keras_xai.statistics.tsne import TSNE, principal_components

IMAGES, LABELS = (array[:200] for array in load_digits(return_X_y=True))


def test_maps_are_as_good_as_those_of_another_library():
    found = TSNE(perplexity=12, iterations=400, initialization="random").embed(IMAGES, seed=3)
    # Called `n_iter` before version 1.5.
    name = "max_iter" if "max_iter" in inspect.signature(manifold.TSNE).parameters else "n_iter"
    peer = manifold.TSNE(perplexity=12, init="random", random_state=3, **{name: 400})
    hits = neighborhood_hit(found.points, LABELS), neighborhood_hit(peer.fit_transform(IMAGES), LABELS)
    assert found.points.shape == (200, 2) and found.points.dtype == "float64"
    assert hits == pytest.approx([neighborhood_hit(IMAGES, LABELS)] * 2, abs=0.06)
    assert found.divergence == pytest.approx(peer.kl_divergence_, rel=0.1)


def test_seeds():
    tsne = TSNE(perplexity=12, iterations=400, initialization="random")
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    points = tsne.embed(IMAGES, seed=3).points
    np.testing.assert_array_equal(tsne.embed(IMAGES, seed=3).points, points)
    assert np.abs(tsne.embed(IMAGES, seed=4).points - points).max() > 1
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
