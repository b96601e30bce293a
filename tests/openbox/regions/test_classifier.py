"""A network as a classifier of its regions."""

import concurrent.futures
import copy
import pickle
import tracemalloc

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from keras_xai.openbox import OpenBox, RegionClassifier
from keras_xai.openbox.regions.store import pack, unpack
from keras_xai.openbox.regions.stream import Stream
from keras_xai.openbox.regions.table import log_odds
from tests import naive
from tests.slow import quickly
from tests.tolerance import rounding
from tests.zoo import in_dtype, in_float32


@pytest.fixture(scope="module")
def x(digits):
    return digits[0][1200:1300]


@pytest.fixture(scope="module")
def y(digits):
    return digits[1][1200:1300]


@pytest.fixture(scope="module")
def box(trained):
    return OpenBox(trained("cnn"), batch_size=16)


@pytest.fixture(scope="module")
def small():
    """A network on the plane with few regions, and samples of which many share one."""
    with in_dtype("float64"):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((2,)), layers.Dense(6, "relu"), layers.Dense(3, "softmax")])
        model.layers[0].bias.assign(np.linspace(-0.5, 0.5, 6))
    return model, np.random.default_rng(0).normal(size=(200, 2))


def _weights(model):
    return [weight.numpy() for weight in model.weights]


@pytest.mark.parametrize("name", quickly(["mlp", "cnn", "residual", "nested"], "residual"))
def test_predictions_are_the_networks(name, trained, x):
    classifier = OpenBox(trained(name), batch_size=16).convert(x[:50], verbose=0)
    np.testing.assert_allclose(classifier.predict_proba(x), naive.evaluate(trained(name), x), atol=1e-12)
    np.testing.assert_array_equal(classifier.predict(x), trained(name).predict(x, verbose=0).argmax(axis=1))


def test_predictions_in_float32(trained, x):
    model = in_float32(trained("cnn"), "cnn")
    classifier = OpenBox(model).convert(x[:50], verbose=0)
    assert classifier.pieces([0])[0].dtype == "float32"
    logits = classifier.decision_function(x)  # by whose error a probability's is bounded
    atol = rounding("float32", logits, 100)
    np.testing.assert_allclose(classifier.predict_proba(x), model.predict(x, verbose=0), rtol=0, atol=atol)


def test_it_is_the_pieces_that_predict(small):
    """Negative control: with other coefficients, or those of another region, the predictions are others."""
    model, x = small
    classifier = OpenBox(model).convert(x, verbose=0)
    expected = classifier.decision_function(x)
    cache = classifier.regions_._cache
    first = classifier.apply(x[:1])[0]
    own, other = cache.get(first), cache.get(1 - first)
    for wrong in (other, (own[0] + 0.1, own[1])):
        cache[first] = wrong
        changed = np.abs(classifier.decision_function(x) - expected).max(axis=1) > 1e-6
        np.testing.assert_array_equal(changed, classifier.apply(x) == first)


def test_pieces_are_those_of_the_samples(box, x):
    local = box(x, verbose=0)
    classifier = box.convert(x, verbose=0)
    regions = classifier.apply(x)
    coef, intercept = classifier.pieces(regions)
    np.testing.assert_allclose(coef, local.coef, atol=1e-13)
    np.testing.assert_allclose(intercept, local.intercept, atol=1e-12)
    np.testing.assert_array_equal(classifier.regions_.names[regions], local.region_id)


@given(seed=st.integers(0, 2**31), batch_size=st.integers(1, 9))
@settings(max_examples=15, deadline=None)
def test_regions_are_equal_exactly_where_patterns_are(small, seed, batch_size):
    model, _ = small
    x = np.random.default_rng(seed).normal(size=(40, 2))
    weights, bias = _weights(model)[:2]
    patterns = (x @ weights + bias > 0).tolist()
    classifier = OpenBox(model, batch_size=batch_size).convert(x[:25], verbose=0)
    numbers = classifier.apply(x)
    for i in range(40):
        assert (numbers == numbers[i]).tolist() == [pattern == patterns[i] for pattern in patterns]


