"""Fixtures: double precision, Ctrl-C, and the zoo of small trained networks."""

import functools
import os
import pathlib
import signal

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.zoo import ZOO, in_dtype


@pytest.fixture
def float64():
    """Layers made in this test compute in float64: that takes the policy, `set_floatx` alone does not do it."""
    with in_dtype("float64"):
        yield


@pytest.fixture
def ctrl_c():
    """A Ctrl-C raises, also in processes in the background, which ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits `(images, labels)`, dequantized, so that no two gray levels are exactly equal."""
    images, labels = load_digits(return_X_y=True)
    noise = np.random.default_rng(0).uniform(size=images.shape)
    return ((images + noise) / 16 - 0.5).reshape(-1, 8, 8, 1), labels


@pytest.fixture(scope="session")
def trained(digits, tmp_path_factory):
    """A function from a name in the zoo to that network, trained on the digits in float64."""
    images, labels = digits
    # Processes of one run have their folders in one, and train each network once.
    folder = tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.mktemp("zoo")

    @functools.cache
    def train(name):
        path = folder / f"{name}.weights.h5"
        with in_dtype("float64"):
            keras.utils.set_random_seed(0)
            model = ZOO[name]()
            model.compile(keras.optimizers.Adam(4e-3), "sparse_categorical_crossentropy")
            if path.is_file():
                model(images[:1])  # builds the layers that serve as activations
                model.load_weights(path)
            else:
                model.fit(images[:1500], labels[:1500], epochs=6, batch_size=64, verbose=0)
                written = path.with_name(f"{os.getpid()}-{path.name}")
                model.save_weights(written)
                written.replace(path)
            accuracy = np.mean(np.argmax(model(images[1500:], training=False), axis=1) == labels[1500:])
        assert accuracy > 0.5, f"the zoo's {name} has not learned anything: {accuracy}"
        return model

    return train


@pytest.fixture(scope="session")
def data_folder():
    """The folder of real data and pretrained networks."""
    folder = os.environ.get("KERAS_XAI_DATA")
    if not folder or not pathlib.Path(folder).is_dir():
        pytest.skip("needs real data: set KERAS_XAI_DATA to its folder")
    return pathlib.Path(folder)
