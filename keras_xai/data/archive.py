"""Atomic file writing, and results as `.npz` archives of plain arrays, without pickles.

An archive contains the entry `header`, a JSON text with `format`, `version`, `arrays` (a checksum of each array, by name) and
everything that is not an array, and one entry per array.
"""

import contextlib
import json
import math
import os
import pathlib
import re
import shutil
import socket
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import numpy as np

from keras_xai.data.checks import check_path

# Temporary files are named by the machine and the process that write them.
_PREFIX = ".keras_xai-"
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_TEMPORARY = re.compile(r"\.keras_xai-([0-9a-f]{8})-(\d+)-[0-9a-f]{12}.*", re.DOTALL)
_LONGEST_END = 40  # names have 255 bytes, and a character four at most
_OLDEST_SECONDS = 24 * 60 * 60
_being_written: set[str] = set()  # by this process

# Maximum compression ratio of deflate: a file cannot contain more, whatever it declares.
_MOST_INFLATION = 1032


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Context manager that yields a temporary path, which replaces `path` on success.

    After a kill, a full disk or an error, the old file is intact; after an error, no temporary file remains, and the temporary file of
    a killed process is removed by the next writer. Links are followed, and the new file has the permissions of the old one.

    Args:
        path: The file. A path other than a regular file, such as a device, is written directly.

    Raises:
        IsADirectoryError: If it is a folder.
        FileNotFoundError: If its folder does not exist.
    """
    check_is_file_name(path)
    target = pathlib.Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        yield target
        return
    # In the same folder, because renaming is atomic only within one file system; with the same suffix, since writers select a format by it.
    name = f"{_PREFIX}{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:12]}{''.join(target.suffixes[-2:])[-_LONGEST_END:]}"
    temporary = target.with_name(name)
    _being_written.add(name)
    try:
        _remove_abandoned(target.parent)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
        _sync_folder(target.parent)
    finally:
        _being_written.discard(name)  # first: what cannot be removed now is left to the next writer
        temporary.unlink(missing_ok=True)


def check_is_file_name(path: str | os.PathLike) -> None:
    """Checks that a file can be written, as far as its name and its folder tell.

    Raises:
        IsADirectoryError: If the path is that of a folder.
        FileNotFoundError: If its folder does not exist.
        PermissionError: If files cannot be written there.
    """
    check_path("path", path)
    name = os.fspath(path)
    if os.path.isdir(name) or not os.path.basename(name):
        raise IsADirectoryError(
            f"Expected `path` to be that of a file. Received: path={name!r}, a folder. Add the name of the file."
        )
    folder = os.path.dirname(os.path.realpath(name))
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"Expected `path` to be a file name in an existing folder. Received: path={name!r}, whose folder {folder!r} does not exist. "
            "Create the folder first."
        )
    is_device = os.path.exists(name) and not os.path.isfile(name)  # which is written directly
    if not is_device and not os.access(folder, os.W_OK):
        raise PermissionError(
            f"Expected `path` to be a file name in a folder that can be written. Received: path={name!r}, whose folder {folder!r} is "
            "read-only. Choose another folder."
        )


def _remove_abandoned(folder):
    """Removes temporary files of writers that no longer run, and keeps those of running ones, also in other processes."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _TEMPORARY.fullmatch(entry.name)
            if found is not None and _is_abandoned(entry, host=found[1], pid=int(found[2])):
                with contextlib.suppress(OSError):  # another writer has removed it first, or it is not ours
                    os.unlink(entry.path)


def _is_abandoned(entry, host, pid):
    if host == _HOST and pid == os.getpid():
        return entry.name not in _being_written
    # On Windows a process cannot be tested without side effects, and the processes of other machines are unknown.
    if host == _HOST and os.name == "posix":
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return True
        except OSError:
            pass
    # Process ids are reused.
    return time.time() - entry.stat().st_mtime > _OLDEST_SECONDS


def replace(path: str | os.PathLike, write: Callable[[pathlib.Path], Any], *, overwrite: bool) -> None:
    """Writes a file by a function of Keras, as `replacing`.

    Args:
        path: The file.
        write: Writes to a path.
        overwrite: Whether to replace an existing file without asking in the terminal.
    """
    if overwrite or not os.path.exists(path) or _may_replace(path):
        with replacing(path) as temporary:
            write(temporary)


def _may_replace(path):
    """Asks whether to replace the file; Keras would ask about the temporary file."""
    answer = ""
    while answer not in ("y", "n"):
        answer = input(f"[WARNING] {path} already exists - overwrite? [y/n] ").strip().lower()
    return answer == "y"