def test_known_regions_are_not_added_twice(small):
    model, x = small
    classifier = OpenBox(model, batch_size=7).convert(x[:100], verbose=0)
    first = classifier.apply(x[:100])
    known = len(classifier.regions_)
    assert known == len(set(first.tolist())) < 100
    assert first.max() == known - 1  # numbered from 0 in the order of their first samples
    assert (np.unique(first, return_index=True)[1][:-1] < np.unique(first, return_index=True)[1][1:]).all()
    for _ in range(2):
        np.testing.assert_array_equal(classifier.apply(x[:100][::-1]), first[::-1])
        classifier.predict(x[:100])
        assert len(classifier.regions_) == known == len(set(classifier.regions_.names))

    new = classifier.apply(10 * x)  # far from where the first ones were
    assert len(classifier.regions_) == new.max() + 1 > known
    classifier.predict_proba(10 * x)
    np.testing.assert_array_equal(classifier.apply(10 * x), new)
    np.testing.assert_array_equal(classifier.apply(x[:100]), first)
    np.testing.assert_allclose(classifier.predict_proba(10 * x), naive.evaluate(model, 10 * x), atol=1e-12)


def test_threads_find_the_same_regions(small):
    model, x = small
    box = OpenBox(model, batch_size=7)
    classifier = box.convert(x[:1], verbose=0)
    expected = box.convert(x, verbose=0)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda seed: classifier.predict_proba(np.random.default_rng(seed).permutation(x)), range(8)))
    assert sorted(classifier.regions_.names) == sorted(expected.regions_.names)
    assert len(classifier.regions_) == len(classifier.regions_.names)
    for seed, each in enumerate(found):
        np.testing.assert_allclose(each, np.random.default_rng(seed).permutation(expected.predict_proba(x)), atol=1e-14)


def test_new_regions_are_solved_in_batches(box, x, monkeypatch):
    classifier = box.convert(x[:20], verbose=0)
    solved = []
    original = box.programs.solve

    def solve(patterns, origins):
        solved.append(len(origins[0]))
        return original(patterns, origins)

    monkeypatch.setattr(box.programs, "solve", solve)
    classifier.predict(x[:40])
    assert solved == [16, 16, 8]  # 40 images in regions of their own
    classifier.predict(x[:40])
    assert solved == [16, 16, 8]  # at hand
    solved.clear()
    box.convert(tf.data.Dataset.from_tensor_slices(x[:40]).batch(40), verbose=0).pieces(range(40))
    assert sorted(solved) == [8, 16, 16]  # in the box's batches, not in those of the dataset


@pytest.mark.parametrize("cache_bytes", [0, 7_000])
def test_a_small_cache_changes_nothing_but_the_time(cache_bytes, box, x):
    expected = box.convert(x, verbose=0).predict_proba(x)
    classifier = RegionClassifier(box, cache_bytes=cache_bytes, verbose=0).fit(x)
    for _ in range(2):
        np.testing.assert_allclose(classifier.predict_proba(x), expected, atol=1e-14)
        assert classifier.regions_._cache.currsize <= cache_bytes


def test_the_pieces_used_last_are_kept(box, x, monkeypatch):
    every = box.convert(x[:4], verbose=0)
    assert len(every.regions_) == 4
    size = sum(array.nbytes for array in next(every.regions_.pieces([0]))[1:])
    classifier = RegionClassifier(box, cache_bytes=3 * size, verbose=0).fit(x[:4])
    for number in (0, 1, 2, 0, 3):  # 3 takes the place of 1
        classifier.pieces([number])
    assert classifier.regions_._cache.currsize == 3 * size
    solved = []
    original = box.programs.solve
    monkeypatch.setattr(
        box.programs, "solve", lambda patterns, origins: solved.append(len(origins[0])) or original(patterns, origins)
    )
    for number in (0, 2, 3):
        classifier.pieces([number])
    assert solved == []
    classifier.pieces([1])
    assert solved == [1]


