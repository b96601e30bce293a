"""Metrics that explain again: of moved samples, of a model without its weights, of another class."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.attribution import GradientTimesInput, IntegratedGradients, Saliency, SmoothGrad
from keras_xai.metrics import MaxSensitivity, ModelParameterRandomization, RandomLogit
from keras_xai.metrics.similarity import cosine, rank_correlation
from tests.metrics.examples import Edges, Watching, convolutional, explained, linear
from tests.zoo import in_float32

pytestmark = pytest.mark.onednn

IMAGES = np.random.default_rng(0).normal(size=(6, 6, 5, 2)).astype("float32")


@pytest.fixture(scope="module")
def model():
    return convolutional()


@pytest.fixture(scope="module")
def saliency(model):
    return Saliency(model)


def weights_of(model):
    return [variable.numpy().tobytes() for variable in model.variables]


# Max-sensitivity


def test_the_gradient_of_a_linear_model_is_not_sensitive():
    method = Saliency(linear(np.random.default_rng(1).normal(size=(6, 5, 2))))
    np.testing.assert_array_equal(MaxSensitivity(method, seed=0)(method(IMAGES)), 0)


def test_sensitivity_of_a_square_by_a_loop():
    """The gradient of the sum of squares is twice the sample, so that it moves as the sample does."""
    x = keras.Input((4,))
    method = Saliency(keras.Model(x, ops.sum(ops.square(x), axis=1, keepdims=True)))
    samples = np.random.default_rng(1).normal(size=(3, 4)).astype("float32")
    expected = []
    for i, sample in enumerate(samples):
        reach = 0.1 * (sample.max() - sample.min())
        draws = [np.random.default_rng((7, 0, number, i)).uniform(-1, 1, 4) for number in range(5)]
        expected.append(max(np.linalg.norm(reach * draw) for draw in draws) / np.linalg.norm(sample))
    found = MaxSensitivity(method, radius=0.1, num_samples=5, seed=7)(method(samples))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert (MaxSensitivity(method, radius=0.2, num_samples=5, seed=7)(method(samples)) > 1.5 * found).all()


def test_the_class_and_the_baseline_stay(model):
    method = IntegratedGradients(model, steps=4)
    explanation = method(IMAGES, target=[0, 1, 2, 0, 1, 2], baseline=0.5)
    still = MaxSensitivity(method, radius=1e-7, num_samples=1, seed=0)(explanation)
    assert (still < 1e-3).all()
    # They matter: the predicted classes, and another baseline, have other values.
    for other in (method(IMAGES, baseline=0.5), method(IMAGES, target=[0, 1, 2, 0, 1, 2])):
        assert not np.allclose(other.values, explanation.values, atol=1e-3)


def test_sensitivity_of_nothing():
    x = keras.Input((2,))
    method = Saliency(keras.Model(x, ops.sum(ops.relu(x), axis=1, keepdims=True)))
    dead, at_the_edge = np.array([[-5.0, -6.0]], "float32"), np.array([[-0.01, -6.0]], "float32")
    samples = np.concatenate([dead, at_the_edge])
    found = MaxSensitivity(method, radius=0.1, num_samples=20, seed=0)(method(samples))
    assert found[0] == 0 and np.isnan(found[1])


def test_constant_samples_do_not_move(saliency):
    assert not MaxSensitivity(saliency, seed=0)(saliency(np.ones_like(IMAGES))).any()


def test_bad_sensitivity(saliency):
    with pytest.raises(TypeError, match="MaxSensitivity recomputes explanations.*Received: method=<class"):
        MaxSensitivity(Saliency)
    with pytest.raises(ValueError, match="radius=0"):
        MaxSensitivity(saliency, radius=0)
    with pytest.raises(ValueError, match="num_samples=0"):
        MaxSensitivity(saliency, num_samples=0)
    tokens = keras.Sequential([keras.Input((3,), dtype="int32"), layers.Embedding(5, 2), layers.Flatten(), layers.Dense(2)])
    method = Saliency(tokens)
    with pytest.raises(ValueError, match="which can be perturbed slightly.*int32"):
        MaxSensitivity(method)(method(np.ones((2, 3), "int32")))
    with pytest.raises(ValueError, match="made by Saliency.*Received: an explanation made by Hand"):
        MaxSensitivity(saliency)(explained(IMAGES, np.ones((6, 6, 5, 1))))


# Similarity


def test_rank_correlation_is_that_of_scipy():
    from scipy.stats import spearmanr

    first, second = np.random.default_rng(1).integers(6, size=(2, 5, 20)).astype("float64")
    expected = [spearmanr(a, b)[0] for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(rank_correlation(first, second), expected)
    np.testing.assert_allclose(rank_correlation(first, 10 * first + 3), 1)
    np.testing.assert_allclose(rank_correlation(first, -first), -1)


def test_similarity_of_constant_rows():
    flat, row = np.full((1, 4), 2.0), np.arange(4.0)[None]
    assert rank_correlation(flat, row) == 0 and rank_correlation(flat, 3 * flat) == 1
    assert cosine(0 * flat, row) == 0 and cosine(0 * flat, 0 * flat) == 1
    assert cosine(1e-100 * row, row) == pytest.approx(1)


# Parameter randomization

LAYERS = ["head", "hidden", "norm", "conv"]


@pytest.mark.parametrize("mode", ["cascading", "independent"])
def test_what_is_randomized(model, mode):
    """Each layer in its turn, from the output down: no other is touched, and its arrays keep their entries."""
    before = [variable.numpy() for variable in model.variables]
    owner = [variable.path.split("/")[-2] for variable in model.variables]
    method = Watching(model)
    found = ModelParameterRandomization(model, method, mode=mode, seed=0).similarities(explained(IMAGES, IMAGES))
    assert list(found) == LAYERS and len(method.seen) == 4
    for turn, arrays in enumerate(method.seen):
        touched = {name for name, now, then in zip(owner, arrays, before, strict=True) if not np.array_equal(now, then)}
        assert touched == (set(LAYERS[: turn + 1]) if mode == "cascading" else {LAYERS[turn]})
        for now, then in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(np.sort(now, axis=None), np.sort(then, axis=None))
    assert all(np.array_equal(now.numpy(), then) for now, then in zip(model.variables, before, strict=True))


@pytest.mark.parametrize("mode", ["cascading", "independent"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_weights_come_back_after_a_failure(model, mode, error):
    before = weights_of(model)
    method = Watching(model, fails_at=3, error=error)
    with pytest.raises(error, match="on purpose"):
        ModelParameterRandomization(model, method, mode=mode)(explained(IMAGES, IMAGES))
    assert any(seen.tobytes() != then for seen, then in zip(method.seen[-1], before, strict=True))
    assert weights_of(model) == before


def test_an_edge_detector_passes_as_what_it_is(digits, trained):
    """It looks at the image only, and stays at 1; the gradient of a trained network does not."""
    network = in_float32(trained("mlp"), "mlp")
    x = digits[0][1500:1530].astype("float32")
    edges, gradient = Edges(network), Saliency(network)
    np.testing.assert_allclose(ModelParameterRandomization(network, edges, seed=0)(edges(x)), 1)
    found = ModelParameterRandomization(network, gradient, seed=0).similarities(gradient(x))
    *_, last = found.values()
    assert abs(last.mean()) < 0.2
    mean = np.mean(list(found.values()), axis=0)
    np.testing.assert_allclose(
        ModelParameterRandomization(network, gradient, seed=0)(gradient(x)), mean, atol=1e-3
    )  # of ranks
    absolute = ModelParameterRandomization(network, gradient, seed=0, absolute=True).similarities(gradient(x))
    assert not np.allclose(list(absolute.values()), list(found.values()), atol=0.01)


def test_programs_read_the_random_weights(model):
    """A method that is made before the weights change says the same as one that is made after."""
    method = Saliency(model)
    explanation = method(IMAGES)

    class Anew(Watching):
        def _prepare(self, target):
            return lambda batch: Saliency(model)._prepare(target)(batch)

    found = ModelParameterRandomization(model, method, seed=3, layers=["conv"]).similarities(explanation)
    expected = ModelParameterRandomization(model, Anew(model), seed=3, layers=["conv"]).similarities(explanation)
    np.testing.assert_allclose(found["conv"], expected["conv"], atol=1e-3)  # two neighbors in rank may change places
    assert found["conv"].mean() < 0.99


def test_nested_and_shared_layers_and_what_no_score_depends_on():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="inside")], name="inner")
    x = keras.Input((4,))
    once = inner(x)
    y = inner(layers.ReLU()(once))
    outputs = {"a": layers.Dense(3, name="to_a")(y), "b": layers.Dense(2, name="to_b")(once)}
    model = keras.Model(x, outputs)
    method = Saliency(model)
    samples = np.random.default_rng(1).normal(size=(4, 4)).astype("float32")
    before = weights_of(model)
    of_a = ModelParameterRandomization(model, method, seed=0).similarities(method(samples, {"a": 1}))
    assert list(of_a) == ["to_a", "inner/inside"]
    both = ModelParameterRandomization(model, method, seed=0).similarities(method(samples, {"a": 1, "b": 0}))
    assert set(both) == {"to_a", "to_b", "inner/inside"}
    chosen = ModelParameterRandomization(model, method, seed=0, layers=["inner/inside"])
    assert list(chosen.similarities(method(samples, {"a": 1}))) == ["inner/inside"]
    assert weights_of(model) == before


def test_bad_randomization(model, saliency):
    with pytest.raises(ValueError, match="mode='random'"):
        ModelParameterRandomization(model, saliency, mode="random")
    with pytest.raises(ValueError, match="No layer of the model has the path received. Received: path='cnov'.*'conv'"):
        ModelParameterRandomization(model, saliency, layers=["cnov"])
    with pytest.raises(ValueError, match="layers whose weights can be shuffled.*'flatten"):
        ModelParameterRandomization(
            model, saliency, layers=[next(layer.name for layer in model.layers if "flatten" in layer.name)]
        )
    with pytest.raises(ValueError, match="Expected a method of the model"):
        ModelParameterRandomization(convolutional(), saliency)
    with pytest.raises(TypeError, match="ModelParameterRandomization recomputes explanations"):
        ModelParameterRandomization(model, "saliency")
    with pytest.raises(TypeError, match="keras.Model"):
        ModelParameterRandomization(None, saliency)
    x = keras.Input((3,))
    bare = keras.Model(x, layers.Dense(2, kernel_initializer="ones")(x))
    method = Saliency(bare)
    with pytest.raises(ValueError, match="a model in which no such layer leads to the score"):
        ModelParameterRandomization(bare, method)(method(np.ones((2, 3))))


# Random logit


def test_rows_of_a_linear_model_are_known():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, use_bias=False)])
    model.layers[0].kernel.assign([[3.0, 1.0], [2.0, 2.0], [1.0, 3.0]])
    method = Saliency(model)
    np.testing.assert_allclose(RandomLogit(model, method)(method(np.ones((2, 3)))), -1)
    np.testing.assert_allclose(RandomLogit(model, method, absolute=True)(method(np.ones((2, 3)))), -1)
    model.layers[0].kernel.assign([[3.0, -3.0], [2.0, -2.0], [1.0, -1.0]])
    np.testing.assert_allclose(RandomLogit(model, method, absolute=True)(method(np.ones((2, 3)))), 1)


def test_a_map_that_knows_no_class(model):
    edges = Edges(model)
    np.testing.assert_allclose(RandomLogit(model, edges)(edges(IMAGES)), 1)
    method = SmoothGrad(model, num_samples=4, seed=0)
    assert (RandomLogit(model, method, seed=0)(method(IMAGES)) < 0.99).all()


def test_the_other_class_is_another(model):
    classes = []

    class Noting(Watching):
        def _prepare(self, target):
            explain = super()._prepare(target)

            def noted(batch):
                classes.extend(batch.indices[0].tolist())
                return explain(batch)

            return noted

    x, own = np.tile(IMAGES, (10, 1, 1, 1)), np.arange(60, dtype="int32") % 3
    RandomLogit(model, Noting(model), seed=0)(explained(x, x, own))
    assert all(a != b for a, b in zip(classes, own, strict=True)) and set(classes) == {0, 1, 2}


def test_no_other_class():
    for model, target, message in (
        (convolutional("sigmoid", units=1), None, "a class of the output .*, which has 1 score\\."),
        (convolutional(), lambda scores: scores[:, 0], "one of several classes.*of a callable"),
    ):
        method = GradientTimesInput(model)
        with pytest.raises(ValueError, match=message):
            RandomLogit(model, method)(method(IMAGES, target))
    with pytest.raises(ValueError, match="of another model. Pass GradientTimesInput"):
        RandomLogit(convolutional(), method)
    with pytest.raises(TypeError, match="RandomLogit recomputes explanations"):
        RandomLogit(model, model)
