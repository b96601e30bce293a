"""Saved models."""

import importlib
import json
import os
import pathlib
import re
import sys
import zipfile
from collections.abc import Sequence
from typing import Any

import click

from keras_xai.cli.errors import Failure, first_line

_EXPECTED = "Expected a Keras model: a .keras or .h5 file, or the folder of a keras-hub preset."


def load_model(path: pathlib.Path, *, modules: Sequence[str] = (), unsafe: bool = False) -> Any:
    """Loads a model.

    Args:
        path: A `.keras` or `.h5` file, an unzipped `.keras` file, or the folder of a keras-hub preset.
        modules: Modules to import first, which register custom layers and functions.
        unsafe: Whether to run Python code that the file contains.

    Returns:
        A `keras.Model`.

    Raises:
        click.BadParameter: If a module cannot be imported.
        Failure: If it is no model, or the model cannot be restored.
    """
    is_preset = path.is_dir() and "keras_hub" in _config(path)
    if not is_preset:
        _check_is_model(path)  # at once, before TensorFlow is loaded
    import keras

    import keras_xai.layers
    import keras_xai.models  # noqa: F401  both register what they define

    for name in modules:
        _import(name)
    model = _preset(path) if is_preset else _restored(path, unsafe)
    if not isinstance(model, keras.Model):
        raise Failure(f"{_EXPECTED} Received: '{path}', which holds a {type(model).__name__}.")
    return model


def _import(name):
    # As `python my_script.py` does, so that a module beside the user is found.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        importlib.import_module(name.removesuffix(".py").replace("/", "."))
    except Exception as error:
        hint = f"The module '{name}' cannot be imported: {type(error).__name__}: {error}. It is searched for in the current folder and "
        raise click.BadParameter(hint + "among the installed packages.", param_hint="'--import'") from error


def _restored(path, unsafe):
    import keras

    try:
        # Without its optimizer and loss, which may be custom and are not needed.
        return keras.saving.load_model(path, compile=False, safe_mode=not unsafe)
    except Exception as error:
        raise Failure(_reason(path, error)) from error


def _check_is_model(path):
    """Raises if it is no file of a model, as far as its format tells."""
    suffix = path.suffix.lower()
    if path.is_dir():
        if (path / "saved_model.pb").exists():
            raise _refused(
                path, "a TensorFlow SavedModel, of which only the outputs can be computed. Save the model by model.save()"
            )
        if not (path / "config.json").exists():
            raise _refused(path, "a folder without a config.json")
    elif suffix == ".keras":
        if not zipfile.is_zipfile(path):
            raise _refused(path, "which is damaged, or no .keras file")
        with zipfile.ZipFile(path) as archive:
            if not {"config.json", "metadata.json"} <= set(archive.namelist()):
                raise _refused(path, "a zip file without the parts of a model")
    elif suffix in (".h5", ".hdf5"):
        _check_hdf5(path)
    else:
        raise _refused(path, f"a file that ends in '{path.suffix}'" if suffix else "a file whose name has no ending")


def _check_hdf5(path):
    import h5py

    if not h5py.is_hdf5(path):
        raise _refused(path, "which is damaged, or no HDF5 file")
    try:
        with h5py.File(path) as file:
            is_whole = "model_config" in file.attrs
    except OSError as error:
        raise _refused(path, "which is damaged") from error
    if not is_whole:
        raise _refused(
            path,
            "which holds weights alone. Build the model, call model.load_weights(), and save it by model.save('model.keras')",
        )


def _refused(path, what):
    return Failure(f"{_EXPECTED} Received: '{path}', {what}.")


def _reason(path, error):
    """Why Keras does not restore a model, and what to do."""
    text = str(error)
    custom = re.search(r"Could not locate (?:class|function) '([^']+)'|Unknown (?:layer|\w+ function|\w+): '?(\w+)", text)
    if custom:
        name = custom[1] or custom[2]
        return (
            f"'{path}' contains '{name}', which Keras does not know. Register it in a module by "
            f"@keras.saving.register_keras_serializable(), and add --import with the name of that module: --import my_module"
        )
    if "ambda" in text and ("safe_mode" in text or "unsafe" in text):
        return (
            f"'{path}' contains Python code, a Lambda layer, which is not run unless you say so. "
            "Add --unsafe if you trust the file, or replace the layer."
        )
    return f"Keras cannot load '{path}': {first_line(text)}"


def _config(folder):
    try:
        return (folder / "config.json").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _preset(path):
    try:
        import keras_hub
    except ImportError as error:
        raise Failure(f"'{path}' is a preset of keras-hub, which is not installed: pip install keras-hub") from error
    try:
        described = path / "task.json"
        if not described.exists():
            return keras_hub.models.Backbone.from_preset(str(path))
        # The base class of tasks loads none by itself.
        kind = getattr(keras_hub.models, json.loads(described.read_text(encoding="utf-8"))["class_name"])
        return kind.from_preset(str(path))
    except Exception as error:
        raise Failure(_reason(path, error)) from error