@given(
    seed=st.integers(0, 2**31),
    highest=st.lists(st.sampled_from([1, 2, 4, 5, 256, 70_000]), max_size=4),
    count=st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_packed_patterns_are_unpacked_as_they_were(seed, highest, count):
    generator = np.random.default_rng(seed)
    dtypes = {256: "uint8", 70_000: "int32"}
    patterns = [
        generator.integers(0, high, size=(count, *generator.integers(1, 6, size=2))).astype(dtypes.get(high, "int8"))
        for high in highest
    ]
    specs = [((None, *pattern.shape[1:]), pattern.dtype.name) for pattern in patterns]
    packed = pack(patterns, count)
    for original, found in zip(patterns, unpack(packed, specs), strict=True):
        np.testing.assert_array_equal(found, original)
        assert found.dtype == original.dtype
    if sum(pattern[0].size for pattern in patterns):
        wrong = [((None, 2 * size[1], *size[2:]), dtype) for size, dtype in specs] if max(highest) > 8 else [*specs, specs[0]]
        with pytest.raises(ValueError, match="patterns"):
            unpack([each[:-1] for each in packed], wrong)


def _dense(*units, activation=None, last=None):
    hidden = [layers.Dense(count, "relu") for count in units[1:-1]]
    with in_dtype("float64"):
        keras.utils.set_random_seed(0)
        return keras.Sequential([keras.Input((units[0],)), *hidden, layers.Dense(units[-1], activation)])


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_score(activation):
    model, x = _dense(3, 5, 1, activation=activation), np.random.default_rng(0).normal(size=(50, 3))
    labels = np.where(x[:, 0] > 0, "yes", "no")
    classifier = OpenBox(model, dtype="float64").convert(x, labels, verbose=0)
    outputs = model.predict(x, verbose=0)[:, 0]
    logits = np.log(outputs / (1 - outputs)) if activation else outputs
    np.testing.assert_allclose(classifier.decision_function(x), logits, atol=1e-6)
    np.testing.assert_allclose(classifier.predict_proba(x)[:, 1], 1 / (1 + np.exp(-logits)), atol=1e-6)
    np.testing.assert_allclose(classifier.predict_proba(x).sum(axis=1), 1)
    assert classifier.classes_.tolist() == ["no", "yes"]
    np.testing.assert_array_equal(classifier.predict(x), np.where(logits > 0, "yes", "no"))
    assert set(classifier.predict(x)) == {"no", "yes"}


def test_two_scores_decide_by_their_difference():
    model, x = _dense(3, 5, 2), np.random.default_rng(0).normal(size=(50, 3))
    classifier = OpenBox(model, dtype="float64").convert(x, verbose=0)
    scores = model.predict(x, verbose=0)
    np.testing.assert_allclose(classifier.decision_function(x), scores[:, 1] - scores[:, 0], atol=1e-6)
    np.testing.assert_array_equal(classifier.predict(x), scores.argmax(axis=1))
    np.testing.assert_allclose(classifier.predict_proba(x), keras.ops.softmax(scores), atol=1e-6)


def test_scores_of_any_size_have_probabilities():
    model, x = _dense(3, 4), np.random.default_rng(0).normal(size=(20, 3))
    model.set_weights([1e4 * weight for weight in model.get_weights()])
    probabilities = OpenBox(model).convert(x, verbose=0).predict_proba(x)
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: _dense(3, 4, activation="sigmoid"), r"one label per sample. Received: a sigmoid of 4 outputs"),
        (lambda: _dense(3, 1, activation="softmax"), r"softmax of two outputs or more"),
        (
            lambda: keras.Sequential([keras.Input((5, 3)), layers.Dense(2)]),
            r"shape \(n, classes\). Received: shape \(None, 5, 2\)",
        ),
    ],
)
def test_models_that_are_no_classifiers(build, message):
    model = build()
    with pytest.raises(ValueError, match=message):
        OpenBox(model).convert(np.zeros((2, *model.input_shape[1:])), verbose=0)


@pytest.mark.parametrize(
    "y, classes",
    [
        (None, [0, 1, 2]),
        ([2, 0, 0, 2], [0, 1, 2]),
        ([5, 7, 6, 5], [5, 6, 7]),
        (["b", "a", "c", "a"], ["a", "b", "c"]),
        (np.array(["b", "a", "c", "a"], dtype=object), ["a", "b", "c"]),
        ([0.0, 2.0, 1.0, 0.0], [0.0, 1.0, 2.0]),
        (pd.Series(["b", "a", "c", "a"]), ["a", "b", "c"]),
    ],
)
def test_labels(y, classes, small):
    model, x = small
    classifier = OpenBox(model).convert(x[:4], y, verbose=0)
    assert classifier.classes_.tolist() == classes
    expected = [classes[place] for place in model.predict(x, verbose=0).argmax(axis=1)]
    assert classifier.predict(x).tolist() == expected
    assert classifier.score(x, expected) == 1


