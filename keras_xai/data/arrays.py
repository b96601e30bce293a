"""Checks and conversion of in-memory samples to arrays."""

import math
from typing import Any

import keras
import numpy as np

from keras_xai import backend
from keras_xai.data import tables
from keras_xai.data.batches import rows
from keras_xai.data.checks import real_array
from keras_xai.data.structure import Inputs, in_order
from keras_xai.data.texts import Words, as_strings, is_string, words

_ENTRIES = 2**18  # checked at a time, so that checking a large array needs little memory


def checked(x: Any, inputs: Inputs) -> list[np.ndarray]:
    """The inputs of a model as a flat list of arrays of finite real numbers; arrays are not copied.

    An array `(n,)` is treated as `(n, 1)`, as in `keras.Model.predict`. An input of strings takes strings, and one of
    free text is divided into words.

    Args:
        x: One array, tensor, nested list, `Series` or `DataFrame` for each input of the model, in its structure; or one `DataFrame` with a
            column for each input.
        inputs: Inputs of the model.

    Raises:
        ValueError: If structure, shape or dtype do not fit the model, if there are no samples, or if a value is NaN or infinite.
    """
    arrays = [_checked_array(array, spec) for array, spec in zip(unchecked(x, inputs), inputs.input_specs, strict=True)]
    counts = {len(array) for array in arrays}
    if len(counts) > 1:
        raise ValueError(f"Expected the same number of samples in every input. Received: {sorted(counts)} samples.")
    return arrays


def unchecked(x: Any, inputs: Inputs, name: str = "") -> list[np.ndarray]:
    """The inputs of a model as a flat list of arrays of any shape and dtype.

    Args:
        x: As in `checked`.
        inputs: Inputs of the model.
        name: Name of the argument for errors, if it is not the samples.

    Raises:
        ValueError: If the structure does not fit the model, or a value cannot be converted to an array.
    """
    values = tables.by_columns(x, inputs) if tables.is_frame(x) else x
    leaves = in_order(values, inputs.input_structure, inputs.input_specs, name)
    return [as_array(leaf, spec) for leaf, spec in zip(leaves, inputs.input_specs, strict=True)]


def as_array(value: Any, spec: keras.KerasTensor) -> np.ndarray:
    """A value for one input as an array.

    Args:
        value: Array, tensor, nested list, `Series` or `DataFrame`.
        spec: The input.

    Raises:
        ValueError: If it is ragged or sparse, or a table with other values than numbers.
    """
    if not is_string(spec):
        return _as_array(value, spec)
    strings = as_strings(_as_array(value, spec), spec)
    return words(strings) if isinstance(spec, Words) else strings


def _as_array(value, spec):
    if tables.is_frame(value) or tables.is_series(value):
        return tables.to_array(value, strings=is_string(spec))
    if not backend.is_dense(value) or hasattr(value, "toarray"):
        raise ValueError(
            f"Expected a dense array as input '{spec.name}'. Received: {type(value).__name__}. Pad ragged values "
            "(`x.to_tensor()`), and convert sparse ones (`tf.sparse.to_dense(x)`, `x.toarray()`)."
        )
    if np.ma.is_masked(value):
        raise ValueError(
            f"Expected an array without masked entries as input '{spec.name}'. Received: a `numpy.ma` array with masked entries. Fill "
            "them, `x.filled(value)`."
        )
    if hasattr(value, "detach"):  # a PyTorch tensor, possibly on another device or requiring gradients
        value = value.detach().cpu()
    try:
        return np.asarray(value)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(
            f"Expected samples of the same shape as input '{spec.name}'. Received: a nested list whose entries differ in length. Pad them "
            "to the same length, for example with `keras.utils.pad_sequences`."
        ) from error


def with_rank(array: Any, spec: keras.KerasTensor) -> Any:
    """Adds or removes a last axis of length 1, like `keras.Model.predict`.

    Only if all sizes are known: for an input of any size, `(28, 28, 1)` is a sample without a batch axis, not 28 samples.
    """
    shape, wanted = tuple(array.shape), tuple(spec.shape)
    if None in wanted[1:] or not shape:
        return array
    if (*shape[1:], 1) == wanted[1:]:
        return array[..., None]
    return array[..., 0] if shape[1:] == (*wanted[1:], 1) else array


