"""Real pretrained networks on photographs."""

import pathlib
import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai.openbox import OpenBox
from tests.tolerance import rounding

NUM_PHOTOS, NUM_DIRECTIONS = 4, 5


def _photographs(folder, size):
    pillow = pytest.importorskip("PIL.Image")
    paths = sorted((folder / "photos").glob("*.JPEG"))[:NUM_PHOTOS]
    images = np.stack([np.asarray(pillow.open(path).convert("RGB").resize((size, size)), "float64") for path in paths])
    # Dequantized: saturated patches are constant, so that a max pooling over one is exactly on a wall.
    return images + np.random.default_rng(0).uniform(-0.5, 0.5, size=images.shape)


def _squeezenet(folder):
    images = _photographs(folder, 227)
    return keras.models.load_model(folder / "models/squeezenet_v1.1.keras"), images[..., ::-1] - [104.0, 117.0, 123.0]


def _mobilenet(folder):
    keras.utils.set_random_seed(0)
    backbone = keras.models.load_model(folder / "models/mobilenet_v1_to_conv_pw_12.keras")
    head = [layers.GlobalAveragePooling2D(), layers.Dense(1000, activation="softmax")]
    return keras.Sequential([keras.Input((224, 224, 3)), backbone, *head]), _photographs(folder, 224) / 127.5 - 1


def _memory(name):
    """Bytes of memory, by the name that the kernel has for them."""
    lines = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) * 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory in use from /proc")
@pytest.mark.parametrize("load", [_squeezenet, _mobilenet])
def test_top_five_classes_of_a_pretrained_network(load, data_folder):
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # else the peak is that of all tests so far
    before = _memory("VmRSS")
    model, x = load(data_folder)
    box = OpenBox(model, batch_size=2)
    top = np.argsort(-model.predict(x, verbose=0), axis=1)[:, :5]
    local = box(x, outputs=top, verbose=0)
    assert local.coef.shape == (NUM_PHOTOS, 5, *x.shape[1:]) and local.coef.dtype == "float32"

    generator = np.random.default_rng(1)
    for _ in range(NUM_DIRECTIONS):
        direction = generator.normal(size=x.shape)
        direction /= np.linalg.norm(direction.reshape(NUM_PHOTOS, -1), axis=1)[:, None, None, None]
        step = local.exit_distance(direction)[:, None, None, None] * direction
        assert (np.abs(step).max(axis=(1, 2, 3)) > 0).all()
        assert local.contains(x + 0.9 * step).all()
        assert not local.contains(x + 1.1 * step).any()
        actual = np.take_along_axis(box(x + 0.9 * step, outputs=[0], verbose=0).scores, top, axis=1)
        error = np.abs(local.predict(x + 0.9 * step) - actual).max() / np.abs(actual).max()
        assert error <= 1e-4

    with pytest.raises(ValueError, match="passes through the network"):
        local.radius()
    assert _memory("VmHWM") - before < 4 * 2**30


def test_squeezenet_scores_are_its_logits(data_folder):
    model, x = _squeezenet(data_folder)
    local = OpenBox(model)(x[:1], outputs=[0], verbose=0)
    atol = rounding("float32", local.scores, 30)  # by the logits' error a probability's is bounded
    np.testing.assert_allclose(keras.ops.softmax(local.scores), model.predict(x[:1], verbose=0), rtol=0, atol=atol)
