"""Files of plain arrays and of what tells them apart, without pickles."""

import json
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np


def write(path: str | pathlib.Path, fields: Mapping[str, Any]) -> None:
    """Writes an `.npz` file.

    Args:
        path: Of the file; `.npz` is added where it is missing, as `numpy.savez` does.
        fields: From names to arrays, texts, numbers, `None`, and lists, tuples and dicts of these. Of a function only its name is kept.
    """
    arrays: dict[str, np.ndarray] = {}

    def stored(value):
        if isinstance(value, np.generic):
            value = value.item()
        if callable(value):
            return {"text": getattr(value, "__name__", repr(value))}
        if value is None or isinstance(value, (str, float, int)):
            return {"plain": value}
        if isinstance(value, Mapping):
            return {"dict": {str(key): stored(each) for key, each in value.items()}}
        if isinstance(value, (list, tuple)):
            return {"tuple" if isinstance(value, tuple) else "list": [stored(each) for each in value]}
        name = f"array_{len(arrays)}"
        arrays[name] = np.asarray(value)
        if arrays[name].dtype.hasobject:
            raise TypeError(
                f"Expected arrays of numbers or texts to write to a file. Received: {type(value).__name__} of objects."
            )
        return {"array": name}

    header = json.dumps({name: stored(value) for name, value in fields.items()})
    contents: dict[str, Any] = {"header": np.array(header), **arrays}
    np.savez_compressed(path, **contents)


def read(path: str | pathlib.Path, writer: str) -> dict[str, Any]:
    """The fields that `write` has written.

    Args:
        path: Of the file.
        writer: The public method that writes such files, for the error.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not one that `write` has written.
    """
    path = pathlib.Path(path)
    if not path.exists():
        path = path.with_name(f"{path.name}.npz")  # what `write` adds
        path.stat()
    if not zipfile.is_zipfile(path):
        raise ValueError(f"Expected a file written by `{writer}`. Received: '{path}', which is no `.npz` file.")
    with np.load(path, allow_pickle=False) as file:
        if "header" not in file:
            raise ValueError(f"Expected a file written by `{writer}`. Received: '{path}', which holds {file.files}.")

        def restored(stored):
            ((kind, value),) = stored.items()
            if kind == "array":
                return file[value]
            if kind == "dict":
                return {key: restored(each) for key, each in value.items()}
            if kind in ("list", "tuple"):
                return (tuple if kind == "tuple" else list)(restored(each) for each in value)
            return value

        return {name: restored(stored) for name, stored in json.loads(str(file["header"])).items()}