@pytest.mark.parametrize(
    "y, message",
    [
        ([0, 1, 2, 3], r"Expected labels of 3 classes, or integers from 0 to 2. Received: 4 distinct labels, 0, 1, 2, 3"),
        (["a", "b", "a", "b"], r"Received: 2 distinct labels, 'a', 'b'"),
        ([0, 1, 2], r"one label for each of 4 samples. Received: 3 labels"),
        ([0.5, 1.2, 0.1, 3.3], r"(?i)label type"),
        (np.eye(4), r"."),
    ],
)
def test_wrong_labels(y, message, small):
    model, x = small
    with pytest.raises(ValueError, match=message):
        OpenBox(model).convert(x[:4], y, verbose=0)


def test_weights_that_have_changed(small, tmp_path):
    x = small[1]
    model = keras.models.clone_model(small[0])
    classifier = OpenBox(model).convert(x, verbose=0)
    model.layers[0].bias.assign_add(np.full(6, 0.1))
    uses = [
        *(
            lambda name=name: getattr(classifier, name)(x)
            for name in ("predict", "predict_proba", "decision_function", "apply")
        ),
        lambda: classifier.score(x, np.zeros(200)),
        lambda: classifier.table(x, np.zeros(200, int)),
        lambda: classifier.pieces([0]),
        lambda: classifier.save(tmp_path / "regions.npz"),
    ]
    for use in uses:
        with pytest.raises(RuntimeError, match="weights have changed since these regions were found"):
            use()
    assert not list(tmp_path.iterdir())
    np.testing.assert_allclose(classifier.fit(x).predict_proba(x), model.predict(x, verbose=0), atol=1e-6)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: x[0], r"Expected an array of shape \(None, 8, 8, 1\).*np.newaxis"),
        (lambda x: x[:, :7], r"Expected an array of shape \(None, 8, 8, 1\).*Received: an array of shape \(100, 7, 8, 1\)"),
        (lambda x: x[:0], r"at least one sample"),
        (lambda x: x.astype(str), r"Expected real numbers"),
        (
            lambda x: np.where(np.arange(100)[:, None, None, None] == 42, np.nan, x),
            r"NaN or infinity in 1 of 100 samples, first in sample 42",
        ),
        (lambda x: None, r"Expected real numbers.*dtype object"),
        (lambda x: tf.data.Dataset.from_tensor_slices(x).batch(4).take(0), r"at least one batch"),
    ],
)
def test_wrong_samples(change, message, box, x):
    classifier = box.convert(x[:20], verbose=0)
    expected = classifier.predict_proba(x[:20])
    for use in (classifier.fit, classifier.predict, classifier.apply):
        with pytest.raises(ValueError, match=f"(?s){message}"):
            use(change(x))
    assert len(classifier.regions_) == 20  # nothing is lost and nothing is added
    np.testing.assert_allclose(classifier.predict_proba(x[:20]), expected, rtol=0, atol=rounding("float64", terms=100))


def test_wrong_rows(small):
    model, x = small
    classifier = OpenBox(model).convert(x, verbose=0)
    with pytest.raises(ValueError, match="X has 1 features, but RegionClassifier is expecting 2 features"):
        classifier.predict(x[:, :1])
    with pytest.raises(ValueError, match=r"Received: an array of shape \(200, 1\)"):
        OpenBox(model).convert(x[:, :1], verbose=0)
    with pytest.raises(ValueError, match="NaN"):
        classifier.predict(np.where(x > 1, np.nan, x))
    with pytest.raises(ValueError, match="scores are NaN or infinite in float32"):
        OpenBox(model, dtype="float32").convert(1e39 * x, verbose=0)


@pytest.mark.parametrize("cache_bytes", [-1, 1.5, None])
def test_wrong_cache(cache_bytes, box, x):
    with pytest.raises(ValueError, match="Expected `cache_bytes` to be an integer of at least 0"):
        RegionClassifier(box, cache_bytes=cache_bytes).fit(x)


