"""Permutation importance: against scikit-learn with the model as an estimator, and a plain loop."""

import pickle

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import permutation_importance

from keras_xai.attribution import FeatureImportance, PermutationImportance

COLUMNS = ["age", "height", "weight", "noise"]


@pytest.fixture(scope="module")
def table():
    """Samples and their classes, which depend on the first three columns."""
    x = np.random.default_rng(0).normal(size=(300, 4)).astype("float32")
    return x, (2 * x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(int)


@pytest.fixture(scope="module")
def network(table):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(16, "relu"), layers.Dense(2, "softmax")])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*table, epochs=15, verbose=0)
    return model


class Estimator(ClassifierMixin, BaseEstimator):
    """A Keras model as scikit-learn sees it."""

    def __init__(self, model):
        self.model = model
        self.classes_ = np.arange(2)

    def fit(self, x, y):
        return self

    def predict_proba(self, x):
        return self.model.predict(x, verbose=0).astype("float64")

    def predict(self, x):
        return self.predict_proba(x).argmax(axis=1)

    def __sklearn_is_fitted__(self):
        return True


@pytest.mark.parametrize("metric, scoring", [("accuracy", "accuracy"), (None, "neg_log_loss")])
def test_importance_is_that_of_scikit_learn(network, table, metric, scoring):
    found = PermutationImportance(network, metric=metric, num_repeats=4, seed=3, batch_size=64)(*table)
    theirs = permutation_importance(Estimator(network), *table, scoring=scoring, n_repeats=4, random_state=3)
    close = {"rtol": 1e-4, "atol": 1e-5}  # Keras clips probabilities
    np.testing.assert_allclose(found.importances, theirs.importances, **close)
    np.testing.assert_allclose(found.mean, theirs.importances_mean, **close)
    np.testing.assert_allclose(found.std, theirs.importances_std, **close)
    assert found.mean.argmax() == 0 and found.mean.argmin() == 3
    assert found.higher_is_better == (metric == "accuracy")
    evaluated = network.evaluate(*table, verbose=0)
    assert found.score == pytest.approx(evaluated[1 if metric else 0], abs=1e-5)
    other = PermutationImportance(network, metric=metric, num_repeats=4, seed=4)(*table)
    assert np.abs(other.importances - found.importances).max() > 1e-4


def test_groups_are_permuted_together(network, table):
    """With one permutation, which scikit-learn draws from the seed, in a plain loop."""
    x, y = table
    found = PermutationImportance(network, metric="accuracy", groups=[5, 2, 2, 7], num_repeats=1, seed=1)(x, y)
    assert found.feature_names == ["2", "5", "7"]
    alone = PermutationImportance(network, metric="accuracy", num_repeats=1, seed=1)(x, y)
    np.testing.assert_array_equal(found.importances[[1, 2]], alone.importances[[0, 3]])

    seen = []

    def kept(labels, predictions):
        seen.append(predictions)
        return (labels == predictions.argmax(axis=1)).mean()

    PermutationImportance(network, metric=kept, groups=[0, 1, 1, 0], num_repeats=1, seed=1)(x, y)
    # Whatever the permutation, it is one of pairs: each of the scores is that of columns 1 and 2 of one sample in another.
    mixed = x.copy()
    state = np.random.RandomState(np.random.RandomState(1).randint(np.iinfo(np.int32).max + 1))
    order = np.arange(300)
    state.shuffle(order)
    mixed[:, 1:3] = x[order, 1:3]
    np.testing.assert_allclose(seen[2], network.predict(mixed, verbose=0), atol=1e-5)
    mixed[:, 2] = x[:, 2]
    assert np.abs(seen[2] - network.predict(mixed, verbose=0)).max() > 0.1


