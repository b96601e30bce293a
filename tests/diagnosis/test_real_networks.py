"""SqueezeNet on CIFAR-10: what ImageNet has taught it tells classes apart with depth, random weights do not."""

import keras
import numpy as np
import pytest

from keras_xai.diagnosis import Protocol, block_ends, compare_networks, diagnose


@pytest.mark.slow
def test_pretrained_and_random_weights(data_folder):
    model = keras.models.load_model(data_folder / "models" / "squeezenet_v1.1.keras", compile=False)
    assert block_ends(model) == ["pool1", "pool3", "pool5", "fire9_concat"]
    keras.utils.set_random_seed(0)
    twin = keras.models.clone_model(model)
    with np.load(data_folder / "cifar10_subset.npz") as file:
        x, y = file["x_test"], file["y_test"]
    x = x[..., ::-1] - np.array([104, 117, 123], "float32")  # small images: they are resized on the way
    reports = [
        diagnose(each, x, y, ["pool1", "fire9_concat"], protocol=Protocol(samples=500, repeats=1, maps="mean"))
        for each in (model, twin)
    ]
    for attribute in ("neighborhood_hit", "activation_hit"):
        first, last = (getattr(layer, attribute) for layer in reports[0].layers.values())
        assert last.low > first.high
        first, last = (getattr(layer, attribute) for layer in reports[1].layers.values())
        assert last.mean < first.mean + 0.01
    compared = compare_networks(*reports, names=("pretrained", "random"))
    assert compared.pairs[-1].difference.low > 0.1
    assert compared.summary.startswith("random is behind pretrained")
