"""What `explain` refuses before any work."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_xai
from tests.explaining.models import CLASSES, images, table, texts


@pytest.fixture
def no_work(monkeypatch):
    """Any work fails."""

    def fail(self):
        raise AssertionError("work before the checks")

    monkeypatch.setattr("keras_xai.explaining.work.Work.stages", fail)


def _refused(match, model, x, y=None, **options):
    with pytest.raises(ValueError, match=match):
        keras_xai.explain(model, x, y, **options)


@pytest.mark.usefixtures("no_work")
def test_images_of_another_size_or_mode():
    model, x, _ = images()
    _refused(r"Expected images of 12 x 12 pixels.*Received: images of 10 x 12.*target_size=\(12, 12\)", model, x[:, 1:-1])
    _refused("Expected gray images.*Received: RGB images.*color_mode='grayscale'", model, np.repeat(x, 3, axis=-1))
    colored = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2)])
    for channels, mode in ((1, "gray"), (4, "RGB with alpha")):
        _refused(f"Expected RGB images.*Received: {mode} images.*color_mode='rgb'", colored, np.zeros((2, 8, 8, channels)))


@pytest.mark.usefixtures("no_work")
def test_names_and_labels_of_another_number():
    model, x, y = images()
    _refused("`class_names` to be a list of 2 names", model, x, class_names=["a", "b", "c"])
    _refused("class_names='imagenet', which has 1,000", model, x, class_names="imagenet")
    _refused("one for each of 80 samples", model, x, y[:-1])
    _refused("labels `y` from 0 to 1", model, x, y + 1)
    _refused("`class_names` with labels `y` that are words", model, x, np.array(["left"] * 80))
    _refused("which several of `class_names` are", model, x, np.array(["left"] * 80), class_names=["left", "left"])
    _refused("which are none of", model, x, np.array(["middle"] * 80), class_names=CLASSES)
    frame = table()[1]
    _refused("`feature_names` to be a list of 4 names", table()[0], frame, feature_names=["a"])
    _refused("`vocabulary` with a word for each token", texts()[0], texts()[1], vocabulary=["a", "b"])
    _refused("`vocabulary` for a model of tokens", model, x, vocabulary=["a"])
    _refused("no `background` for a model without columns", model, x, background=x)


@pytest.mark.usefixtures("no_work")
def test_nothing_to_explain():
    model, x, _ = images()
    _refused("at least one sample", model, x[:0])
    _refused("finite numbers", model, np.full_like(x, np.nan))
    for seconds in (0, -1, np.nan, "60"):
        _refused("`seconds` to be a positive number", model, x, seconds=seconds)
    with pytest.raises(TypeError, match="Expected a `keras.Model`"):
        keras_xai.explain("model", x)


@pytest.mark.usefixtures("no_work")
def test_labels_of_several_classes():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, "sigmoid")])
    x, y = np.zeros((3, 4)), np.eye(3)
    _refused(r"1 other rows, first y\[1\]=\[1.0, 1.0, 0.0\]", model, x, y + np.eye(3)[[0, 0, 0]] * [[0], [1], [0]])
    _refused(r"first y\[2\]=\[0.0, 0.0, 0.0\]", model, x, y * [[1], [1], [0]])


def test_answers_that_are_no_numbers():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2, "softmax")(keras.ops.log(inputs)))
    x = np.ones((5, 4))
    x[3] = -1
    _refused("NaN or infinity for 1 of 5 samples, first for sample 3", model, x, verbose=0)
