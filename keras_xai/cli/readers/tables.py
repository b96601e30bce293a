"""Tables: `.csv`, `.tsv` and `.parquet` files."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.cli.errors import Failure, first_line
from keras_xai.cli.readers.data import Data

if TYPE_CHECKING:
    import pandas as pd

    from keras_xai.cli.readers.takes import Takes

SUFFIXES = (".csv", ".tsv", ".parquet")
_MOST_NAMES = 12


def read_tables(
    paths: Sequence[pathlib.Path], takes: "Takes", *, labels: str | None = None, columns: Sequence[str] = ()
) -> Data:
    """Reads tables as what a model takes.

    Columns are matched with the inputs by name if the model has several, or takes them by name; otherwise by their order. For a model of
    series, a table of one column for each channel is one series, a row for each time; for series of one channel, a table of one column
    for each time has a series in each row.

    Args:
        paths: The files, with the same columns.
        takes: What the model takes.
        labels: The column of the labels, which the model does not take.
        columns: The columns to take, in this order; empty for all.

    Raises:
        Failure: If a file is no table, columns are missing or left over, or entries are.
    """
    if not (takes.is_table or takes.is_series):
        raise Failure(f"'{paths[0]}' is a table. The model takes {takes.description}.")
    frames, notes = [], []
    # As they are written: "007" is another category than "7".
    words = (
        [name for name, spec in zip(takes.names, takes.specs, strict=True) if spec.dtype == "string"] if takes.by_name else []
    )
    words += [] if labels is None else [labels]
    for path in paths:
        frame, note = _frame(path, words)
        frames.append(frame)
        notes += note
    y = _labels(paths, frames, labels)
    frames = [_chosen(path, frame, columns) for path, frame in zip(paths, frames, strict=True)]
    for path, frame in zip(paths, frames, strict=True):
        _check_columns(path, frame, takes, labels)
        _check_complete(path, frame, takes)
        if list(frame.columns) != list(frames[0].columns) and (
            takes.is_series or set(frame.columns) != set(frames[0].columns)
        ):
            raise Failure(
                f"Expected the same columns in all tables. '{path}' has {_listed(frame.columns)}, '{paths[0]}' has "
                f"{_listed(frames[0].columns)}."
            )
    if takes.is_series:
        return _series(frames, paths, takes, y, notes)
    import pandas as pd

    whole = pd.concat(frames, ignore_index=True)
    order = "by name" if takes.by_name else "in their order"
    notes.append(f"{len(whole)} rows; columns matched with the model's inputs {order}.")
    # Rows are numbered from 1, as in messages and on pages.
    x = _by_name(whole, takes) if takes.by_name else whole.set_axis(range(1, len(whole) + 1))
    names = [f"row {row + 1}" for row in range(len(whole))]
    return Data(x=x, num_samples=len(whole), y=y, names=names, notes=tuple(notes))


def _frame(path, words) -> tuple["pd.DataFrame", list[str]]:
    import pandas as pd

    notes = []
    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame, is_headless = _text_table(path, words)
            if is_headless:
                notes.append(
                    f"{path.name}: the first row has numbers only, so that it was read as one without names of columns."
                )
    except ImportError as error:
        raise Failure(f"'{path}' is a Parquet file, for which pandas needs a further package: pip install pyarrow") from error
    except (ValueError, OSError, pd.errors.ParserError) as error:  # also if it is empty or not UTF-8
        raise Failure(f"'{path}' cannot be read as a table: {first_line(str(error))}") from error
    frame.columns = [str(column) for column in frame.columns]
    index = [column for column in frame.columns[:1] if column.startswith("Unnamed: 0")]
    if index:
        notes.append(f"{path.name}: the first column has no name and was taken for the index of the rows.")
        frame = frame.drop(columns=index)
    if not len(frame):
        raise Failure(f"'{path}' has no rows.")
    return frame, notes


def _text_table(path, words):
    import pandas as pd

    with open(path, encoding="utf-8-sig") as file:
        first = next((line for line in file if line.strip()), "")
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=first.count)
    is_headless = bool(first.strip()) and all(_is_number(cell) for cell in first.strip().split(separator))
    frame = pd.read_csv(
        path,
        sep=separator,
        header=None if is_headless else "infer",
        dtype=dict.fromkeys(words, str),
        encoding="utf-8-sig",
        skipinitialspace=True,
    )
    return frame, is_headless


def _is_number(text):
    try:
        float(text.strip().strip('"'))
    except ValueError:
        return False
    return True


def _labels(paths, frames, labels):
    """Removes the column of the labels from the tables."""
    if labels is None:
        return None
    found = []
    for path, frame in zip(paths, frames, strict=True):
        if labels not in frame.columns:
            raise Failure(f"'{path}' has no column '{labels}' for --labels. Its columns: {_listed(frame.columns)}.")
        column = frame.pop(labels)
        if column.isna().any():
            raise Failure(f"'{path}': the label is missing in row {_first(column.isna())}, column '{labels}'.")
        found.append(column.astype(str).to_numpy(dtype=str))
    return np.concatenate(found)


def _chosen(path, frame, columns):
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise Failure(f"'{path}' has no column {_listed(missing)} for --columns. Its columns: {_listed(frame.columns)}.")
    return frame[list(columns)] if columns else frame


def _check_columns(path, frame, takes, labels):
    columns = list(frame.columns)
    if takes.by_name:
        missing = [name for name in takes.names if name not in columns]
        others = [column for column in columns if column not in takes.names]
        if missing or others:
            parts = [f"Missing: {_listed(missing)}."] * bool(missing) + [f"Not an input: {_listed(others)}."] * bool(others)
            raise Failure(
                f"'{path}' does not have the columns that the model takes, {_listed(takes.names)}. {' '.join(parts)}"
                + _hint(others if not missing else [], labels)
            )
        return
    width = takes.specs[0].shape[-1]
    per_row = takes.is_series and width == 1 and len(columns) == takes.specs[0].shape[1] and width != len(columns)
    if width is not None and len(columns) != width and not per_row:
        raise Failure(
            f"The model takes {takes.description}. '{path}' has {len(columns)} columns: {_listed(columns)}."
            + _hint(columns[-1:] if len(columns) == width + 1 else [], labels)
            + (" Choose columns by --columns, for example --columns a,b,c." if len(columns) > width else "")
        )


def _hint(others, labels):
    return f" If '{others[0]}' is the label, add --labels {others[0]}." if len(others) == 1 and labels is None else ""


def _check_complete(path, frame, takes):
    for name, column in frame.items():
        is_text = takes.by_name and takes.specs[takes.names.index(name)].dtype == "string"
        if column.isna().any():
            raise Failure(
                f"'{path}': a value is missing in row {_first(column.isna())}, column '{name}'. Fill it in, or leave out the row."
            )
        if not is_text and column.dtype.kind not in "fiub":
            raise Failure(
                f"'{path}': column '{name}' has entries that are not numbers, such as {column.iloc[0]!r}. Encode them as the model was "
                f"trained. If it is the label, add --labels {name}."
            )
        if takes.by_name and not is_text and "int" in takes.specs[takes.names.index(name)].dtype:
            broken = column[column != column.round()]
            if len(broken):
                raise Failure(
                    f"'{path}': the model takes whole numbers in column '{name}'. Received: {broken.iloc[0]} in row {broken.index[0] + 1}."
                )


def _first(booleans):
    return int(np.flatnonzero(np.asarray(booleans))[0]) + 1


def _by_name(frame, takes) -> dict[str, Any]:
    """A dict of arrays in the shapes of the inputs."""
    found = {}
    for name, spec in zip(takes.names, takes.specs, strict=True):
        column = frame[name]
        values = column.astype(str).to_numpy(dtype=str) if spec.dtype == "string" else column.to_numpy().astype(spec.dtype)
        found[name] = values.reshape(len(frame), *spec.shape[1:])
    return found


def _series(frames, paths, takes, y, notes):
    """Series: one in each file, or one in each row."""
    time, width = takes.specs[0].shape[1:]
    if len(frames[0].columns) != width and width is not None:
        x = np.concatenate([frame.to_numpy("float32") for frame in frames])[..., np.newaxis]
        names = [f"row {row + 1}" for row in range(len(x))]
        notes.append(f"{len(x)} series, one in each row.")
        return Data(x=x, num_samples=len(x), y=y, names=names, notes=tuple(notes))
    if y is not None:
        raise Failure(
            "Each table is one series, so that --labels cannot be a column. Give a text file with a label for each file."
        )
    lengths = {len(frame) for frame in frames}
    if len(lengths) > 1 or (time is not None and lengths != {time}):
        wrong = next(
            (path, len(frame)) for path, frame in zip(paths, frames, strict=True) if len(frame) != (time or len(frames[0]))
        )
        raise Failure(f"Expected series of {time or len(frames[0])} times, one in each row. '{wrong[0]}' has {wrong[1]} rows.")
    notes.append("Each table is one series.")
    x = np.stack([frame.to_numpy("float32") for frame in frames])
    return Data(x=x, num_samples=len(x), names=[path.name for path in paths], notes=tuple(notes))


def _listed(names):
    names = [str(name) for name in names]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
