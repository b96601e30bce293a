"""The fields of a result as an archive: nested dicts, lists and tuples of arrays, strings and numbers."""

import pathlib
from collections.abc import Mapping
from typing import Any, final

import numpy as np

from keras_xai.data import archive
from keras_xai.data.checks import check_path

_VERSION = 1


@final
class LostFunction:
    """Placeholder for a function of a saved result; the file holds only its name.

    It is equal to another one with the same name. It cannot be called: pass the function again where it is needed.

    Args:
        name: Name of the function.
    """

    def __init__(self, name: str):
        self.__name__ = name

    def __repr__(self) -> str:
        return f"<function {self.__name__!r}, not in the file>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LostFunction) and other.__name__ == self.__name__

    def __hash__(self) -> int:
        return hash(self.__name__)

    def __call__(self, *args: Any) -> Any:
        """Raises a `ValueError`."""
        raise ValueError(
            f"Expected a `target` to call. Received: {self!r}. The result was read from a file, which holds the names of functions only: "
            "pass the function again, for example by `dataclasses.replace(explanation, target=function)`."
        )


def write_fields(path: str | pathlib.Path, fields: Mapping[str, Any], kind: str) -> None:
    """Writes the fields of a result to an `.npz` file.

    Args:
        path: Path of the file; `.npz` is appended if missing, as in `numpy.savez`.
        fields: Maps names to arrays, strings, numbers, `None`, slices, and lists, tuples and dicts of these. For a function only its name
            is kept.
        kind: Name of the result's class.

    Raises:
        TypeError: If an array contains objects.
        IsADirectoryError: If the path is a folder.
        FileNotFoundError: If the folder of the file does not exist.
    """
    arrays: dict[str, np.ndarray] = {}

    def stored(value):
        if isinstance(value, np.generic):
            value = value.item()
        if callable(value):
            return {"text": getattr(value, "__name__", repr(value))}
        if value is None or isinstance(value, (str, float, int)):
            return {"plain": value}
        if isinstance(value, slice):
            return {"slice": [stored(each) for each in (value.start, value.stop, value.step)]}
        if isinstance(value, Mapping):
            return {"dict": {str(key): stored(each) for key, each in value.items()}}
        if isinstance(value, (list, tuple)):
            return {"tuple" if isinstance(value, tuple) else "list": [stored(each) for each in value]}
        name = f"array_{len(arrays)}"
        arrays[name] = np.asarray(value)
        if arrays[name].dtype.kind == "V" and arrays[name].dtype.names is None:
            arrays[name] = arrays[name].astype("float32")  # bfloat16 and the like, which NumPy's files do not know
        if arrays[name].dtype.hasobject:
            raise TypeError(
                f"Expected arrays of numbers or strings to write to a file. Received: {type(value).__name__} of objects."
            )
        return {"array": name}

    header = {"format": _format(kind), "version": _VERSION, "fields": {name: stored(value) for name, value in fields.items()}}
    archive.check_is_file_name(path)
    path = pathlib.Path(path)
    if path.suffix != ".npz":
        path = path.with_name(f"{path.name}.npz")
    archive.write(path, header, arrays, compressed=True)


def read_fields(path: str | pathlib.Path, kind: str) -> dict[str, Any]:
    """Reads the fields written by `write_fields`.

    Args:
        path: Path of the file.
        kind: Name of the result's class.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file was not written by `kind.save`, or is incomplete or corrupted.
    """
    check_path("path", path)
    path = pathlib.Path(path)
    if not path.exists() and path.suffix != ".npz":
        path = path.with_name(f"{path.name}.npz")  # the suffix that `write_fields` adds
    writer = f"{kind}.save"
    header, arrays = archive.read(path, _format(kind), _VERSION, writer)

    def restored(stored):
        ((tag, value),) = stored.items()
        if tag == "array":
            return arrays.pop(value)  # a file that takes one array many times would fill the memory
        if tag == "dict":
            return {key: restored(each) for key, each in value.items()}
        if tag == "slice":
            return slice(*(restored(each) for each in value))
        if tag in ("list", "tuple"):
            return (tuple if tag == "tuple" else list)(restored(each) for each in value)
        if tag == "text" and isinstance(value, str):
            return LostFunction(value)
        if tag not in ("plain", "text") or not (value is None or isinstance(value, (str, float, int))):
            raise ValueError(f"a value that is {tag!r}")
        return value

    try:
        fields = {name: restored(stored) for name, stored in header["fields"].items()}
        if arrays:
            raise ValueError(f"{sorted(arrays)} belong to no field")
        return fields
    except Exception as error:  # an invalid header can cause any error
        raise archive.refusal(path, writer, f"an archive whose header and entries do not belong together ({error})") from error


def _format(kind):
    return f"keras_xai {kind}"
