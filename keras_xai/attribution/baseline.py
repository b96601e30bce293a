"""Baselines: reference inputs that samples are compared with, or replacements for hidden parts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_xai.data.arrays import unchecked, with_rank
from keras_xai.data.checks import is_number
from keras_xai.data.structure import Inputs
from keras_xai.data.texts import is_string
from keras_xai.network.scores import Scores


def baseline_like(inputs: list[np.ndarray], baseline: Any, scores: Scores) -> list[np.ndarray]:
    """Broadcasts a baseline to the shapes of samples.

    Args:
        inputs: The samples, an array `(n, *input_shape)` for each input.
        baseline: A number for all entries of numeric inputs, a string for all entries of string inputs, an array of the shape of one
            sample, or an array with one baseline per sample. For a model of several inputs, these in the structure of the inputs.
        scores: The scores of the model.

    Returns:
        An array of the shape of each of `inputs`, in the model's compute dtype.

    Raises:
        ValueError: If an array has the wrong shape or contains non-finite values.
    """
    graph = scores.graph
    if isinstance(baseline, dict) and isinstance(graph.input_structure, dict):
        # Those of inputs that are held fixed do not matter.
        baseline = {
            spec.name: 0 for spec, explained in zip(graph.input_specs, scores.explainable, strict=True) if not explained
        } | baseline
    given = for_each_input(baseline, graph)
    arrays = unchecked(given, graph, "baseline") if given is baseline else [np.asarray(each) for each in given]
    # Samples of shape `(n, 1)` accept a one-dimensional baseline, a single column of a table.
    arrays = [with_rank(each, spec) if each.ndim else each for each, spec in zip(arrays, graph.input_specs, strict=True)]
    for array, x, spec in zip(arrays, inputs, graph.input_specs, strict=True):
        if array.shape not in ((), x.shape[1:], (1, *x.shape[1:]), x.shape):
            raise ValueError(
                f"Expected `baseline` to be a number, or an array of the shape of one sample, {x.shape[1:]}, or of all samples, {x.shape},"
                f" for input '{spec.name}'. Received: an array of shape {array.shape}."
                + (
                    " To compare with several background samples, use DeepSHAP or GradientSHAP."
                    if array.shape[1:] == x.shape[1:]
                    else ""
                )
            )
        if not is_string(spec) and (array.dtype.kind not in "fiub" or not np.isfinite(array).all()):
            raise ValueError(
                f"Expected a finite `baseline` for input '{spec.name}'. Received: NaN, infinity or values that are not numbers."
            )
    # Inputs that are held fixed, such as masks, keep what they are.
    arrays = [array if explained else x for array, x, explained in zip(arrays, inputs, scores.explainable, strict=True)]
    return [np.broadcast_to(array, x.shape) for array, x in zip(scores.typed(arrays), inputs, strict=True)]


def for_each_input(baseline: Any, inputs: Inputs) -> Any:
    """A number or a string as one value for each input, 0 or `""` for those of the other type; others unchanged."""
    if not is_number(baseline) and not isinstance(baseline, (str, bytes)):
        return baseline
    if isinstance(baseline, (str, bytes)) and not any(map(is_string, inputs.input_specs)):
        raise ValueError(
            f"Expected `baseline` to be numbers for a model without string inputs. Received: baseline={baseline!r}"
        )
    default: Any = 0 if isinstance(baseline, (str, bytes)) else ""
    return [baseline if isinstance(baseline, (str, bytes)) == is_string(spec) else default for spec in inputs.input_specs]


def with_fixed(baseline: Sequence[np.ndarray], inputs: Sequence[np.ndarray], scores: Scores) -> list[np.ndarray]:
    """A baseline with the samples' own values where nothing is explained: inputs that are held fixed, and padding.

    Args:
        baseline: An array for each input, of the samples' shape.
        inputs: The samples.
        scores: The scores of the model.
    """
    return [
        x if not explained else each if padded is None else np.where(padded, x, each)
        for each, x, explained, padded in zip(baseline, inputs, scores.explainable, scores.padding(inputs), strict=True)
    ]
