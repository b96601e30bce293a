"""Nothing of the user's model changes: weights, flags, attributes, graph records, the saved file."""

import zipfile

import keras
import numpy as np
import pytest

from keras_xai.openbox import OpenBox
from tests.slow import quickly
from tests.zoo import ZOO


def _attributes(layer):
    """All that a layer holds, containers by their contents."""
    found = {}
    for name, value in vars(layer).items():
        found[name] = (
            list(map(id, value)) if isinstance(value, (list, tuple)) else repr(value) if np.isscalar(value) else id(value)
        )
    return found


def _everything(model):
    layers = list(model._flatten_layers())
    return {
        "weights": [weight.numpy().tobytes() for weight in model.variables],
        "trainable": [(layer.trainable, layer.built) for layer in layers],
        "attributes": [_attributes(layer) for layer in layers],
        "losses": len(model.losses),
    }


def _saved(model, path):
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        # The metadata hold the time of saving.
        return {name: archive.read(name) for name in archive.namelist() if name != "metadata.json"}


# Statistics and dropout, a layer called twice, models within the model; the others have no more to write to.
@pytest.mark.parametrize("name", quickly(ZOO, "cnn", "nested"))
def test_model_is_only_read(name, tmp_path, digits):
    keras.utils.set_random_seed(0)
    model = ZOO[name]()
    for layer in model.layers[::2]:
        layer.trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    images, labels = digits[0][:64].astype("float32"), digits[1][:64]
    model.fit(images, labels, verbose=0)
    saved = _saved(model, tmp_path / "before.keras")
    predictions = model.predict(images, verbose=0)
    before = _everything(model)

    local = OpenBox(model, dtype="float64")(images[:3], verbose=0)
    local.contains(images[:3])
    local.exit_distance(images[:3])
    local.radius(verbose=0)
    OpenBox(model)(images[:3], outputs=[1], verbose=0)

    after = _everything(model)
    assert after == before
    assert _saved(model, tmp_path / "after.keras") == saved
    np.testing.assert_array_equal(model.predict(images, verbose=0), predictions)


def test_global_state_is_left_alone(digits):
    model = ZOO["cnn"]()
    np.random.seed(0)
    keras.utils.set_random_seed(0)
    expected = (np.random.uniform(), keras.ops.convert_to_numpy(keras.random.uniform(())))
    keras.utils.set_random_seed(0)
    local = OpenBox(model)(digits[0][:3], verbose=0)
    local.radius(verbose=0)
    assert (np.random.uniform(), keras.ops.convert_to_numpy(keras.random.uniform(()))) == expected
    assert keras.config.floatx() == "float32" and keras.config.dtype_policy().name == "float32"


def test_training_goes_on_as_without_the_box(digits):
    images, labels = digits[0][:128].astype("float32"), digits[1][:128]

    def train(use_box):
        keras.utils.set_random_seed(0)
        model = ZOO["cnn"]()
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(images, labels, verbose=0)
        if use_box:
            OpenBox(model)(images[:3], verbose=0).radius(verbose=0)
        model.fit(images, labels, verbose=0)
        return model.get_weights()

    for plain, boxed in zip(train(False), train(True), strict=True):
        np.testing.assert_array_equal(plain, boxed)
