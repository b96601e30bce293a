"""The backend that Keras runs on is the one that is used, or is refused once it is chosen."""

import importlib.util
import os
import subprocess
import sys

import pytest

from keras_xai import backend
from keras_xai.backend import tensorflow

# A Keras of which only the name of its backend can be asked: what is refused must be refused before anything else is done, and
# no other backend need be installed.
STUB = "import sys, types; sys.modules['keras'] = types.SimpleNamespace(config=types.SimpleNamespace(backend=lambda: {!r})); "
IMPORT = """
import sys
try:
    import keras_xai{}
except ImportError as error:
    print(error)
else:
    print("imported")
print("tensorflow" in sys.modules)
"""


def _import(before="", submodule="", **environment):
    code = before + IMPORT.format(submodule)
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=os.environ | environment
    ).stdout
    return found.splitlines()


@pytest.mark.parametrize("submodule", ["", ".openbox"])
@pytest.mark.parametrize("name", ["jax", "torch", "numpy", "openvino"])
def test_other_backends_are_refused_before_tensorflow_is_imported(name, submodule):
    assert _import(STUB.format(name), submodule) == [
        "Expected Keras to run on the backend 'tensorflow', the only one that keras_xai supports. Received: the backend "
        f"'{name}'. Set the environment variable KERAS_BACKEND=tensorflow before Keras is imported, or "
        '"backend": "tensorflow" in `~/.keras/keras.json`.',
        "False",
    ]


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_other_backends_that_are_installed_are_refused(name):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    message, imported = _import(submodule=".openbox", KERAS_BACKEND=name)
    assert f"Received: the backend '{name}'" in message
    assert imported == "False"


@pytest.mark.slow
def test_tensorflow_is_taken():
    assert _import(submodule=".openbox", KERAS_BACKEND="tensorflow") == ["imported", "True"]


def test_the_package_alone_loads_no_backend():
    """So that the command line shows its help at once."""
    assert _import() == ["imported", "False"]


def test_interface_is_what_a_backend_provides():
    assert set(tensorflow.__all__) < set(backend.__all__)
    assert all(getattr(backend, name) is getattr(tensorflow, name) for name in tensorflow.__all__)
