"""What samples are compared with, or what takes the place of a part of them."""

from typing import Any

import numpy as np

from keras_xai.attribution.scores import Scores
from keras_xai.graph.trace import in_order


def baseline_like(inputs: list[np.ndarray], baseline: Any, scores: Scores) -> list[np.ndarray]:
    """A baseline as arrays of the shapes of samples.

    Args:
        inputs: The samples, an array `(n, *input_shape)` for each input.
        baseline: A number; or an array of the shape of one sample, or one for each; in the structure of the inputs of several.
        scores: Those of the model.

    Returns:
        An array of the shape of each of `inputs`, in the type in which it is computed with.

    Raises:
        ValueError: If an array has another shape, or is not of finite numbers.
    """
    graph = scores.graph
    number = isinstance(baseline, (int, float))
    given = [baseline] * len(inputs) if number else in_order(baseline, graph.input_structure, graph.input_specs)
    arrays = [np.asarray(each) for each in given]
    for array, x, spec in zip(arrays, inputs, graph.input_specs, strict=True):
        if array.shape not in ((), x.shape[1:], (1, *x.shape[1:]), x.shape):
            raise ValueError(
                f"Expected `baseline` to be a number, or of the shape of one sample, {x.shape[1:]}, or of all, {x.shape}, for input "
                f"'{spec.name}'. Received: an array of shape {array.shape}."
            )
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise ValueError(f"Expected `baseline` to be of finite numbers for input '{spec.name}'. Received: others.")
    return [np.broadcast_to(array, x.shape) for array, x in zip(scores.typed(arrays), inputs, strict=True)]
