"""Architectures of `keras.applications`, random weights: large, nested, branched."""

import keras
import numpy as np
import pytest

from keras_xai.openbox import OpenBox, UnsupportedLayerError

pytestmark = pytest.mark.slow


def _model(name, size):
    keras.utils.set_random_seed(0)
    backbone = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), include_top=False, pooling="avg")
    return keras.Sequential([keras.Input((size, size, 3)), backbone, keras.layers.Dense(10, activation="softmax")])


@pytest.mark.parametrize(
    "name, size",
    [
        ("VGG16", 32),
        ("ResNet50", 32),
        ("ResNet50V2", 32),
        ("MobileNet", 32),
        ("MobileNetV2", 32),
        ("DenseNet121", 32),
        ("InceptionV3", 75),
        ("Xception", 71),
        ("NASNetMobile", 32),
    ],
)
def test_piecewise_linear_architectures(name, size):
    """At the smallest size that each takes; `.ci/run` runs this in its stage of slow tests."""
    model = _model(name, size)
    x = np.random.default_rng(0).uniform(size=(2, size, size, 3))
    box = OpenBox(model, dtype="float64")
    local = box(x, outputs=[0, 7], verbose=0)
    np.testing.assert_allclose(keras.ops.softmax(local.scores), model(x, training=False), atol=1e-5)
    direction = np.random.default_rng(1).normal(size=x.shape)
    step = local.exit_distance(direction)[:, None, None, None] * direction
    assert local.contains(x + 0.9 * step).all() and not local.contains(x + 1.1 * step).any()
    actual = box(x + 0.9 * step, outputs=[0], verbose=0).scores
    assert np.abs(local.predict(x + 0.9 * step) - actual[:, [0, 7]]).max() <= 1e-9 * np.abs(actual).max()


@pytest.mark.parametrize(
    "name, reason",
    [
        ("EfficientNetB0", r"'efficientnetb0/stem_activation' \(Silu\): its activation is curved"),
        (
            "MobileNetV3Small",
            r"'MobileNetV3Small/activation\w*' \(HardSilu\): its activation is curved",
        ),
        ("ConvNeXtTiny", r"convnext_tiny_stem_layernorm' \(LayerNormalization\): it divides by statistics"),
    ],
)
def test_other_architectures_are_refused(name, reason):
    with pytest.raises(UnsupportedLayerError, match=reason):
        OpenBox(_model(name, 32))
