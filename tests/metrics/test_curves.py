"""Curves of deletion, insertion and pixel flipping: against loops, against all other orders, and with bad input."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.attribution import GradientTimesInput, Saliency
from keras_xai.metrics import Deletion, Insertion, PixelFlipping
from tests.metrics import oracles
from tests.metrics.examples import convolutional, explained, linear

pytestmark = pytest.mark.onednn

IMAGES = np.random.default_rng(0).normal(size=(5, 6, 5, 2)).astype("float32")


@pytest.fixture(scope="module")
def model():
    return convolutional()


@pytest.fixture(scope="module")
def explanation(model):
    return Saliency(model)(IMAGES)


@pytest.mark.parametrize("metric, insert", [(Deletion, False), (Insertion, True)])
def test_a_loop_finds_the_same(model, explanation, metric, insert):
    expected = oracles.curve(model, explanation, 7, 0.25, insert=insert)
    made = metric(model, steps=7, baseline=0.25)
    shares, curve = made.curve(explanation)
    np.testing.assert_allclose(curve, expected, atol=1e-6)
    np.testing.assert_allclose(shares, np.linspace(0, 30, 8).round() / 30)
    # The comparison can tell: another order has another curve.
    assert not np.allclose(
        oracles.curve(model, explained(IMAGES, -explanation.values), 7, 0.25, insert=insert), expected, atol=1e-3
    )


def test_the_ends_are_the_sample_and_the_baseline(model, explanation):
    whole = oracles.probabilities(model, IMAGES, explanation.target)
    empty = oracles.probabilities(model, np.zeros_like(IMAGES), explanation.target)
    for metric, first, last in ((Deletion, whole, empty), (Insertion, empty, whole)):
        _, curve = metric(model, steps=3).curve(explanation)
        np.testing.assert_allclose(curve[:, [0, -1]], np.stack([first, last], axis=1), atol=1e-6)


@pytest.mark.parametrize("metric", [Deletion, lambda *args, **kw: PixelFlipping(*args, seed=3, steps=9, **kw)])
def test_the_size_of_batches_changes_nothing(model, explanation, metric):
    first, *others = (metric(model, batch_size=size)(explanation) for size in (64, 7, 1))
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-6)


def test_exact_contributions_are_the_best_order():
    """Of a linear model no order takes away or puts in faster; all of 24 are tried, and the opposite is the worst."""
    weights, x = np.array([3.0, -1.0, 0.5, 2.0]), np.array([[1.0, 2.0, -3.0, 1.5]], "float32")
    model = linear(weights)
    deletion, insertion = Deletion(model), Insertion(model)
    orders = [explained(x, np.array([order], "float64")) for order in itertools.permutations(range(4))]
    removed, inserted = ([float(metric(order)[0]) for order in orders] for metric in (deletion, insertion))
    exact = GradientTimesInput(model)(x)
    opposite = explained(x, -exact.values)
    assert deletion(exact)[0] == pytest.approx(min(removed)) and insertion(exact)[0] == pytest.approx(max(inserted))
    assert deletion(opposite)[0] == pytest.approx(max(removed)) and insertion(opposite)[0] == pytest.approx(min(inserted))
    assert min(removed) < max(removed) - 1


def test_probability_or_score(explanation, model):
    plain = convolutional(activation=None)
    plain.set_weights(model.get_weights())
    softmax = Deletion(model)(explanation)
    np.testing.assert_allclose(Deletion(plain, probability=True)(explanation), softmax, atol=1e-6)
    np.testing.assert_allclose(Deletion(plain)(explanation), Deletion(model, probability=False)(explanation), atol=1e-6)
    assert not np.allclose(Deletion(plain)(explanation), softmax, atol=1e-2)

    sigmoid, score = convolutional("sigmoid", units=1), convolutional(None, units=1)
    score.set_weights(sigmoid.get_weights())
    of_one = explained(IMAGES, explanation.values)
    _, curve = Deletion(sigmoid, steps=2).curve(explained(IMAGES, explanation.values, np.ones(len(IMAGES), "int32")))
    np.testing.assert_allclose(curve[:, 0], sigmoid(IMAGES)[:, 0], atol=1e-6)
    np.testing.assert_allclose(Deletion(score, probability=True, steps=2).curve(of_one)[1], curve, atol=1e-6)
    np.testing.assert_allclose(Deletion(score, steps=2).curve(of_one)[1][:, 0], score(IMAGES)[:, 0], atol=1e-6)


def test_a_callable_target_is_asked_for_as_it_is(model):
    def margin(scores):
        return scores[:, 0] - scores[:, 1]

    explanation = Saliency(model)(IMAGES, margin)
    _, curve = Deletion(model, steps=1).curve(explanation)
    p = np.asarray(model(IMAGES))
    np.testing.assert_allclose(curve[:, 0], np.log(p[:, 0] / p[:, 1]), atol=1e-4)


def several():
    keras.utils.set_random_seed(0)
    image, words = keras.Input((3, 2, 2), name="image"), keras.Input((4,), dtype="int32", name="words")
    flat = layers.Flatten()(layers.Embedding(9, 2)(words))
    joined = layers.Concatenate()([layers.Flatten()(image), flat])
    outputs = {"kind": layers.Dense(3, "softmax", name="kind")(joined), "size": layers.Dense(1, name="size")(joined)}
    return keras.Model({"image": image, "words": words}, outputs)


def test_several_inputs_are_in_one_order_and_outputs_are_added():
    rng = np.random.default_rng(1)
    model = several()
    x = {"image": rng.normal(size=(2, 3, 2, 2)).astype("float32"), "words": np.array([[1, 2, 3, 4], [5, 6, 7, 8]], "int32")}
    values = {"image": rng.normal(size=(2, 3, 2, 1)), "words": rng.normal(size=(2, 4))}
    target = {"kind": np.array([2, 0]), "size": np.array([0, 0])}
    shares, curve = Deletion(model, baseline={"image": 0.5, "words": 0}).curve(explained(x, values, target))
    assert len(shares) == 6 + 4 + 1
    row = np.concatenate([values["image"].reshape(2, -1), values["words"]], axis=1)
    for i in range(2):
        image, words = x["image"][i].copy().reshape(6, 2), x["words"][i].copy()
        for step, place in enumerate([None, *np.argsort(-row[i])]):
            if place is not None and place < 6:
                image[place] = 0.5
            elif place is not None:
                words[place - 6] = 0
            found = model({"image": image.reshape(1, 3, 2, 2), "words": words[None]})
            expected = float(found["kind"][0, target["kind"][i]] + found["size"][0, 0])
            assert curve[i, step] == pytest.approx(expected, abs=1e-5)


def test_series_and_half_precision():
    keras.utils.set_random_seed(0)
    half = keras.DTypePolicy("mixed_float16")
    body = [layers.Conv1D(3, 3, dtype=half), layers.GlobalMaxPooling1D(dtype=half), layers.Dense(2, "softmax", dtype=half)]
    model = keras.Sequential([keras.Input((9, 2)), *body])
    x = np.random.default_rng(1).normal(size=(3, 9, 2))
    shares, curve = Insertion(model).curve(Saliency(model)(x))
    assert curve.shape == (3, 10) and len(shares) == 10 and np.isfinite(curve).all()


def test_constant_samples_and_constant_maps_have_finite_values(model):
    for x, values in (
        (np.ones_like(IMAGES), np.random.default_rng(1).normal(size=IMAGES.shape)),
        (IMAGES, np.zeros_like(IMAGES)),
    ):
        for metric in (Deletion(model, steps=4), Insertion(model, steps=4), PixelFlipping(model, steps=4)):
            assert np.isfinite(metric(explained(x, values))).all()
    # Nothing is replaced where noise has no range, and so nothing is lost.
    assert not PixelFlipping(model)(explained(np.ones_like(IMAGES), IMAGES)).any()


def test_what_does_not_change_is_not_run(model, monkeypatch):
    """A sample that is equal to what takes its place in all but one pixel: two rows of its curve are changed ones."""
    rows, metric = [], Deletion(model, steps=30, batch_size=100)
    program = metric._replacement._program

    def counted(*arguments):
        run = program(*arguments)
        return lambda *arrays: (rows.append(len(arrays[-2])), run(*arrays))[1]

    monkeypatch.setattr(metric._replacement, "_program", counted)
    x = np.zeros((1, 6, 5, 2), "float32")
    x[0, 2, 3, 1] = 1
    values = np.linspace(0, 1, 30).reshape(1, 6, 5, 1)
    found = metric(explained(x, values))
    rank = int((values > values[0, 2, 3, 0]).sum())
    assert rows == [1, 30 - rank]
    curve = np.where(np.arange(31) <= rank, *oracles.probabilities(model, np.concatenate([x, np.zeros_like(x)]), [0, 0]))
    np.testing.assert_allclose(found[0], (curve[1:] + curve[:-1]).mean() / 2, rtol=1e-5)


def test_an_empty_map_is_not_taken_apart_from_the_top():
    """A model that looks at the first half only: in the order of places, its score would be gone after half of the steps."""
    model = linear(np.repeat([1.0, 0.0], 50))
    x = np.ones((1, 100), "float32")
    _, curve = Deletion(model, steps=100).curve(explained(x, np.zeros((1, 100))))
    assert curve[0, 50] > 15


def test_pixel_flipping_by_a_loop(model, explanation):
    metric = PixelFlipping(model, region=2, steps=5, seed=11)
    expected = oracles.pixel_flipping(model, None, explanation, None, region=2, steps=5, seed=11)
    np.testing.assert_allclose(metric(explanation), expected, atol=1e-6)
    opposite = explained(IMAGES, -explanation.values, explanation.target)
    assert not np.allclose(metric(opposite), expected, atol=1e-3)


def test_flipping_in_the_right_order_costs_more():
    x = np.full((20, 30), 2, "float32")
    x[:, 0] = 0  # without weight: noise from 0 to 2 takes away from all others
    model = linear(np.arange(30.0))
    exact = GradientTimesInput(model)(x)
    random = explained(x, np.random.default_rng(1).normal(size=x.shape))
    metric = PixelFlipping(model, seed=0, steps=10)
    best, chance, worst = (metric(each) for each in (exact, random, explained(x, -exact.values)))
    assert best.mean() > 1.5 * chance.mean() and (chance > 1.5 * worst).all() and (best > 4 * worst).all()


def test_flipped_tokens_are_tokens():
    rng = np.random.default_rng(1)
    model = keras.Sequential(
        [keras.Input((6,), dtype="int32"), layers.Embedding(20, 3), layers.GlobalAveragePooling1D(), layers.Dense(2)]
    )
    x = rng.integers(20, size=(3, 6)).astype("int32")
    assert np.isfinite(PixelFlipping(model, seed=0)(explained(x, rng.normal(size=x.shape)))).all()
    assert np.isfinite(Deletion(model)(explained(x, rng.normal(size=x.shape)))).all()


def test_bad_input(model, explanation):
    with pytest.raises(ValueError, match="`steps`.*Received: steps=0"):
        Deletion(model, steps=0)
    with pytest.raises(ValueError, match="`region`.*Received: region=1.5"):
        PixelFlipping(model, region=1.5)
    with pytest.raises(ValueError, match="`probability` to be True or False. Received: probability='yes'"):
        Insertion(model, probability="yes")
    with pytest.raises(ValueError, match="batch_size=0"):
        Deletion(model, batch_size=0)
    with pytest.raises(TypeError, match="keras.Model"):
        Deletion("model")
    with pytest.raises(TypeError, match="Expected an `Explanation`.*of type ndarray"):
        Deletion(model)(IMAGES)
    with pytest.raises(
        ValueError, match=r"`baseline` to be a number, or an array of the shape of one sample, \(6, 5, 2\).*shape \(3,\)"
    ):
        Deletion(model, baseline=np.zeros(3))(explanation)
    with pytest.raises(ValueError, match="Expected a finite `baseline`"):
        Deletion(model, baseline=np.nan)(explanation)
    with pytest.raises(ValueError, match=r"Expected an array of shape \(None, 6, 5, 2\)"):
        Deletion(model)(explained(np.zeros((2, 4, 4, 2)), np.zeros((2, 4, 4, 2))))
    with pytest.raises(ValueError, match="values have the shapes of its inputs"):
        Deletion(model)(explained(IMAGES, np.zeros((5, 3, 5, 2))))
    with pytest.raises(ValueError, match="explanation of finite values"):
        Deletion(model)(explained(IMAGES, np.full(IMAGES.shape, np.nan)))
    with pytest.raises(ValueError, match="seed=-1"):
        PixelFlipping(model, seed=-1)


def test_scores_that_are_not_finite_are_an_error():
    x = keras.Input((3,))
    model = keras.Model(x, layers.Dense(1, kernel_initializer="ones", use_bias=False)(ops.log(x)))
    with pytest.raises(ValueError, match="NaN or infinite for sample 0 with some positions replaced"):
        Deletion(model)(explained(np.ones((2, 3), "float32"), np.ones((2, 3))))
    assert np.isfinite(Deletion(model, baseline=1.0)(explained(np.ones((2, 3), "float32"), np.ones((2, 3))))).all()