def check_tensors(x: Any, inputs: Inputs) -> None:
    """Checks tensors like arrays, without a copy; for placeholders, only shape and dtype.

    Args:
        x: Dense tensors, in the structure of the model's inputs.
        inputs: Inputs of the model.

    Raises:
        ValueError: If one is ragged, sparse or complex, does not have the shape of its input, or contains NaN or infinity.
    """
    for tensor, spec in zip(in_order(x, inputs.input_structure, inputs.input_specs), inputs.input_specs, strict=True):
        if not backend.is_dense(tensor):
            as_array(tensor, spec)  # raises
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        if (dtype == "string") != (spec.dtype == "string") or dtype.startswith("complex"):
            raise ValueError(f"Expected real numbers as input '{spec.name}'. Received: a tensor of dtype {dtype}.")
        if getattr(tensor.shape, "rank", 0) is not None:  # a placeholder of TensorFlow may have no rank
            _check_shape(tuple(tensor.shape), spec)
        known = keras.backend.is_float_dtype(dtype) and backend.has_values(tensor)
        if known and not bool(keras.ops.all(keras.ops.isfinite(tensor))):
            raise ValueError(f"Expected finite numbers as input '{spec.name}'. Received: a tensor with NaN or infinity.")


def real_tensor(name: str, value: Any) -> Any:
    """Converts an argument to a dense tensor of real numbers; tensors, also symbolic ones, are taken as they are.

    Args:
        name: Name of the argument.
        value: Array, tensor, or nested list.

    Raises:
        ValueError: If it is ragged, sparse, or not of real numbers.
    """
    if not keras.ops.is_tensor(value) or not backend.is_dense(value):
        return keras.ops.convert_to_tensor(real_array(name, value))
    dtype = keras.backend.standardize_dtype(value.dtype)
    if dtype == "string" or dtype.startswith("complex"):
        raise ValueError(f"Expected `{name}` to be an array of real numbers. Received: {name} is a tensor of dtype {dtype}.")
    return value


def typed(arrays: list[np.ndarray], inputs: Inputs) -> list[np.ndarray]:
    """Arrays, one for each input, in the dtypes of a model's inputs."""
    return [_cast(array, spec.dtype) for array, spec in zip(arrays, inputs.input_specs, strict=True)]


def _cast(array, dtype):
    return array if dtype == "string" else array.astype(dtype, copy=False)


def _checked_array(array, spec):
    if is_string(spec) and array.ndim == 0:
        raise ValueError(
            f"Expected an array or list of strings as input '{spec.name}', one for each sample. Received: the single string "
            f"{str(array)!r:.60}. For a single sample, pass a list: [text]."
        )
    if not is_string(spec) and array.dtype.kind not in "fiub":
        raise ValueError(f"Expected real numbers as input '{spec.name}'. Received: an array of dtype {array.dtype}.")
    array = with_rank(array, spec)
    _check_shape(array.shape, spec)
    if array.size == 0:
        raise ValueError(f"Expected at least one sample. Received: an empty array of shape {array.shape}.")
    if array.dtype.kind == "f":
        _check_finite(array, spec)
    return array


def _check_shape(shape, spec):
    expected = tuple(spec.shape)
    alike = (
        shape
        if len(shape) == len(expected)
        else (*shape, 1)
        if len(shape) == len(expected) - 1 and expected[-1] == 1 and None not in expected[1:]  # as `with_rank` does
        else None
    )
    # A placeholder may not know a size.
    if alike is None or not all(None in (want, got) or want == got for want, got in zip(expected[1:], alike[1:], strict=True)):
        hint = " For a single sample, add the batch dimension: x[np.newaxis]." if len(shape) == len(expected) - 1 else ""
        raise ValueError(
            f"Expected an array of shape {expected} as input '{spec.name}', samples along the first axis. "
            f"Received: an array of shape {shape}.{hint}"
        )


def _check_finite(array, spec):
    entries = max(1, math.prod(array.shape[1:]))
    bad = [
        part.start + np.flatnonzero(~np.isfinite(array[part]).reshape(part.stop - part.start, -1).all(axis=1))
        for part in rows(len(array), max(1, _ENTRIES // entries))
    ]
    places = np.concatenate(bad)
    if places.size:
        raise ValueError(
            f"Expected finite numbers as input '{spec.name}'. Received: NaN or infinity in {len(places)} of {len(array)} samples, "
            f"first in sample {places[0]}."
        )
