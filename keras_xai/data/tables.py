"""Conversion of pandas tables to arrays."""

import sys
from typing import Any

import numpy as np

from keras_xai.data.structure import Inputs, names_of


def is_frame(x: Any) -> bool:
    """Whether `x` is a pandas `DataFrame`, without importing pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(x, pandas.DataFrame)


def is_series(x: Any) -> bool:
    """Whether `x` is a pandas `Series`."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(x, pandas.Series)


def by_columns(frame: Any, inputs: Inputs) -> Any:
    """A `DataFrame` in the form for a model: by input name for several inputs or a dict, otherwise whole.

    Raises:
        ValueError: If columns are missing, or there are further ones.
    """
    structure, specs = inputs.input_structure, inputs.input_specs
    if len(specs) == 1 and not isinstance(structure, dict):
        return frame
    names, columns = names_of(structure, specs), [str(column) for column in frame.columns]
    missing, others = [n for n in names if n not in columns], [c for c in columns if c not in names]
    if missing or others or len(set(columns)) < len(columns):
        raise ValueError(
            f"Expected a DataFrame with one column for each of the inputs {names}. Received: the columns {columns}, of which {missing} are"
            f" missing and {others} are not inputs. Select columns by `frame[{names}]`."
        )
    return {name: frame.iloc[:, columns.index(name)] for name in names}


def feature_names(x: Any, inputs: Inputs) -> list[str] | None:
    """The column names of a `DataFrame` for a model with one input, otherwise `None`."""
    whole = is_frame(x) and len(inputs.input_specs) == 1 and not isinstance(inputs.input_structure, dict)
    return [str(column) for column in x.columns] if whole else None


def to_array(table: Any, *, strings: bool) -> np.ndarray:
    """The values of a `DataFrame` `(n, columns)` or a `Series` `(n,)`; missing ones are NaN.

    Args:
        table: The table.
        strings: Whether they are for a string input.

    Raises:
        ValueError: If a column does not contain numbers; names it.
    """
    if strings:
        return table.to_numpy(dtype=object)
    columns = [table] if is_series(table) else [table.iloc[:, i] for i in range(table.shape[1])]
    wrong = {column.name: str(column.dtype) for column in columns if not _numeric(column.dtype)}
    if wrong:
        raise ValueError(
            f"Expected real numbers in every column of the input table. Received: columns of other dtypes, {wrong}. Encode them as "
            "numbers, or leave them out."
        )
    arrays = [_numbers(column) for column in columns]
    if is_series(table):
        return arrays[0]
    return np.stack(arrays, axis=1) if arrays else np.zeros((len(table), 0))


def _numeric(dtype):
    types = sys.modules["pandas"].api.types
    return types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype)


def _numbers(column):
    if isinstance(column.dtype, np.dtype):
        return column.to_numpy()
    if not column.isna().any():  # pandas' extension types, which have a missing value
        return column.to_numpy(dtype=getattr(column.dtype, "numpy_dtype", "float64"))
    return column.to_numpy(dtype="float64", na_value=np.nan)