@pytest.mark.parametrize("regions", [[-1], [20], [], 3, [0.5], [[0]]])
def test_wrong_regions(regions, box, x):
    with pytest.raises(ValueError, match="Expected.*regions"):
        box.convert(x[:20], verbose=0).pieces(regions)


def test_not_fitted(box, x):
    for name in ("predict", "predict_proba", "decision_function", "apply", "pieces", "save"):
        with pytest.raises(NotFittedError):
            getattr(RegionClassifier(box), name)(x)


@pytest.mark.filterwarnings("error::FutureWarning")  # which it is before scikit-learn 1.2
def test_data_frames_keep_their_names(small):
    model, x = small
    frame = pd.DataFrame(x, columns=["width", "height"])
    classifier = OpenBox(model).convert(frame, verbose=0)
    assert classifier.feature_names_in_.tolist() == ["width", "height"] and classifier.n_features_in_ == 2
    np.testing.assert_array_equal(classifier.predict(frame), OpenBox(model).convert(x, verbose=0).predict(x))
    with pytest.raises((ValueError, FutureWarning), match="(?i)feature names"):
        classifier.predict(frame.rename(columns={"width": "depth"}))


def test_datasets_tensors_and_lists(small):
    model, x = small
    box = OpenBox(model, batch_size=16)
    expected = box.convert(x, verbose=0).predict_proba(x)
    dataset = tf.data.Dataset.from_tensor_slices((x, np.zeros(200))).batch(30)
    for given_as in (dataset, tf.constant(x), x.tolist()):
        classifier = box.convert(given_as, verbose=0)
        np.testing.assert_allclose(classifier.predict_proba(given_as), expected, atol=1e-12)
    with pytest.raises(ValueError, match="Expected the samples as arrays"):
        box.convert(dataset, verbose=0).table(dataset, np.zeros(200, int))


def test_several_inputs():
    keras.utils.set_random_seed(0)
    with in_dtype("float64"):
        image, row = keras.Input((4, 4, 1), name="image"), keras.Input((3,), name="row")
        joined = layers.Concatenate()([layers.Flatten()(layers.Conv2D(2, 3, activation="relu")(image)), row])
        model = keras.Model({"row": row, "image": image}, layers.Dense(3)(layers.Dense(5, activation="relu")(joined)))
    generator = np.random.default_rng(0)
    x = {"image": generator.normal(size=(40, 4, 4, 1)), "row": generator.normal(size=(40, 3))}
    classifier = OpenBox(model, batch_size=16).convert(x, verbose=0)
    np.testing.assert_allclose(classifier.decision_function(x), model(x).numpy(), atol=1e-12)
    coef, intercept = classifier.pieces([0, 1])
    assert coef["image"].shape == (2, 3, 4, 4, 1) and coef["row"].shape == (2, 3, 3) and intercept.shape == (2, 3)
    assert not hasattr(classifier, "n_features_in_")
    table = classifier.table(x, model.predict(x, verbose=0).argmax(axis=1), max_regions=3, radius=2)
    assert (table["radius_min"] > 0).all()
    with pytest.raises(ValueError, match="the same number of samples in every input"):
        classifier.predict({"image": x["image"], "row": np.concatenate([x["row"], x["row"]])})


def test_inputs_of_open_size_are_of_the_size_that_fit_was_given():
    keras.utils.set_random_seed(0)
    body = [layers.Conv2D(2, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((None, None, 1)), *body])
    x = np.random.default_rng(0).normal(size=(6, 5, 7, 1))
    classifier = OpenBox(model).convert(x, verbose=0)
    np.testing.assert_allclose(classifier.predict_proba(x), keras.ops.softmax(model.predict(x, verbose=0)), atol=1e-6)
    with pytest.raises(ValueError, match=r"Expected samples of the shapes \[\(5, 7, 1\)\], as in `fit`"):
        classifier.predict(x[:, :, :5])


