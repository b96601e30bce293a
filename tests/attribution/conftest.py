"""Small networks that several tests of attribution share; none of them changes one."""

import keras
import pytest
from keras import layers


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,), name="table"), layers.Dense(5, "relu"), layers.Dense(3, "softmax")])


@pytest.fixture(scope="module")
def two_by_two():
    """Two inputs by name, two outputs by name; the second output does not depend on the first input."""
    keras.utils.set_random_seed(0)
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    hidden = layers.Dense(6, "relu")(b)
    outputs = {
        "left": layers.Dense(3, "softmax", name="left_scores")(layers.Concatenate()([a, hidden])),
        "right": layers.Dense(1, "sigmoid", name="right_scores")(hidden),
    }
    return keras.Model({"a": a, "b": b}, outputs)
