"""Base classes of results."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from keras_xai.data import archive
from keras_xai.data.fields import read_fields, write_fields
from keras_xai.results.equality import same
from keras_xai.results.html import facts_table, image
from keras_xai.results.pictures import embedding
from keras_xai.results.sample_scores import SampleScores
from keras_xai.results.text import leaves, one_line
from keras_xai.targets.target import ScoreTarget

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST_TITLE = 100


class Shown:
    """Base class of displayable objects: one line in a shell, a table or a picture in a notebook."""

    def _summary(self) -> str:
        """The text after the class name in the one-line repr."""
        return ""

    def _facts(self) -> dict[str, Any]:
        """Facts for the table in a notebook, by name."""
        return {}

    def _table_html(self) -> str:
        """A table of numbers below the facts, as HTML; by default none."""
        return ""

    def _picture(self) -> "Figure | None":
        """The picture below them, if it can be drawn within about a second."""
        return None

    def __repr__(self) -> str:
        return f"<{one_line(f'{type(self).__name__} {self._summary()}')}>"

    def _repr_html_(self) -> str:
        # A notebook hides a result whose picture fails, so results that cannot be drawn (NaN, inputs of four axes) are shown as a table
        # only.
        parts = []
        with contextlib.suppress(Exception):
            parts.append(self._table_html())
        with contextlib.suppress(Exception), embedding():
            figure = self._picture()
            if figure is not None:
                parts.append(image(figure))
        try:
            title = repr(self)[1:-1]
            facts = facts_table(title if len(title) <= _LONGEST_TITLE else title.split(": ")[0], self._facts())
        except Exception:
            facts = facts_table(type(self).__name__, {})
        return "\n".join(part for part in (facts, *parts) if part)


class Result(Shown):
    """Base class of results: frozen data without a model that can be compared, saved and loaded.

    Two results are equal if their classes and contents are equal, with NaN equal to NaN.
    """

    __hash__ = None  # type: ignore[assignment]  # arrays are compared by content, and have none

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return same(self.to_fields(), other.to_fields())

    def to_fields(self) -> dict[str, Any]:
        """Returns the contents as dicts, lists and tuples of arrays, strings and numbers."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Creates a result from the fields returned by `to_fields`."""
        return cls(**fields)

    def save(self, path: str | pathlib.Path) -> None:
        """Writes the result to an `.npz` file of plain arrays, without pickles. An existing file is replaced atomically.

        Functions, such as a callable target, cannot be written: the loaded result has something of their name in their place, which
        raises an error that says so when it is called.

        Args:
            path: Path of the file; `.npz` is appended if missing, as in `numpy.savez`.

        Raises:
            IsADirectoryError: If the path is a folder.
            FileNotFoundError: If the folder of the file does not exist.
        """
        write_fields(path, self.to_fields(), type(self).__name__)

    @classmethod
    def load(cls, path: str | pathlib.Path) -> Self:
        """Reads a result written by `save`.

        Args:
            path: Path of the file.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file was not written by `save`, or is incomplete or corrupted.
        """
        fields = read_fields(path, cls.__name__)
        try:
            return cls.from_fields(fields)
        except Exception as error:  # whatever fields that others wrote can lead to
            raise archive.refusal(path, f"{cls.__name__}.save", f"an archive with the fields {list(fields)}") from error


class Rows(Result):
    """Base class of results with a row per sample, unit or facet, which have a length and can be sliced.

    An index selects one row; a slice, a list of indices or a boolean array selects several.
    """

    # Fields with arrays, or nests of arrays, and the axis of their rows; and fields with a list entry per row.
    _row_axes: ClassVar[Mapping[str, int]] = {}
    _row_lists: ClassVar[tuple[str, ...]] = ()

    def __len__(self) -> int:
        """The number of rows."""
        name, axis = next(iter(self._row_axes.items()))
        return leaves(getattr(self, name))[0].shape[axis]

    def __getitem__(self, index: Any) -> Self:
        """The result for selected rows."""
        return self._taken(chosen_rows(index, len(self)))

    @property
    def fields_by_row(self) -> tuple[str, ...]:
        """Names of the fields that have an entry per row."""
        return tuple(self._row_axes)

    def _taken(self, rows: np.ndarray) -> Self:
        changed = {name: taken(getattr(self, name), rows, axis) for name, axis in self._row_axes.items()}
        for name in self._row_lists:
            given = getattr(self, name)
            changed[name] = type(given)(given[row] for row in rows)
        return dataclasses.replace(self, **changed)  # type: ignore[type-var]


def chosen_rows(index: Any, count: int) -> np.ndarray:
    """Converts an index to rows `(k,)`.

    Args:
        index: An integer, a slice, indices, or booleans `(count,)`.
        count: Number of rows.

    Raises:
        IndexError: If the index is none of these, or out of range.
    """
    if isinstance(index, slice):
        return np.arange(count)[index]
    try:
        chosen = np.asarray(index if np.size(index) else np.zeros(0, int))
        plain = (chosen.dtype.kind in "iu" and chosen.ndim <= 1) or (chosen.dtype.kind == "b" and chosen.shape == (count,))
        rows = np.arange(count)[chosen] if plain else None
    except (IndexError, ValueError):  # out of range, or a ragged list
        rows = None
    if rows is None or isinstance(index, tuple):
        raise IndexError(
            f"Expected an `index` from {-count} to {count - 1}, a slice, a list of such, or {count} booleans. Received: index={index!r}"
        )
    return np.atleast_1d(rows)


def taken(value: Any, rows: np.ndarray, axis: int = 0) -> Any:
    """Selects rows of the arrays of a nest; other values, such as `None` or a function, are kept."""
    if isinstance(value, Mapping):
        return {name: taken(each, rows, axis) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(taken(each, rows, axis) for each in value)
    if isinstance(value, SampleScores):
        return value[rows]
    if isinstance(value, ScoreTarget):
        return value.taken(rows)
    return np.take(value, rows, axis=axis) if isinstance(value, np.ndarray) else value