def test_regions_of_a_hidden_layer(trained, x, tmp_path):
    model = trained("mlp")
    box = OpenBox(model, layer=[layer.name for layer in model.layers if isinstance(layer, layers.Dense)][1])
    classifier = box.convert(x[:50], verbose=0)
    np.testing.assert_allclose(classifier.predict_proba(x), naive.evaluate(model, x), atol=1e-12)
    local = box(x, verbose=0)
    np.testing.assert_allclose(classifier.pieces(classifier.apply(x))[0], local.coef, atol=1e-12)
    table = classifier.table(x, np.zeros(100, int), max_regions=1, radius=2)
    own = classifier.apply(x) == table.index[0]
    assert table["radius_min"].iloc[0] == pytest.approx(local.radius(verbose=0)[own].min())
    classifier.save(tmp_path / "regions.npz")
    loaded = RegionClassifier.load(tmp_path / "regions.npz", pickle.loads(pickle.dumps(box)), verbose=0)
    np.testing.assert_array_equal(loaded.apply(x), classifier.apply(x))


def test_networks_without_regions_have_one():
    model, x = _dense(3, 4), np.random.default_rng(0).normal(size=(20, 3))
    classifier = OpenBox(model).convert(x, verbose=0)
    assert len(classifier.regions_) == 1 and not classifier.apply(x).any()
    np.testing.assert_allclose(classifier.decision_function(x), model.predict(x, verbose=0), atol=1e-6)
    np.testing.assert_allclose(classifier.pieces([0])[0][0], model.get_weights()[0].T)


def test_pickles(small):
    model, x = small
    box = OpenBox(model, dtype="float64", batch_size=16)
    classifier = box.convert(x, np.array(["a", "b", "c"] * 66 + ["a", "a"]), verbose=0)
    expected = classifier.predict_proba(x)
    copied = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_allclose(copied.predict_proba(x), expected, rtol=0, atol=rounding("float64", terms=20))
    np.testing.assert_array_equal(copied.apply(x), classifier.apply(x))
    assert copied.classes_.tolist() == ["a", "b", "c"] and len(copied.regions_) == len(classifier.regions_)
    assert copied.box is copied.box_ is copied.regions_.box is not box
    again = pickle.loads(pickle.dumps(box))
    assert (again.batch_size, again.dtype, again.num_outputs) == (16, "float64", 3)
    for other in (again, copy.deepcopy(box)):
        coef = box(x, verbose=0).coef
        np.testing.assert_allclose(other(x, verbose=0).coef, coef, rtol=0, atol=rounding("float64", coef, 20))
    unfitted = pickle.loads(pickle.dumps(RegionClassifier(box, cache_bytes=5)))
    assert unfitted.cache_bytes == 5 and not hasattr(unfitted, "regions_")


def test_clones_share_the_box_and_nothing_else(small):
    model, x = small
    classifier = RegionClassifier(OpenBox(model), cache_bytes=1000, verbose=0).fit(x)
    cloned = clone(classifier)
    assert cloned.cache_bytes == 1000 and not hasattr(cloned, "regions_")
    assert cloned.box is classifier.box or not hasattr(
        BaseEstimator, "__sklearn_clone__"
    )  # scikit-learn 1.3 was the first to ask
    labels = model.predict(x, verbose=0).argmax(axis=1)
    np.testing.assert_array_equal(cross_val_score(classifier, x, labels, cv=3), 1)


def test_verbose_shows_progress(small, capsys):
    model, x = small
    classifier = OpenBox(model).convert(x, verbose=0)
    classifier.predict(x)
    assert capsys.readouterr().out == ""
    OpenBox(model, batch_size=32).convert(x, verbose=1).predict(x)
    assert capsys.readouterr().out.count("7/7") == 2


def test_no_pass_and_no_copy_holds_all_samples(box, monkeypatch):
    seen = []
    original = box.programs.identify
    monkeypatch.setattr(box.programs, "identify", lambda inputs: seen.append(len(inputs[0])) or original(inputs))
    x = np.random.default_rng(0).normal(size=(40, 8, 8, 1)).astype("float32")
    box.convert(x, verbose=0)
    assert seen == [16, 16, 8]

    x = np.zeros((100_000, 8, 8, 1), "float32")
    tracemalloc.start()
    for batch in Stream(x, box):
        assert len(batch[0]) == 16
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 20


@pytest.mark.parametrize("num_scores", [1, 2, 5])
def test_log_odds(num_scores):
    scores = np.random.default_rng(0).normal(size=(7, num_scores))
    logits = np.concatenate([np.zeros((7, 1)), scores], axis=1) if num_scores == 1 else scores
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(log_odds(scores), np.log(probabilities / (1 - probabilities)))
    assert np.isfinite(log_odds(1e4 * scores)).all()


