"""Pictures of explanations while a network is trained."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_xai.attribution import IntegratedGradients, Saliency
from keras_xai.callbacks import ExplanationLogger
from keras_xai.models import FBIModel


def network():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu", name="conv1"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    return model


@pytest.fixture(scope="module")
def data(digits):
    return digits[0][:64].astype("float32"), digits[1][:64]


def test_pictures_go_to_the_folder_and_to_tensorboard(data, tmp_path):
    x, y = data
    model = network()
    logger = ExplanationLogger(
        Saliency(model), x[:2], y[:2], folder=tmp_path / "new" / "pictures", log_dir=tmp_path / "logs", every=2
    )
    first = Saliency(model)(x[:2], y[:2]).values
    model.fit(x, y, epochs=5, verbose=0, callbacks=[logger])
    files = sorted((tmp_path / "new" / "pictures").iterdir())
    assert [file.name for file in files] == ["Saliency_epoch_0002.png", "Saliency_epoch_0004.png"]
    pictures = [np.asarray(Image.open(file).convert("RGB"), float) for file in files]
    assert pictures[0].std() > 5 and np.abs(pictures[0] - pictures[1]).max() > 5, "the network has learned in between"
    assert np.abs(logger.latest.values - first).max() > 1e-3
    np.testing.assert_array_equal(logger.latest.target, y[:2])
    reader = EventAccumulator(str(tmp_path / "logs"), size_guidance={"tensors": 0}).Reload()
    (tag,) = reader.Tags()["tensors"]
    assert tag == "explanations/Saliency"
    assert [event.step for event in reader.Tensors(tag)] == [1, 3]
    encoded = tf.make_ndarray(reader.Tensors(tag)[0].tensor_proto)[2]
    assert tf.io.decode_png(encoded).shape[-1] == 3


def test_training_is_the_same_with_it(data, tmp_path):
    x, y = data
    weights = []
    for watched in (False, True):
        model = network()
        callbacks = [ExplanationLogger(IntegratedGradients(model, steps=4), x[:2], folder=tmp_path)] if watched else []
        model.fit(x, y, epochs=2, verbose=0, callbacks=callbacks)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_that_regularizes_another(data, tmp_path):
    x, y = data
    model = network()
    regularized = FBIModel(model, weight=1e-3)
    regularized.compile("adam", "sparse_categorical_crossentropy")
    regularized.fit(x, y, epochs=1, verbose=0, callbacks=[ExplanationLogger(Saliency(model), x[:2], folder=tmp_path)])
    assert len(list(tmp_path.iterdir())) == 1


def test_bad_input(data, tmp_path):
    x, y = data
    model = network()
    with pytest.raises(ValueError, match="neither"):
        ExplanationLogger(Saliency(model), x[:2])
    with pytest.raises(ValueError, match="`every`"):
        ExplanationLogger(Saliency(model), x[:2], folder=tmp_path, every=0)
    with pytest.raises(ValueError, match="GradCAM\\(model\\)"):
        ExplanationLogger(Saliency, x[:2], folder=tmp_path)
    before = model.get_weights()
    for logger, message in [
        (ExplanationLogger(Saliency(network()), x[:2], folder=tmp_path / "no"), "shares no weights"),
        (ExplanationLogger(Saliency(model), x[:2, :7], folder=tmp_path / "no"), "shape"),
        (ExplanationLogger(Saliency(model), x[:2], 10, folder=tmp_path / "no"), "from 0 to 9"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.fit(x, y, epochs=1, verbose=0, callbacks=[logger])
    assert not (tmp_path / "no").exists()
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
