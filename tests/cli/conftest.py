"""Models and data as files, and the command line run within the process."""

import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from keras import layers

from keras_xai.cli import main

COLUMNS = ["length", "width", "height", "weight"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command in a folder of its own, and returns its result."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder with saved models."""
    folder = tmp_path_factory.mktemp("models")
    keras.utils.set_random_seed(0)
    dense = layers.Dense
    table = keras.Sequential([keras.Input((4,)), dense(8, "relu", name="hidden"), dense(3, "softmax")], name="table")
    table.save(folder / "table.keras")
    table.save(folder / "table.h5")
    table.save_weights(folder / "table.weights.h5")
    inputs = {name: keras.Input((1,), name=name) for name in COLUMNS}
    keras.Model(inputs, dense(3, "softmax")(layers.Concatenate()(list(inputs.values())))).save(folder / "columns.keras")
    for name, shape in (("gray", (8, 8, 1)), ("color", (8, 6, 3))):
        convolution = layers.Conv2D(4, 3, activation="relu")
        keras.Sequential([keras.Input(shape), convolution, layers.Flatten(), dense(3, "softmax")]).save(
            folder / f"{name}.keras"
        )
    rescaled = [keras.Input((8, 6, 3)), layers.Rescaling(1 / 255), layers.Conv2D(4, 3), layers.Flatten(), dense(3, "softmax")]
    keras.Sequential(rescaled).save(folder / "rescaled.keras")
    tokens = [keras.Input((5,), dtype="int32"), layers.Embedding(6, 4), layers.GlobalAveragePooling1D(), dense(1, "sigmoid")]
    keras.Sequential(tokens).save(folder / "tokens.keras")
    keras.Sequential([keras.Input((12, 2)), layers.Flatten(), dense(2, "softmax")]).save(folder / "series.keras")
    return folder


@pytest.fixture
def frame():
    """A table with labels, which the model `table` takes."""
    x = np.random.default_rng(0).normal(size=(30, 4)).round(3)
    return pd.DataFrame(x, columns=COLUMNS).assign(kind=[["a", "b", "c"][i % 3] for i in range(30)])
