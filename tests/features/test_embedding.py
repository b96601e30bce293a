"""Maps put samples of a class near each other where the layer does, and repeat by a seed."""

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.neighbors import KNeighborsClassifier

from keras_xai.features.embedding import tsne_map


@pytest.fixture(scope="module")
def network(trained):
    return trained("cnn")


@pytest.fixture(scope="module")
def path(network):
    return next(layer.name for layer in network.layers if isinstance(layer, layers.Conv2D))


@pytest.fixture(scope="module")
def some(digits):
    images, labels = digits
    return images[:250], labels[:250]


@pytest.fixture(scope="module")
def found(network, path, some):
    return tsne_map(network, some[0], layer=path, perplexity=15, seed=1)


def agreement(points, labels):
    """How often the five nearest others have the label."""
    neighbors = KNeighborsClassifier(6).fit(points, labels).kneighbors(points, return_distance=False)[:, 1:]
    return (labels[neighbors] == labels[:, None]).mean()


def test_classes_are_apart(found, some):
    assert found.points.shape == (250, 2) and found.divergence > 0
    assert 0.9 < found.explained < 1  # 384 entries, of which 50 components are kept
    assert agreement(found.points, some[1]) > 0.8
    assert agreement(np.random.default_rng(1).permutation(found.points), some[1]) < 0.2


def test_neighbors_in_the_layer_are_neighbors_on_the_map(found, network, path, some):
    from sklearn.manifold import trustworthiness

    vectors = keras.Model(network.inputs, network.get_layer(path).output).predict(some[0], verbose=0).reshape(250, -1)
    assert trustworthiness(vectors, found.points, n_neighbors=10) > 0.9
    assert trustworthiness(vectors, np.random.default_rng(1).permutation(found.points), n_neighbors=10) < 0.6


def test_seeds_repeat_and_leave_the_global_state(found, network, path, some):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    # In batches of the same size: what rounding makes of others grows from one iteration of t-SNE to the next.
    again = tsne_map(network, some[0], layer=path, perplexity=15, seed=1)
    np.testing.assert_allclose(again.points, found.points, atol=1e-3 * np.abs(found.points).max())
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_narrow_layers_keep_all():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, name="hidden"), layers.Dense(1, name="score")])
    x = np.random.default_rng(1).normal(size=(20, 3))
    for layer in ("hidden", "score"):
        assert tsne_map(model, x, layer=layer, perplexity=4, seed=0).explained == 1
    for options, message in (
        ({"layer": "hiden"}, r"Received: path='hiden'. The nearest paths are \['hidden'"),
        ({"layer": ["hidden"]}, r"path of one layer, or the layer itself. Received: layer=\['hidden'\]"),
        ({"layer": "hidden", "perplexity": 20}, "less than a third of the number of samples. Received: perplexity=20 and 20"),
        ({"layer": "hidden", "perplexity": 0}, "perplexity=0"),
        ({"layer": "hidden", "verbose": 4}, "verbose=4"),
    ):
        with pytest.raises(ValueError, match=message):
            tsne_map(model, x, **options)
    for bad, message in (
        (x[:0], "at least one sample"),
        (np.full((9, 3), np.nan), "NaN or infinity"),
        (x * 0, "with equal activations"),
    ):
        with pytest.raises(ValueError, match=message):
            tsne_map(model, bad, layer="hidden", perplexity=4)
    model.layers[0].bias.assign([np.nan] * 4)
    with pytest.raises(ValueError, match="activations of 'hidden' are NaN or infinite for sample 0"):
        tsne_map(model, x, layer="hidden", perplexity=4)
