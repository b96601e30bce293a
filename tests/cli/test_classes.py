"""Labels as classes, or as numbers."""

import click
import keras
import numpy as np
import pytest

from keras_xai.cli.classes import label_indices, numbers, predicts_number, target_index, written
from keras_xai.cli.errors import Failure


@pytest.fixture(scope="module")
def model(models):
    return keras.saving.load_model(models / "table.keras")


@pytest.mark.parametrize(
    "y, names, found",
    [
        (["1", "2", "1"], ["1", "2", "3"], [0, 1, 0]),  # names that look like indices
        (["01", "03"], ["01", "02", "03"], [0, 2]),
        (["1", "2", "0"], ["1", "2", "3"], [1, 2, 0]),  # 0 is no name
        (["1.0", "2.0"], None, [1, 2]),
        (["True", "False"], None, [1, 0]),
        ([1, 2], ["1", "2", "3"], [1, 2]),  # an array holds indices
    ],
)
def test_labels_as_they_are_written(model, y, names, found):
    assert label_indices(np.array(y), names, model).tolist() == found


def test_labels_that_are_no_classes(model):
    with pytest.raises(Failure, match="from 0 to 2.*Received: 3"):
        label_indices(np.array(["1", "3"]), None, model)
    with pytest.raises(Failure, match="from 0 to 2.*Received: 0.5"):
        label_indices(np.array(["0.5", "1"]), None, model)
    with pytest.raises(Failure, match="The labels are names"):
        label_indices(np.array(["x", "1"]), None, model)
    with pytest.raises(Failure, match="labels crane are each the name of several classes"):
        label_indices(np.array(["crane", "x"]), ["crane", "x", "crane"], model)


def test_a_target_that_names_several_classes(model):
    assert target_index("x", ["crane", "x", "crane"], model) == 1
    with pytest.raises(click.BadParameter, match="'crane' is the name of several classes. Give an index: 0, 2."):
        target_index("crane", ["crane", "x", "crane"], model)
    with pytest.raises(click.BadParameter, match="Received: '²'"):
        target_index("²", None, model)


def test_strings_as_numbers():
    assert numbers(np.array(["1.5", "-2"])).tolist() == [1.5, -2]
    assert written(np.array(["7", "8"]), ["7", "9"]).tolist() == [7, 8]
    assert numbers(None) is None and numbers(np.array(["a", "1"])).tolist() == ["a", "1"]


def test_models_that_predict_a_number():
    layers = keras.layers
    assert predicts_number(keras.Sequential([keras.Input((4,)), layers.Dense(1)]))
    assert not predicts_number(keras.Sequential([keras.Input((4,)), layers.Dense(1, "sigmoid")]))
    assert not predicts_number(keras.Sequential([keras.Input((4,)), layers.Dense(2)]))
