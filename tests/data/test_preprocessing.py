"""Preprocessing of images as Keras does it, and back; the names of ImageNet's classes."""

import dataclasses

import numpy as np
import pytest
from keras.applications import imagenet_utils

from keras_xai.data.imagenet import check_class_names, imagenet_names
from keras_xai.data.preprocessing import PREPROCESSINGS, Preprocessing, check_preprocessing


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 4, 5, 3)).astype("float32")


@pytest.mark.parametrize("name", ["caffe", "tf", "torch"])
def test_named_ones_are_those_of_keras(name, images):
    x = imagenet_utils.preprocess_input(images.copy(), mode=name, data_format="channels_last")
    np.testing.assert_allclose(PREPROCESSINGS[name].apply(images), x, atol=1e-4)
    np.testing.assert_allclose(PREPROCESSINGS[name].undo(x), images / 255, atol=1e-6)
    assert PREPROCESSINGS[name].fits(x)
    # No other one of them: each is told apart by the samples that it makes.
    others = [other for other in ("caffe", "tf", "torch") if other != name]
    assert not any(np.allclose(PREPROCESSINGS[other].apply(images), x, atol=0.1) for other in others)


@pytest.mark.parametrize("name", ["caffe", "tf", "torch", "unit", "raw"])
def test_undone_and_saved(name, images):
    found = PREPROCESSINGS[name]
    x = found.apply(images)
    assert x.dtype == "float32" and found.apply(images.astype("uint8")).dtype == "float32"
    np.testing.assert_allclose(found.undo(x), images / 255, atol=1e-6)
    assert Preprocessing.from_fields(found.to_fields()) == found
    assert check_preprocessing(name) is found and check_preprocessing(found) is found and check_preprocessing(None) is None


def test_samples_of_another_preprocessing_do_not_fit(images):
    caffe, unit = PREPROCESSINGS["caffe"], PREPROCESSINGS["unit"]
    assert not caffe.fits(images)  # as without any preprocessing
    assert not caffe.fits(images / 255) and not caffe.fits(images / 127.5 - 1)  # all colors all but the same
    assert not unit.fits(images) and not unit.fits(unit.apply(images) - 0.5)
    assert not caffe.fits(np.full((1, 2, 2, 3), np.nan)) and not caffe.fits(np.zeros((0, 2, 2, 3)))
    # Means that differ by less than a gray level, as in ports of Caffe's networks.
    assert caffe.fits(images[..., ::-1] - [104, 117, 123])
    assert caffe.undo(caffe.apply(images) + 300).max() == 1


def test_bad_preprocessing():
    with pytest.raises(ValueError, match=r"one of \['caffe'.*Received: preprocessing='pytorch'"):
        check_preprocessing("pytorch")
    with pytest.raises(ValueError, match="Received: preprocessing=3"):
        check_preprocessing(3)
    for wrong in ({"scale": 0.0}, {"scale": (1.0, 2.0)}, {"offset": np.nan}, {"offset": "a"}, {"order": "gbr"}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
            Preprocessing(**wrong)
    with pytest.raises(ValueError, match=r"three colors.*Received: shape \(2, 4\)"):
        PREPROCESSINGS["raw"].undo(np.zeros((2, 4)))
    assert dataclasses.astuple(Preprocessing("bgr", 2, np.arange(3))) == ("bgr", (2.0,) * 3, (0.0, 1.0, 2.0))


def test_names_of_imagenet():
    names = imagenet_names()
    assert len(names) == 1000 and names[0] == "tench" and names[281] == "tabby" and names[999] == "toilet tissue"
    assert all(name == name.strip() and name and "_" not in name for name in names)
    assert check_class_names("imagenet") == list(names) == check_class_names("imagenet", 1000)
    assert check_class_names(None) is None and check_class_names(["a", "b"], 2) == ["a", "b"]
    with pytest.raises(ValueError, match="a list of names, or 'imagenet'. Received: class_names='cifar10'"):
        check_class_names("cifar10")
    with pytest.raises(
        ValueError, match="a list of 10 names, one for each class. Received: class_names='imagenet', which has 1,000"
    ):
        check_class_names("imagenet", 10, "class")


@pytest.mark.slow
def test_names_are_those_of_keras_hub():
    keras_hub = pytest.importorskip("keras_hub")
    assert [keras_hub.utils.imagenet_id_to_name(i).replace("_", " ") for i in range(1000)] == list(imagenet_names())