def _naive_area(positive, odds):
    """The share of pairs in the right order, half for equal ones."""
    pairs = [(a > b) + 0.5 * (a == b) for a in odds[positive] for b in odds[~positive]]
    return np.mean(pairs) if pairs else np.nan


def test_table(small):
    model, x = small
    labels = np.random.default_rng(1).choice(["a", "b", "c"], size=200)
    box = OpenBox(model)
    classifier = box.convert(x, labels, verbose=0)
    numbers = classifier.apply(x)
    table = classifier.table(x, labels, max_regions=None, radius=2)
    assert table.index.name == "region" and sorted(table.index) == sorted(set(numbers))
    assert table["samples"].sum() == 200 and (np.diff(table["samples"]) <= 0).all()
    radii = box(x, verbose=0).radius(verbose=0)
    for number, row in table.iterrows():
        own = numbers == number
        assert row["samples"] == own.sum()
        coef, intercept = (part[0] for part in classifier.pieces([number]))
        odds = log_odds(x @ coef.T + intercept)
        for k, label in enumerate(["a", "b", "c"]):
            response = (labels[own] == label).astype(float)
            assert row[f"count_{label}"] == response.sum()
            assert row[f"response_mean_{label}"] == pytest.approx(response.mean())
            assert row[f"response_std_{label}"] == pytest.approx(response.std())
            local = _naive_area(labels[own] == label, odds[own, k])
            assert row[f"local_auc_{label}"] == pytest.approx(local, nan_ok=True)
            assert row[f"global_auc_{label}"] == pytest.approx(_naive_area(labels == label, odds[:, k]))
        quantiles = [row[f"radius_{name}"] for name in ("min", "q25", "median", "q75", "max")]
        np.testing.assert_allclose(quantiles, np.quantile(radii[own], [0, 0.25, 0.5, 0.75, 1]))
    assert table[["local_auc_a"]].isna().any().any()  # a region of one class
    few = classifier.table(x, labels, max_regions=2)
    pd.testing.assert_frame_equal(few, table.iloc[:2][few.columns])


def test_a_table_finds_which_regions_classify_well():
    model, x = _dense(3, 5, 2), np.random.default_rng(0).normal(size=(200, 3))
    classifier = OpenBox(model, dtype="float64").convert(x, verbose=0)
    labels = classifier.predict(x)
    right = classifier.table(x, labels)[["local_auc_0", "local_auc_1"]].to_numpy()
    wrong = classifier.table(x, np.random.default_rng(0).permutation(labels))[["local_auc_0", "local_auc_1"]].to_numpy()
    assert (right[np.isfinite(right)] == 1).all() and np.isfinite(right).sum() > 5
    assert np.nanmean(wrong) < 0.75


def test_a_table_in_parts_is_the_same(small, monkeypatch):
    model, x = small
    classifier = OpenBox(model, batch_size=16).convert(x, verbose=0)
    labels = model.predict(x, verbose=0).argmax(axis=1)
    table = classifier.table(x, labels)
    monkeypatch.setattr("keras_xai.openbox.regions.table._BYTES", 1)  # one region at a time
    pd.testing.assert_frame_equal(classifier.table(x, labels), table)


def test_radii_of_a_region_without_walls():
    model, x = _dense(3, 1), np.random.default_rng(0).normal(size=(20, 3))
    table = OpenBox(model).convert(x, verbose=0).table(x, (x[:, 0] > 0).astype(int), radius=np.inf)
    assert np.isinf(table[["radius_min", "radius_median", "radius_max"]]).all().all()
    assert table["local_auc_0"].iloc[0] == pytest.approx(table["local_auc_1"].iloc[0])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"y": [3] * 200}, r"Expected labels from 0, 1, 2. Received also: 3"),
        ({"y": [0] * 3}, r"one label for each of 200 samples"),
        ({"max_regions": 0}, r"`max_regions` to be an integer of at least 1"),
        ({"radius": 3}, r"`radius` to be None or the norm"),
    ],
)
def test_wrong_arguments_of_a_table(arguments, message, small):
    model, x = small
    classifier = OpenBox(model).convert(x, verbose=0)
    with pytest.raises(ValueError, match=message):
        classifier.table(x, **{"y": [0] * 200, **arguments})
