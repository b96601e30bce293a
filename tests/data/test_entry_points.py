"""Every public thing that takes samples gives the same for all kinds of data, from the registries of the packages."""

import inspect

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers

from keras_xai import attribution, callbacks, diagnosis, features, losses, metrics
from keras_xai.layers import RBMDense
from keras_xai.openbox import OpenBox, RegionClassifier, fidelity_curve, flatten_regions, merge_regions, prune_regions
from keras_xai.pretraining import pretrain
from tests.attribution.grid import OF_ATTENTION
from tests.data.kinds import BATCH, COLUMNS, KINDS, STREAMS, TABLES, dataset, in_batches
from tests.slow import quickly

METHODS = {
    name: method
    for name in attribution.__all__
    if inspect.isclass(method := getattr(attribution, name))
    and issubclass(method, attribution.Method)
    and not inspect.isabstract(method)
}
DRAWN = {
    "LIME": {"num_samples": 20},
    "SHAP": {"num_samples": 100},
    "GradientSHAP": {"num_samples": 4},
    "SmoothGrad": {"num_samples": 3},
    "VarGrad": {"num_samples": 3},
    "RISE": {"num_samples": 20},
    "SobolAttribution": {"num_samples": 2},
    "HSICAttribution": {"num_samples": 20},
    "ShapleyValueSampling": {"num_samples": 2},
    "IntegratedGradients": {"steps": 4},
}
X = np.random.default_rng(0).normal(size=(10, 6, 6, 1)).astype("float32")
TABLE = np.random.default_rng(1).uniform(size=(10, 4)).astype("float32")
Y = np.arange(10) % 2
QUICK = diagnosis.Protocol(tsne=features.TSNE(perplexity=2, iterations=255), repeats=1, components=3)


@pytest.fixture(scope="module")
def images():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax", name="scores"),
        ]
    )


@pytest.fixture(scope="module")
def transformer():
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 6, 1))
    y = layers.Reshape((9, 4))(layers.Conv2D(4, 2, strides=2, name="conv")(x))
    y = layers.Add()([y, layers.MultiHeadAttention(2, 2, name="attention")(y, y)])
    return keras.Model(x, layers.Dense(2, activation="softmax", name="scores")(layers.GlobalAveragePooling1D()(y)))


@pytest.fixture(scope="module")
def table():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((4,), name="table"), layers.Dense(6, "relu", name="hidden"), layers.Dense(2, "softmax", name="scores")]
    )


def _method(name, model):
    options = dict(DRAWN.get(name, {}))
    if "seed" in inspect.signature(METHODS[name].__init__).parameters:
        options["seed"] = 0
    return METHODS[name](model, batch_size=BATCH, **options)


def _same(one, other, exact=True):
    one, other = keras.tree.flatten(one), keras.tree.flatten(other)
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        if exact:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("name", quickly(METHODS, "Saliency", "LRP", "IntegratedGradients", "GradCAM", "Occlusion", "SHAP"))
def test_methods(name, images, transformer):
    model = transformer if name in OF_ATTENTION else images
    expected = _method(name, model)(X)
    for kind, make in KINDS.items():
        found = _method(name, model)(make(X))  # made anew, since later calls of a method may differ by rounding
        for field in ("values", "target", "inputs", "convergence_delta", "baseline"):
            if getattr(expected, field) is not None:
                _same(getattr(found, field), getattr(expected, field))
            else:
                assert getattr(found, field) is None, kind
        assert found.num_forward_passes == pytest.approx(expected.num_forward_passes), kind


@pytest.mark.parametrize("kind", TABLES)
def test_tables(kind, table):
    method = attribution.IntegratedGradients(table, batch_size=BATCH)
    expected, found = method(TABLE), method(TABLES[kind](TABLE))
    _same(found.values, expected.values)
    assert found.feature_names == COLUMNS and expected.feature_names is None
    again = method(TABLES[kind](TABLE), baseline=TABLES["DataFrame"](TABLE).mean().to_numpy())
    _same(again.values, method(TABLE, baseline=TABLE.mean(axis=0)).values, exact=False)


