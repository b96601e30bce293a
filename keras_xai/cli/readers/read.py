"""The reader that the files call for."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import numpy as np

from keras_xai.cli.errors import Failure
from keras_xai.cli.readers import arrays, images, tables, texts
from keras_xai.cli.readers.data import Data

if TYPE_CHECKING:
    from keras_xai.cli.readers.takes import Takes

_KINDS = {
    **dict.fromkeys(images.SUFFIXES, "images"),
    **dict.fromkeys(tables.SUFFIXES, "tables"),
    **dict.fromkeys(arrays.SUFFIXES, "arrays"),
    ".txt": "texts",
}


def check_files(paths: Sequence[pathlib.Path]) -> str:
    """The kind of the files: `"images"`, `"tables"`, `"arrays"` or `"texts"`.

    Raises:
        click.BadParameter: If they are of an unknown kind, or of several.
    """
    kinds: dict[str, pathlib.Path] = {}
    for path in paths:
        if path.is_dir():
            raise click.BadParameter(f"'{path}' is a folder. Give its files, for example {path}/*.jpg", param_hint="'DATA'")
        kind = _KINDS.get(path.suffix.lower())
        if kind is None:
            known = ", ".join(_KINDS)
            raise click.BadParameter(f"'{path}' is of a kind that is not known. Expected one of {known}.", param_hint="'DATA'")
        kinds.setdefault(kind, path)
    if len(kinds) > 1:
        (one, first), (other, second), *_ = kinds.items()
        raise click.BadParameter(
            f"Expected files of one kind. Received: {one}, such as '{first}', and {other}, such as '{second}'.",
            param_hint="'DATA'",
        )
    return next(iter(kinds))


def read(
    paths: Sequence[pathlib.Path],
    takes: "Takes",
    *,
    labels: str | None = None,
    columns: Sequence[str] = (),
    preprocessing: str | None = None,
    vocabulary: pathlib.Path | None = None,
) -> Data:
    """Reads files of one kind as what a model takes.

    Args:
        paths: The files.
        takes: What the model takes.
        labels: A column of a table, an array of an `.npz` file, a text file with a label in each line, or labels separated by commas.
        columns: The columns of a table to take.
        preprocessing: Name of the preprocessing of images.
        vocabulary: The file of the vocabulary.

    Raises:
        click.BadParameter: If the files are of an unknown kind, or of several.
        Failure: If they cannot be read, or do not fit the model.
    """
    kind = check_files(paths)
    inside = labels is not None and not pathlib.Path(labels).is_file() and "," not in labels and kind in ("tables", "arrays")
    own = labels if inside else None
    if columns and kind != "tables":
        raise click.UsageError(f"--columns is for tables. Received: {kind}.")
    if kind == "images":
        found = images.read_images(paths, takes, preprocessing)
    elif kind == "tables":
        found = tables.read_tables(paths, takes, labels=own, columns=columns)
    elif kind == "texts":
        found = texts.read_texts(paths, takes, vocabulary)
    else:
        found = arrays.read_arrays(paths, takes, labels=own, preprocessing=preprocessing)
    return found if labels is None or inside else _labeled(found, labels)


def _labeled(data: Data, labels: str) -> Data:
    path = pathlib.Path(labels)
    if path.is_file():
        found = texts.lines_of(path)
    elif "," in labels:
        found = [label.strip() for label in labels.split(",")]
    else:
        found = [labels] if data.num_samples == 1 else []
        if not found:
            raise Failure(
                f"--labels {labels}: no such file. Expected a text file with a label for each of {data.num_samples} samples, or labels "
                "separated by commas."
            )
    if len(found) != data.num_samples:
        raise Failure(f"--labels has {len(found)} labels. Expected one for each of {data.num_samples} samples.")
    return dataclasses.replace(data, y=np.array(found))
