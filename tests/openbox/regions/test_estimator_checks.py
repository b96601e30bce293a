"""scikit-learn's own checks of estimators.

They fit on data of their own, of any number of features and classes, and a pretrained network has a fixed number of both. So
they run on `TinyNetwork`, whose `fit` makes a small network for the data at hand and leaves all else to `RegionClassifier`.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import check_methods_sample_order_invariance, parametrize_with_checks
from sklearn.utils.validation import check_X_y

from keras_xai.openbox import OpenBox, RegionClassifier

# Of the checks that scikit-learn has, all apply, and none is expected to fail. What they cannot tell of a pretrained network:
# whether `fit` takes data of any number of features and classes, which is what `TinyNetwork` adds.
ESSENTIAL = {
    "check_classifiers_classes",
    "check_decision_proba_consistency",
    "check_dict_unchanged",
    "check_do_not_raise_errors_in_init_or_set_param",
    "check_dont_overwrite_attributes",
    "check_estimator_cloneable",
    "check_estimator_sparse_container",
    "check_estimators_nan_inf",
    "check_estimators_pickle",
    "check_estimators_unfitted",
    "check_fit1d",
    "check_fit2d_predict1d",
    "check_get_params_invariance",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_n_features_in_after_fitting",
    "check_parameters_default_constructible",
    "check_set_params",
}


class TinyNetwork(RegionClassifier):
    """A network of one hidden layer for any data: random hidden units beside the features, and a logistic regression of both."""

    def __init__(self, *, hidden: int = 8, cache_bytes: int = 2**20, verbose=0):
        super().__init__(None, cache_bytes=cache_bytes, verbose=verbose)
        del self.box
        self.hidden = hidden

    def fit(self, X, y):  # noqa: N803
        rows, labels = check_X_y(X, y, estimator=self)
        classes, places = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError("Expected labels of two classes or more. Received: one class.")
        return self._fit(OpenBox(_network(rows, places, self.hidden), dtype="float64"), X, y)


def _network(rows, places, hidden):
    d = rows.shape[1]
    center, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    weights = np.random.default_rng(0).normal(size=(d, hidden))
    weights = np.concatenate([np.eye(d), -np.eye(d), weights], axis=1) / scale[:, np.newaxis]
    bias = -center @ weights
    regression = LogisticRegression(C=1e2, max_iter=200).fit(np.maximum(rows @ weights + bias, 0), places)
    network = keras.Sequential(
        [
            keras.Input((d,), dtype="float64"),
            layers.Dense(weights.shape[1], "relu", dtype="float64"),
            layers.Dense(len(regression.coef_), dtype="float64"),
        ]
    )
    network.set_weights([weights, bias, regression.coef_.T, regression.intercept_])
    return network


@pytest.fixture(autouse=True)
def uncompiled():
    """Networks this small run faster than they compile."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def _cases():
    for estimator, check in parametrize_with_checks([TinyNetwork()]).args[1]:
        name = getattr(check, "func", check).__name__
        yield pytest.param(estimator, check, id=name, marks=[] if name in ESSENTIAL else pytest.mark.slow)


@pytest.mark.parametrize("estimator, check", list(_cases()))
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_checks_notice_what_is_wrong():
    """Negative control: a classifier that hands on the classes in another order fails."""

    class Wrong(TinyNetwork):
        def predict(self, X):  # noqa: N803
            return super().predict(X)[::-1]

    with pytest.raises(AssertionError):
        check_methods_sample_order_invariance("Wrong", Wrong())
