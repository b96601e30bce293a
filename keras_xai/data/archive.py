"""Atomic file writing, and results as `.npz` archives of plain arrays, without pickles.

An archive contains the entry `header`, a JSON text with `format`, `version` and everything that is not an array, and one entry per array.
"""

import contextlib
import json
import math
import os
import pathlib
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Context manager that yields a temporary path, which replaces `path` on success.

    After a kill, a full disk or an error, the old file is intact; after an error, no temporary file remains. Links are followed, and the
    new file has the permissions of the old one.

    Args:
        path: The file. A path other than a regular file, such as a device, is written directly.
    """
    target = pathlib.Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        yield target
        return
    # In the same folder, because renaming is atomic within one file system only; with the same suffix, by which writers select a format.
    temporary = target.with_name(f".{uuid.uuid4().hex[:12]}.{target.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
        _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_bytes(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """The same with an open binary file."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        yield file
        file.flush()


def _sync_folder(folder):
    """Makes the renaming durable, if the system supports it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write(
    path: str | os.PathLike, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, compressed: bool = False
) -> None:
    """Writes an archive.

    Args:
        path: Path of the file; no suffix is added.
        header: JSON-serializable data, including `format` and `version`.
        arrays: Arrays of numbers or strings, by name.
        compressed: Whether to compress the arrays.
    """
    contents: dict[str, Any] = {"header": np.array(json.dumps(dict(header))), **arrays}
    with replacing_bytes(path) as file:
        (np.savez_compressed if compressed else np.savez)(file, **contents)


def read(
    path: str | os.PathLike, kind: str, version: int, writer: str, names: tuple[str, ...] | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Reads the header and the arrays of an archive.

    Args:
        path: Path of the file.
        kind: The required `format` of the header.
        version: The supported version.
        writer: The public method that writes such files, for errors.
        names: The arrays to read, by default all.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file has another format or version, is incomplete or corrupted, or declares wrong sizes.
    """
    with open(path, "rb") as file:
        try:
            if file.read(2) != b"PK":
                file.seek(0)
                np.load(file, allow_pickle=False)
                raise refusal(path, writer, "a file that is not an archive")
            file.seek(0)
            _check_sizes(file)
            archive = np.load(file, allow_pickle=False)
            header = _header(path, archive, kind, version, writer)
            wanted = [name for name in archive.files if name != "header"] if names is None else names
            return header, {name: archive[name] for name in wanted}
        except KeyError as error:
            raise refusal(path, writer, f"an archive without the entry {error}") from error
        except Exception as error:  # `zipfile` and NumPy raise at least nine types, depending on the damage
            if f"written by `{writer}`" in str(error):
                raise
            raise refusal(path, writer, f"a truncated, corrupted or other file ({error})") from error


def refusal(path: str | os.PathLike, writer: str, received: str) -> ValueError:
    """The error for a file of another origin."""
    return ValueError(f"Expected a file written by `{writer}`. Received: {received}, {os.fspath(path)!r}.")


def _check_sizes(file):
    """Compares the declared size of each array with that of its entry, before unpacking."""
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as stream:
                major, _ = np.lib.format.read_magic(stream)
                reader = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
                shape, _, dtype = reader(stream)
                if dtype.hasobject or math.prod(shape) * dtype.itemsize != entry.file_size - stream.tell():
                    raise ValueError(f"'{entry.filename}' does not have the size that it declares")
    file.seek(0)


def _header(path, archive, kind, version, writer):
    if "header" not in archive.files:
        raise refusal(path, writer, f"an archive with the entries {sorted(archive.files)} and without a header")
    try:
        header = json.loads(str(archive["header"]))
    except json.JSONDecodeError as error:
        raise refusal(path, writer, "an archive whose header cannot be read") from error
    found = header.get("format") if isinstance(header, dict) else None
    if found != kind:
        raise refusal(path, writer, f"a file of the format {found!r}")
    given = header.get("version")
    if given != version or isinstance(given, bool):
        later = isinstance(given, int) and given > version
        hint = "a later version of keras_xai wrote it; use that one" if later else "no version of keras_xai wrote that"
        raise refusal(path, writer, f"version {given!r} of the format while {version} is supported ({hint})")
    return header
