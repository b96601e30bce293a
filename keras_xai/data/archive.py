"""Files: written beside their target and renamed; results as `.npz` archives of plain arrays, without pickles.

An archive holds the entry `header`, a JSON text with `format`, `version` and what else is no array, and one entry for each array.
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
    """Context manager that gives a temporary path, which replaces `path` once all is written.

    A kill, a full disk or an error within leaves the file that was there, and an error no other. A link is followed, and the new
    file has the permissions of the old one.

    Args:
        path: The file. Where it is something else, such as a device, that is written to itself.
    """
    target = pathlib.Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        yield target
        return
    # In the same folder, because a file can be renamed in one step within one file system only; with the same end, by which
    # writers choose a format.
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
    """The same as an open binary file."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        yield file
        file.flush()


def _sync_folder(folder):
    """Makes the renaming itself last, where the system can."""
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
        path: Of the file; no suffix is added.
        header: What JSON can hold, `format` and `version` among it.
        arrays: By name, of numbers or strings.
        compressed: Whether to compress the arrays.
    """
    contents: dict[str, Any] = {"header": np.array(json.dumps(dict(header))), **arrays}
    with replacing_bytes(path) as file:
        (np.savez_compressed if compressed else np.savez)(file, **contents)


def read(
    path: str | os.PathLike, kind: str, version: int, writer: str, names: tuple[str, ...] | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of an archive.

    Args:
        path: Of the file.
        kind: The `format` that the header has to name.
        version: The version that can be read.
        writer: The public method that writes such files, for errors.
        names: The arrays to read, all by default.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not one of these, is incomplete or corrupted, declares sizes that it does not have, or is of
            another version.
    """
    with open(path, "rb") as file:
        try:
            if file.read(2) != b"PK":
                file.seek(0)
                np.load(file, allow_pickle=False)
                raise refusal(path, writer, "a file that is no archive")
            file.seek(0)
            _check_sizes(file)
            archive = np.load(file, allow_pickle=False)
            header = _header(path, archive, kind, version, writer)
            wanted = [name for name in archive.files if name != "header"] if names is None else names
            return header, {name: archive[name] for name in wanted}
        except KeyError as error:
            raise refusal(path, writer, f"an archive without the entry {error}") from error
        except Exception as error:  # by what is damaged, `zipfile` and NumPy raise nine types at least
            if f"written by `{writer}`" in str(error):
                raise
            raise refusal(path, writer, f"a truncated, corrupted or other file ({error})") from error


def refusal(path: str | os.PathLike, writer: str, received: str) -> ValueError:
    """The error for a file of another origin."""
    return ValueError(f"Expected a file written by `{writer}`. Received: {received}, {os.fspath(path)!r}.")


def _check_sizes(file):
    """Holds the size that each array declares against that of its entry, before anything is unpacked."""
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
        raise refusal(path, writer, f"version {given!r} of the format where {version} can be read ({hint})")
    return header