def test_inputs_of_images_and_tables():
    image, row = keras.Input((4, 4, 2), name="image"), keras.Input((2,), name="row")
    joined = layers.Concatenate()([layers.GlobalAveragePooling2D()(layers.Cropping2D(((0, 2), (0, 2)))(image)), row])
    model = keras.Model({"image": image, "row": row}, layers.Dense(1, kernel_initializer="ones")(joined))
    rng = np.random.default_rng(0)
    x = {"image": rng.normal(size=(40, 4, 4, 2)), "row": rng.normal(size=(40, 2)) * [1, 3]}
    y = model.predict(x, verbose=0)[:, 0]
    found = PermutationImportance(model, metric="mse", groups=2, seed=0, batch_size=7)(x, y)
    assert found.feature_names == [*(f"image {i}" for i in range(4)), "row 0", "row 1"]
    assert (np.abs(found.importances[1:4]) < 1e-9).all()  # what is cropped
    assert found.mean[5] > found.mean[4] > found.mean[0] > 0.01
    assert found.score < 1e-9 and not found.higher_is_better
    channels = {"image": np.arange(2).reshape(1, 1, 2), "row": [2, 2]}
    assert len(PermutationImportance(model, metric="mse", groups=channels, seed=0)(x, y)) == 3


@pytest.mark.parametrize(
    "metric, name, higher",
    [
        (keras.metrics.SparseCategoricalAccuracy(name="hits"), "hits", True),
        (keras.losses.SparseCategoricalCrossentropy(), "sparse_categorical_crossentropy", False),
        (keras.losses.sparse_categorical_crossentropy, "sparse_categorical_crossentropy", False),
        ("crossentropy", "crossentropy", False),
        (lambda y, p: (p.argmax(axis=1) == y).astype(float), "<lambda>", True),
    ],
)
def test_metrics(network, table, metric, name, higher):
    found = PermutationImportance(network, metric=metric, num_repeats=2, seed=0)(*table)
    assert (found.metric, found.higher_is_better) == (name, higher)
    like = "accuracy" if higher else None
    expected = PermutationImportance(network, metric=like, num_repeats=2, seed=0)(*table)
    np.testing.assert_allclose(found.importances, expected.importances, atol=1e-5)


def test_the_state_of_a_metric_is_the_users(network, table):
    metric = keras.metrics.SparseCategoricalAccuracy()
    metric.update_state([0], [[0.0, 1.0]])
    PermutationImportance(network, metric=metric, num_repeats=1)(*table)
    assert float(metric.result()) == 0


@pytest.mark.parametrize("units, labels", [(1, "binary"), (3, "sparse"), (3, "one-hot"), (3, "column")])
def test_accuracy_is_chosen_as_by_keras(units, labels):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(units, "sigmoid" if units == 1 else "softmax")])
    x, y = np.random.default_rng(0).normal(size=(50, 4)), np.arange(50) % max(units, 2)
    y = {"one-hot": np.eye(3)[y % 3], "column": y[:, None]}.get(labels, y)
    loss = "mse" if labels in ("binary", "one-hot") else "sparse_categorical_crossentropy"
    model.compile(loss=loss, metrics=["accuracy"])
    assert PermutationImportance(model, metric="accuracy")(x, y).score == pytest.approx(model.evaluate(x, y, verbose=0)[1])


@pytest.mark.parametrize("metric", [None, "binary_crossentropy", keras.losses.binary_crossentropy, "AUC"])
def test_labels_without_the_axis_of_a_single_output(table, metric):
    """`fit` and `evaluate` take labels `(n,)` for predictions `(n, 1)`."""
    keras.utils.set_random_seed(0)
    x, y = table
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, "sigmoid")])
    model.compile(loss="binary_crossentropy", metrics=["AUC"])
    loss, auc = model.evaluate(x, y, verbose=0)
    found = PermutationImportance(model, metric=metric, num_repeats=2, seed=0)
    assert found(x, y).score == pytest.approx(auc if metric == "AUC" else loss, abs=1e-5)
    assert found(x, y) == found(x, y[:, None])


