"""Samples that are rows of features, checked as scikit-learn's own estimators check theirs."""

from typing import Any

import sklearn.utils.validation
from sklearn.base import BaseEstimator

from keras_xai.data.checks import short
from keras_xai.data.streams import is_stream
from keras_xai.data.structure import in_order
from keras_xai.openbox.engine import Engine


def takes_vectors(box: Engine) -> bool:
    """Whether the model has one input, of shape `(n, d)`."""
    specs = box.sample_graph.input_specs
    return len(specs) == 1 and len(specs[0].shape) == 2


def rows_of_features(estimator: BaseEstimator, box: Engine, x: Any) -> Any:
    """Returns rows of features as an array; samples of other models and datasets are returned unchanged.

    Raises:
        ValueError: If the rows are not finite real numbers, with scikit-learn's message.
        TypeError: If they are a sparse matrix.
    """
    if is_stream(x) or not takes_vectors(box):
        return x
    graph = box.sample_graph
    (rows,) = in_order(x, graph.input_structure, graph.input_specs)
    try:
        return sklearn.utils.validation.check_array(rows, estimator=estimator, input_name="X")
    except (TypeError, ValueError) as error:
        raise type(error)(f"Expected `X` to be rows of finite real numbers. Received: X={short(rows)}. {error}") from error


def hold_features(estimator: BaseEstimator, box: Engine, x: Any, *, reset: bool) -> None:
    """Stores the number and names of features, or compares them with the stored ones.

    Args:
        estimator: The estimator that stores them, as `n_features_in_` and `feature_names_in_`.
        box: The network.
        x: The samples as passed by the user.
        reset: Whether to store instead of compare.

    Raises:
        ValueError: If number or names differ.
    """
    if is_stream(x) or isinstance(x, dict) or not takes_vectors(box):
        return
    try:
        if hasattr(estimator, "_check_n_features"):  # before scikit-learn 1.6
            estimator._check_feature_names(x, reset=reset)
            estimator._check_n_features(x, reset=reset)
        else:
            sklearn.utils.validation.validate_data(estimator, x, reset=reset, skip_check_array=True)
    except ValueError as error:
        raise ValueError(f"{error} Expected `X` to have the features of `fit`. Received: X={short(x)}") from error