def test_names_of_columns_are_saved(table, tmp_path):
    attribution.Saliency(table)(TABLES["DataFrame"](TABLE)).save(tmp_path / "explanation.npz")
    assert attribution.Explanation.load(tmp_path / "explanation.npz").feature_names == COLUMNS


# What is called with samples, and gives arrays. Each is made anew, so that nothing is remembered.
ENTRIES = {
    "activations": lambda model, x: features.activations(model, x, ["conv"], batch_size=BATCH),
    "attention_maps": lambda model, x: _attended(features.attention_maps(model, x, batch_size=BATCH)),
    "extreme_examples": lambda model, x: (
        features.extreme_examples(model, x, layer="conv", k=2, batch_size=BATCH).highest.values
    ),
    "reconstruct": lambda model, x: features.reconstruct(model, x, layer="conv", batch_size=BATCH).values,
    "tsne_map": lambda model, x: features.tsne_map(model, x, layer="conv", perplexity=2, seed=0, batch_size=BATCH).points,
    "deep_dream": lambda model, x: (
        features.deep_dream(
            model, x, layers="conv", value_range=(-9, 9), dream=features.Dream(octaves=1, steps=1, jitter=0), seed=0
        ).images
    ),
    "compare": lambda model, x: (
        metrics.compare_methods(model, x, [attribution.Saliency(model, batch_size=BATCH)], [metrics.Sparseness()])
        .explanations["Saliency"]
        .values
    ),
    "fbi_penalty": lambda model, x: losses.fbi_penalty(model, x, target="predicted"),
    "ActivationStatistics": lambda model, x: _statistics(model, x),
    "ExplanationLogger": lambda model, x: _logged(model, x),
    "OpenBox": lambda model, x: _pieces(OpenBox(model, batch_size=BATCH)(x, verbose=0)),
    "OpenBox of a layer": lambda model, x: _pieces(OpenBox(model, layer="conv", batch_size=BATCH)(x, verbose=0)),
    "RegionClassifier": lambda model, x: RegionClassifier(OpenBox(model, batch_size=BATCH), verbose=0).fit(x).regions_.names,
    "merge": lambda model, x: merge_regions(OpenBox(model, batch_size=BATCH), x, 2, verbose=0).coef,
    "prune": lambda model, x: prune_regions(OpenBox(model, batch_size=BATCH), x, 2, verbose=0).coef,
    "contains": lambda model, x: OpenBox(model, batch_size=BATCH)(X, verbose=0).contains(x),
    "predict": lambda model, x: OpenBox(model, batch_size=BATCH)(X, verbose=0).predict(x),
}


def _attended(found):
    return [found.maps["attention"], found.inputs]


def _pieces(local):
    return [local.x, local.scores, local.coef, local.intercept]


def _trained(model, callback):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.compile("sgd", "sparse_categorical_crossentropy")
    made = callback(copy)
    copy.fit(X, Y, epochs=2, verbose=0, shuffle=False, callbacks=[made])
    return made


def _statistics(model, x):
    found = _trained(model, lambda copy: callbacks.ActivationStatistics(x, batch_size=BATCH)).statistics
    return [values for by_name in found.values() for values in by_name.values()]


def _logged(model, x, folder=None):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return _trained(
            model, lambda copy: callbacks.ExplanationLogger(attribution.Saliency(copy, batch_size=BATCH), x, folder=folder)
        ).latest.values


@pytest.mark.parametrize("entry", quickly(ENTRIES, "activations", "fbi_penalty", "OpenBox"))
def test_entries(entry, images, transformer):
    run, model = ENTRIES[entry], transformer if entry == "attention_maps" else images
    expected = run(model, X)
    for make in (KINDS if entry not in ("ExplanationLogger", "tsne_map", "deep_dream") else STREAMS).values():
        _same(run(model, make(X)), expected)


def test_region_classifier_predicts(table):
    classifier = RegionClassifier(OpenBox(table, batch_size=BATCH), verbose=0).fit(TABLE)
    for make in STREAMS.values():
        _same(classifier.predict_proba(make(TABLE)), classifier.predict_proba(TABLE))