def test_forms_of_data(network, table):
    x, y = table
    importance = PermutationImportance(network, metric="accuracy", num_repeats=2, seed=0)
    expected = importance(x, y)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(70)
    for other in (importance(batches), importance(pd.DataFrame(x, columns=COLUMNS), y), importance(x.tolist(), y.tolist())):
        np.testing.assert_array_equal(other.importances, expected.importances)
    assert importance(pd.DataFrame(x, columns=COLUMNS), y).feature_names == COLUMNS
    assert expected.feature_names == ["0", "1", "2", "3"]
    again = pickle.loads(pickle.dumps(importance))
    np.testing.assert_array_equal(again(x, y).importances, expected.importances)


def test_the_result(network, table, tmp_path):
    found = PermutationImportance(network, metric="accuracy", seed=0)(pd.DataFrame(table[0], columns=COLUMNS), table[1])
    assert found.table.index[0] == "age" and found.table.index[-1] == "noise"
    np.testing.assert_allclose(found.table["mean"]["height"], found.importances[1].mean())
    found.save(tmp_path / "found.npz")
    assert FeatureImportance.load(tmp_path / "found.npz") == found
    assert found[[2, 0]].feature_names == ["weight", "age"] and len(found[1:3]) == 2
    figure = found.plot(top=2, title="mine")
    (axes,) = figure.axes
    order = np.argsort(-found.mean)[:2]
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], found.mean[order])
    assert [text.get_text() for text in axes.get_yticklabels()] == [COLUMNS[i] for i in order]
    ((errors,),) = [each.lines[2] for each in axes.containers if hasattr(each, "lines")]
    lengths = [np.ptp(segment[:, 0]) for segment in errors.get_segments()]
    np.testing.assert_allclose(lengths, 2 * found.std[order])
    assert axes.get_xlabel() == "drop of accuracy when permuted" and axes.get_title() == "mine"


def test_bad_arguments_are_told(network, table):
    x, y = table
    with pytest.raises(ValueError, match="Expected `metric` to be a loss or a metric of Keras.*Received: metric='zz'"):
        PermutationImportance(network, metric="zz")
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="Expected a `metric`, or a model that is compiled"):
        PermutationImportance(plain)
    with pytest.raises(ValueError, match="Expected `num_repeats` to be an integer of at least 1. Received: num_repeats=0"):
        PermutationImportance(network, num_repeats=0)
    with pytest.raises(ValueError, match=r"`groups` .*shape of a sample, \(4,\).*Received: an array of shape \(3,\)"):
        PermutationImportance(network, groups=[0, 1, 2])
    two = keras.Model(plain.inputs, [plain.outputs[0], plain.outputs[0] * 2])
    with pytest.raises(ValueError, match="Expected a model with one output. Received: the outputs"):
        PermutationImportance(two, metric="mse")
    importance = PermutationImportance(network, metric="accuracy", num_repeats=1)
    with pytest.raises(ValueError, match="Expected labels `y`, one for each sample. Received: y=None"):
        importance(x)
    with pytest.raises(ValueError, match="one for each of 300 samples.*Received: an array of shape"):
        importance(x, y[:-1])
    with pytest.raises(
        ValueError, match=r"no more axes than the predictions.* \(300, 2\). Received: labels of shape \(300, 1, 1\)"
    ):
        importance(x, y[:, None, None])
    with pytest.raises(ValueError, match="at least two samples"):
        importance(x[:1], y[:1])
    with pytest.raises(ValueError, match="batches without labels"):
        importance(tf.data.Dataset.from_tensor_slices(x).batch(50))
    with pytest.raises(ValueError, match="Expected y=None with batched samples"):
        importance(tf.data.Dataset.from_tensor_slices((x, y)).batch(50), y)
    with pytest.raises(ValueError, match="the metric '<lambda>' to be a finite number"):
        PermutationImportance(network, metric=lambda y, p: np.nan)(x, y)


def test_a_metric_that_does_not_fit_is_refused_with_the_shapes(table, network):
    with pytest.raises(
        ValueError, match=r"fits labels and predictions.*'mse'.*labels of shape \(300,\) and predictions of shape \(300, 2\)"
    ):
        PermutationImportance(network, metric="mse")(*table)