@contextlib.contextmanager
def replacing_bytes(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """Like `replacing`, but yields an open binary file."""
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
    checksums = {name: _checksum(array) for name, array in arrays.items()}
    contents: dict[str, Any] = {"header": np.array(json.dumps({**header, "arrays": checksums})), **arrays}
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
        names: The arrays that the file must contain, and no others; by default any.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file has another format or version, is incomplete or corrupted, declares wrong sizes, or contains other
            arrays than its header lists.
    """
    check_path("path", path)
    if os.path.isdir(path):
        raise refusal(path, writer, "a folder")
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"Expected `path` to be a file written by `{writer}`. Received: path={os.fspath(path)!r}, no such file."
        )
    with open(path, "rb") as file:
        try:
            if file.read(2) != b"PK":
                file.seek(0)
                np.lib.format.read_magic(file)
                raise refusal(path, writer, "a file that is not an archive")
            with zipfile.ZipFile(file) as archive:
                entries = _checked_entries(archive, os.fstat(file.fileno()).st_size)
                header = _header(path, archive, entries, kind, version, writer)
                _check_names(path, writer, entries, header, names)
                arrays = {name: _array(archive, entry) for name, entry in entries.items() if name != "header"}
        except MemoryError:
            raise
        except Exception as error:  # `zipfile` and NumPy raise at least nine types, depending on the damage
            if f"written by `{writer}`" in str(error):
                raise
            raise refusal(path, writer, f"a truncated, corrupted or other file ({error})") from error
    checksums = header.pop("arrays")
    wrong = [name for name, array in arrays.items() if _checksum(array) != checksums[name]]
    if wrong:
        raise refusal(path, writer, f"an archive whose header and entries do not belong together, {wrong} being others")
    return header, arrays


def refusal(path: str | os.PathLike, writer: str, received: str) -> ValueError:
    """The error for a file of another origin."""
    return ValueError(f"Expected a file written by `{writer}`. Received: {received}, path={os.fspath(path)!r}.")


def _checked_entries(archive, size):
    """The entries by array name, after a check that the declared sizes match the contents; nothing is unpacked."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        if name in entries:
            raise ValueError(f"'{name}' is in it twice")
        entries[name] = entry
        if entry.file_size > _MOST_INFLATION * entry.compress_size:
            raise ValueError(f"'{entry.filename}' does not have the size that it declares")
        with archive.open(entry) as stream:
            shape, dtype = _declared(stream)
            if dtype.hasobject or min(shape, default=0) < 0:
                raise ValueError(f"'{entry.filename}' is not of numbers or texts")
            if math.prod(shape) * dtype.itemsize != entry.file_size - stream.tell():
                raise ValueError(f"'{entry.filename}' does not have the size that it declares")
    # Entries that share their bytes would be unpacked repeatedly.
    if sum(entry.compress_size for entry in entries.values()) > size:
        raise ValueError("its entries declare more bytes than the file has")
    return entries


def _declared(stream):
    """Shape and dtype of an array, from its header."""
    major, _ = np.lib.format.read_magic(stream)
    reader = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(stream)
    return shape, dtype


def _array(archive, entry):
    with archive.open(entry) as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
        stream.read()  # at the end, the checksum is compared
    return array


def _checksum(array):
    """A checksum of the contents, shape and dtype of an array, independent of its memory layout."""
    array = np.asarray(array)
    start = zlib.crc32(f"{array.dtype.str.lstrip('<>=|')} {array.shape}".encode())
    return zlib.crc32(array.tobytes(), start)


def _header(path, archive, entries, kind, version, writer):
    if "header" not in entries:
        raise refusal(path, writer, f"an archive with the entries {sorted(entries)} and without a header")
    try:
        header = json.loads(str(_array(archive, entries["header"])))
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


def _check_names(path, writer, entries, header, names):
    """Compares the arrays of the file with those listed in the header and with those required."""
    listed = header.get("arrays")
    if not isinstance(listed, dict):
        raise refusal(path, writer, "an archive whose header does not list its arrays")
    for wanted in (listed, listed if names is None else names):
        missing = sorted(set(wanted) - set(entries))
        if missing:
            raise refusal(path, writer, f"an archive without the entries {missing}")
        others = sorted(set(entries) - set(wanted) - {"header"})
        if others:
            raise refusal(path, writer, f"an archive with the entries {others}, which its header does not list")