@pytest.mark.slow
def test_groups(table):
    box = OpenBox(table, batch_size=BATCH)
    groups = merge_regions(box, TABLE, 2, verbose=0)
    for make in (*STREAMS.values(), TABLES["DataFrame"]):
        _same(groups.predict_proba(make(TABLE)), groups.predict_proba(TABLE))
        one, other = (flatten_regions(groups, x, verbose=0).fidelity(TABLE) for x in (make(TABLE), TABLE))
        assert one == other
        one, other = (fidelity_curve(box, x, sizes=[2], verbose=0) for x in (make(TABLE), TABLE))
        pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize("kind", ["arrays", "tf.data", "PyDataset", "generator", "generator of lists"])
def test_diagnosis(kind, images):
    make = {
        "arrays": lambda: (X.tolist(), pd.Series(Y)),
        "tf.data": lambda: (dataset(X, Y), None),
        "PyDataset": lambda: (STREAMS["PyDataset of (x, y)"](X), None),
        "generator": lambda: (in_batches(X, Y), None),
        "generator of lists": lambda: ((batch[0].tolist(), batch[1]) for batch in in_batches(X, Y)),
    }[kind]
    given = make() if kind != "generator of lists" else (make(), None)
    expected = diagnosis.diagnose(images, X, Y, ["conv"], k=2, protocol=QUICK)
    assert repr(diagnosis.diagnose(images, *given, ["conv"], k=2, protocol=QUICK)) == repr(expected)
    callback = callbacks.NeighborhoodHit(*(make() if kind != "generator of lists" else (make(), None)), ["conv"], k=2)
    images.compile("sgd", "sparse_categorical_crossentropy")
    images.fit(X, Y, epochs=1, verbose=0, callbacks=[callback], steps_per_epoch=1)
    assert 0 <= callback.hits["conv"][0] <= 1


@pytest.mark.parametrize("kind", quickly([*KINDS, *TABLES], "tf.data", "generator", "DataFrame"))
def test_pretraining(kind):
    found = []
    for x in (TABLE, (KINDS | TABLES)[kind](TABLE)):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,), name="table"), RBMDense(3), layers.Dense(2)])
        pretrain(model, x, epochs=2, batch_size=BATCH, shuffle=False, verbose=0, jit_compile=False)
        found.append(model.get_weights())
    _same(*found, exact=False)


def test_fbi_penalty_of_a_dataset_takes_its_labels(images):
    expected = losses.fbi_penalty(images, X, Y, per_layer=True)
    found = losses.fbi_penalty(images, dataset(X, Y), per_layer=True)
    assert list(found) == list(expected)
    _same(found, expected, exact=False)
    with pytest.raises(ValueError, match="y=None with a dataset"):
        losses.fbi_penalty(images, dataset(X, Y), Y)
    loss = losses.FBILoss("sparse_categorical_crossentropy")
    assert float(loss(images, X.tolist(), Y)) == pytest.approx(float(loss(images, tf.constant(X), Y)))


def test_lime_and_shap_take_tables_as_background(table):
    frame = TABLES["DataFrame"](TABLE)
    for make in (
        lambda background: attribution.LIME(table, background=background, seed=0, num_samples=30)(TABLE[:2]),
        lambda background: attribution.DeepSHAP(table)(dataset(TABLE[:6]), baseline=background),
    ):
        _same(make(frame).values, make(TABLE).values)


@pytest.mark.parametrize("target", [Y, Y.tolist(), 1, None, lambda scores: scores[:, 0]])
def test_targets_of_datasets(target, table):
    method = attribution.Saliency(table, batch_size=BATCH)
    _same(method(dataset(TABLE, Y), target).values, method(TABLE, target).values)


@pytest.mark.parametrize("argument", ["target", "baseline"])
@pytest.mark.parametrize("count", [5, 9, 11])
def test_as_many_targets_and_baselines_as_samples(argument, count, table):
    method = attribution.IntegratedGradients(table, batch_size=BATCH, steps=2)
    given = {"target": np.zeros(count, int), "baseline": np.zeros((count, 4))}[argument]
    with pytest.raises(ValueError, match=f"Expected one {argument} per sample"):
        method(dataset(TABLE), **{argument: given})
    whole = {"target": Y, "baseline": TABLE[::-1]}[argument]
    _same(method(dataset(TABLE), **{argument: whole}).values, method(TABLE, **{argument: whole}).values)
