"""Explanations as tables: a column per feature, or a row per entry. `explanation` is a `keras_xai.results.Explanation` in all of them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import check_names
from keras_xai.data.layout import Layout

if TYPE_CHECKING:
    import pandas as pd
    import shap

# Columns for the axes of samples, by their letters in a layout.
_AXES = {
    "C": "channel",
    "D": "depth",
    "H": "row",
    "W": "column",
    "T": "time",
    "L": "position",
    "F": "feature",
    "P": "place",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """The values of an explanation of tabular data.

    Attributes:
        names: Names of the features.
        values: `(n, features)`.
        data: `(n, features)`, the entries of the samples: numbers, or objects if some features are strings; `None` for values of a layer.
    """

    names: list[str]
    values: np.ndarray
    data: np.ndarray | None


def named_arrays(values: Any, name: str = "input") -> dict[str, np.ndarray]:
    """The arrays of a nest by name, `name` if it is a single array."""
    if isinstance(values, Mapping):
        return {key: array for each in sorted(values) for key, array in named_arrays(values[each], str(each)).items()}
    if isinstance(values, (list, tuple)):
        return {key: array for i, each in enumerate(values) for key, array in named_arrays(each, f"{name} {i}").items()}
    return {name: np.asarray(values)}


def table_of(explanation: Any, feature_names: Sequence[str] | None = None) -> Table:
    """The values of an explanation of tabular data, with the columns of several inputs beside each other.

    Args:
        explanation: The explanation.
        feature_names: Names of the features; by default those of the columns of a `DataFrame` and of the inputs.

    Raises:
        ValueError: If the samples are no table, or the number of names is not that of the features.
    """
    names, values, data = [], [], []
    for name, found, x, layout in _inputs(explanation):
        if not _is_tabular(found if x is None else x, layout):
            raise ValueError(
                "Expected an explanation of a table: of features (n, features), or of columns. Received: values of "
                f"{'the layer' if x is None else repr(name)} of shape {found.shape}. Use `to_dataframe(form='long')` for all values with "
                "their positions, and `plot()` without `kind` for pictures."
            )
        found = found.reshape(len(found), -1)
        names += _names(explanation, name, found.shape[1])
        values.append(found)
        data.append(None if x is None else x.reshape(len(x), -1))
    if feature_names is not None:
        names = check_names("feature_names", feature_names, len(names), "feature")
    return Table(names, np.concatenate(values, axis=1).astype("float64"), _joined(data))


def wide_frame(explanation: Any) -> "pd.DataFrame":
    """A row per sample and a column per feature."""
    import pandas as pd

    table = table_of(explanation)
    return pd.DataFrame(table.values, columns=table.names).rename_axis("sample")


def long_frame(explanation: Any) -> "pd.DataFrame":
    """A row per entry of each sample: its position, the entry, and its value."""
    import pandas as pd

    inputs = list(_inputs(explanation))
    if all(_is_tabular(found if x is None else x, layout) for _, found, x, layout in inputs):
        table = table_of(explanation)
        count = len(table.values)
        columns = {"sample": np.repeat(np.arange(count), len(table.names)), "feature": np.tile(table.names, count)}
        data = {} if table.data is None else {"data": table.data.ravel()}
        return pd.DataFrame({**columns, **data, "value": table.values.ravel()})
    frames = []
    for name, found, x, layout in inputs:
        letters = _letters(explanation, found) if layout is None else layout.letters
        positions = zip(_columns(letters), np.indices(found.shape), strict=True)
        frame = pd.DataFrame({column: indices.ravel() for column, indices in positions})
        if len(inputs) > 1:
            frame.insert(1, "input", name)
        if x is not None and x.shape == found.shape:  # else a value is that of a place, with several channels
            frame["data"] = x.ravel()
        frames.append(frame.assign(value=found.ravel()))
    return pd.concat(frames, ignore_index=True)


def shap_explanation(explanation: Any) -> "shap.Explanation":
    """The explanation as the class of the shap library."""
    import shap

    inputs = list(_inputs(explanation))
    if all(_is_tabular(found if x is None else x, layout) for _, found, x, layout in inputs):
        table = table_of(explanation)
        return shap.Explanation(table.values, explanation.base_score, table.data, feature_names=table.names)
    if len(inputs) > 1:
        raise ValueError(
            "Expected an explanation of a table or of one input, which a `shap.Explanation` can hold. Received: values of the inputs "
            f"{[name for name, *_ in inputs]}. Use `to_dataframe(form='long')`."
        )
    ((_, found, x, _),) = inputs
    return shap.Explanation(np.asarray(found, "float64"), explanation.base_score, x)


def _inputs(explanation) -> Iterator[tuple[str, np.ndarray, np.ndarray | None, Layout | None]]:
    """Name, values, samples and layout of each input that is explained; the last two are `None` for values of a layer."""
    if explanation.layer is not None:
        yield explanation.layer, np.asarray(explanation.values), None, None
        return
    values, inputs = named_arrays(explanation.values), named_arrays(explanation.inputs)
    for (name, x), found, layout in zip(inputs.items(), values.values(), explanation.layouts, strict=True):
        if found.ndim:  # an input that is held fixed has no values
            yield name, found, x, layout


def _is_tabular(x, layout) -> bool:
    """Whether samples are features, each of a meaning of its own; a single token is a category."""
    if layout is None:
        return x.ndim == 2
    if x.ndim == 1 or x.shape[1:] == (1,):
        return True
    return layout.is_apart and not layout.is_tokens and x.ndim == 2 and x.dtype.kind != "U"


def _names(explanation, name, count) -> list[str]:
    if explanation.layer is not None:
        return [f"channel {i}" for i in range(count)]
    if isinstance(explanation.inputs, (Mapping, list, tuple)):
        return [name] if count == 1 else [f"{name} {i}" for i in range(count)]
    return [str(i) for i in range(count)] if explanation.feature_names is None else list(explanation.feature_names)


def _joined(data) -> np.ndarray | None:
    """Columns of samples beside each other; numbers and strings stay what they are."""
    if data[0] is None:
        return None
    alike = len({part.dtype.kind in "fiub" for part in data}) == 1
    return np.concatenate([part if alike else part.astype(object) for part in data], axis=1)


def _letters(explanation, found) -> str:
    """The letters of the output of a layer, of which only the channels are known."""
    letters = ["N", *"P" * (found.ndim - 1)]
    letters[explanation.channel_axis or -1] = "C"
    return "".join(letters)


def _columns(letters) -> list[str]:
    """Names of the axes of samples, distinct ones."""
    axes = [_AXES[letter] for letter in letters[1:]]
    return [
        "sample",
        *(f"{each} {axes[:i].count(each)}" if axes.count(each) > 1 else each for i, each in enumerate(axes)),
    ]
