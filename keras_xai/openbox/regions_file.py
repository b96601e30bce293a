"""The file of a `RegionClassifier`: an `.npz` archive without pickled objects, written whole or not at all."""

import json
import os
import pathlib
import uuid
import zipfile
import zlib
from typing import Any

import numpy as np

FORMAT = "keras_xai regions"
VERSION = 1
_WRITER = "`RegionClassifier.save`"


def write(path: Any, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Writes a file, so that what was at `path` is there until the new one is complete.

    Args:
        path: Where to; no suffix is added.
        header: What JSON can hold.
        arrays: By name, of numbers or strings.
    """
    path = pathlib.Path(path)
    text = json.dumps({"format": FORMAT, "version": VERSION, **header})
    # In the same folder, because a file can be renamed in one step within one file system only.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            np.savez(file, allow_pickle=False, header=np.array(text), **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Any, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays called `names`.

    Raises:
        ValueError: If the file is not one of these, is incomplete or corrupted, or of a later version.
    """
    with open(path, "rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise _refusal(path, "a file that is no archive")
            header = _header(path, archive)
            return header, {name: archive[name] for name in names}
        except zlib.error as error:
            raise _refusal(path, f"a corrupted file ({error})") from error
        except KeyError as error:
            raise _refusal(path, f"an archive without the entry {error}") from error
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise _refusal(path, f"a truncated, corrupted or other file ({error})") from error
        except ValueError as error:
            if _WRITER in str(error):
                raise
            raise _refusal(path, f"a corrupted or other file ({error})") from error


def _header(path, archive):
    if "header" not in archive.files:
        raise _refusal(path, f"an archive with the entries {sorted(archive.files)} and without a header")
    try:
        header = json.loads(str(archive["header"]))
        found, version = header["format"], header["version"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise _refusal(path, "an archive whose header cannot be read") from error
    if found != FORMAT:
        raise _refusal(path, f"a file of the format {found!r}")
    if version != VERSION:
        hint = "a later version of keras_xai wrote it; use that one" if version > VERSION else "no version of keras_xai wrote that"
        raise _refusal(path, f"version {version} of the format where {VERSION} can be read ({hint})")
    return header


def _refusal(path, received):
    return ValueError(f"Expected a file written by {_WRITER}. Received: {received}, {os.fspath(path)!r}.")
