"""Callable targets: functions of the scores of one sample, or of all samples at once, as in tf-keras-vis."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
from keras import ops

from keras_xai.results.sample_scores import SampleScores


@final
@dataclasses.dataclass(frozen=True)
class PerSample:
    """A function of the scores of all samples at once, evaluated for one sample at a time.

    Compiled programs process batches of any size, with samples at arbitrary positions and often repeated with changed inputs. The function
    is called on as many copies of a sample's scores as it takes samples, and the value at the sample's position is used.

    Args:
        function: Maps the scores `(num_samples, ...)` to a value for each sample.
        num_samples: Number of samples that it takes.
    """

    function: Callable
    num_samples: int

    def __call__(self, scores: Any, positions: Any) -> Any:
        """The value of each row.

        Args:
            scores: Tensor `(b, ...)`.
            positions: Integer tensor `(b,)`, or `(1,)`: the sample index of each row.

        Returns:
            Tensor `(b,)`.
        """

        def value(row_and_position):
            row, position = row_and_position
            copies = ops.broadcast_to(row, (self.num_samples, *scores.shape[1:]))
            return ops.take(values_of(self.function, copies), position)

        try:
            return ops.map(value, (scores, ops.broadcast_to(positions, ops.shape(scores)[:1])))
        except TypeError as error:  # includes TensorFlow's graph errors
            raise ValueError(
                f"Expected a callable `target` that can be compiled. Received: {self.function!r} ({str(error).splitlines()[0]}). Access "
                "scores by index, `[scores[i][k] for i, k in enumerate(classes)]`, instead of looping over them, and use `keras.ops`."
            ) from error


def score_of(function: Callable, scores: Any, indices: Any) -> Any:
    """The value `(n,)` of a callable target for scores `(n, ...)`; for a `PerSample`, `indices` are sample indices."""
    return function(scores, indices) if isinstance(function, PerSample) else values_of(function, scores)


def values_of(function: Callable, scores: Any) -> Any:
    """The checked result of a function for scores `(n, ...)`, as a tensor `(n,)`.

    As in tf-keras-vis, a list or tuple counts as the tensor of its entries, and the values of a `Score` for a sample are averaged.
    """
    value = function(scores)
    try:
        value = _stacked(value) if isinstance(value, (list, tuple)) else ops.convert_to_tensor(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"A callable `target` must map the scores to one value per sample. Received: {value!r} from {function!r}."
        ) from error
    value = ops.cast(value, scores.dtype)
    if _is_score(function) and len(value.shape) > 1:
        value = ops.mean(value, axis=tuple(range(1, len(value.shape))))
    if len(value.shape) != 1 or (None not in (value.shape[0], scores.shape[0]) and value.shape[0] != scores.shape[0]):
        raise ValueError(
            "A callable `target` must map the scores to one value per sample, a tensor of shape (n,) or a list of n values. "
            f"Received: a result of shape {tuple(value.shape)} for scores of shape {tuple(scores.shape)}."
        )
    return value


def bound(function: Callable, shape: Sequence[int | None], num_samples: int | None, dtype: str) -> Callable | SampleScores:
    """Returns a callable target, as `SampleScores` if it only takes a fixed number of samples.

    Args:
        function: Maps scores to values.
        shape: Shape of the scores.
        num_samples: Number of samples.
        dtype: Dtype of the scores.
    """
    if isinstance(function, SampleScores):
        if len(function) != num_samples:
            raise ValueError(f"Expected one target per sample, {num_samples} of them. Received: {len(function)} targets.")
        return function
    if num_samples is None or None in shape[1:]:
        return function
    try:
        values_of(function, ops.zeros((num_samples, *shape[1:]), dtype))
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(
            f"Expected a callable `target` that maps scores of shape {(num_samples, *shape[1:])} to one value per sample. "
            f"Received: {function!r}, which failed on them ({type(error).__name__}: {error})."
        ) from error
    _check_apart(function, (num_samples, *shape[1:]), dtype)
    if not _is_score(function) and _takes_any_number(function, ops.zeros((num_samples + 1, *shape[1:]), dtype)):
        return function
    return SampleScores(function, num_samples, np.arange(num_samples, dtype="int32"))


def _check_apart(function, shape, dtype):
    """Rejects a function whose value of a sample depends on other samples; tested on the first and last of random scores."""
    drawn = np.random.default_rng(0).normal(size=shape)
    for row in {0, len(drawn) - 1}:
        others = np.broadcast_to(drawn[row], shape)
        among, alone = (
            float(ops.convert_to_numpy(values_of(function, ops.convert_to_tensor(scores, dtype)))[row])
            for scores in (drawn, others)
        )
        if not np.isclose(among, alone, rtol=1e-3, atol=1e-4, equal_nan=True):
            raise ValueError(
                "Expected a callable `target` whose value of a sample depends on the scores of that sample only. Received: "
                f"{function!r}, which gives sample {row} {among:.4g} among others and {alone:.4g} among copies of itself. Do without "
                "statistics over the batch, and without random numbers."
            )


def without_scores(choice: Any, rank: int) -> Any:
    """The class indices of a `Score` of tf-keras-vis for scores `(n, classes)`; other targets are returned unchanged."""
    scores = _of_tf_keras_vis()
    function: Any = choice.function if isinstance(choice, SampleScores) else choice
    if scores is None or rank != 2 or type(function) is not scores.CategoricalScore:
        return choice
    if len(function.indices) == 1:
        return function.indices[0]
    return np.asarray(function.indices)[choice.positions] if isinstance(choice, SampleScores) else function.indices


def by_position(target: Any, names: Sequence[str]) -> Any:
    """Converts a list of callables, one per output as in tf-keras-vis, to a dict by output name; others are unchanged."""
    if not is_list_of_functions(target):
        return target
    if len(target) != len(names):
        raise ValueError(
            f"Expected `target` to have one score function for each of the outputs {list(names)}. Received: a list of {len(target)}. A "
            "callable may return a list, of one value for each sample."
        )
    return dict(zip(names, target, strict=True))


def is_list_of_functions(target: Any) -> bool:
    """Whether a target is a list of callables, one per output."""
    return isinstance(target, (list, tuple)) and bool(target) and all(map(callable, target))


def active(choices: Mapping[str, Any]) -> dict[str, Any]:
    """The targets by output name, without `InactiveScore` of tf-keras-vis.

    Raises:
        ValueError: If none is left.
    """
    scores = _of_tf_keras_vis()
    left = {name: choice for name, choice in choices.items() if scores is None or type(choice) is not scores.InactiveScore}
    if choices and not left:
        raise ValueError(f"Expected a score to explain. Received: an InactiveScore for each of the outputs {list(choices)}.")
    return left


def with_samples(choice: Any) -> Any:
    """Converts a `Score` of tf-keras-vis with an entry per sample to `SampleScores`; others are unchanged."""
    scores = _of_tf_keras_vis()
    if scores is None or type(choice) not in (scores.CategoricalScore, scores.BinaryScore):
        return choice
    count = len(choice.indices if type(choice) is scores.CategoricalScore else choice.target_values)
    return SampleScores(choice, count, np.arange(count, dtype="int32")) if count > 1 else choice


def _stacked(values):
    tensors = [ops.convert_to_tensor(value) for value in values]
    if len({tuple(tensor.shape) for tensor in tensors}) != 1:
        raise ValueError(f"entries of the shapes {[tuple(tensor.shape) for tensor in tensors]}")
    return ops.stack(tensors)


def _takes_any_number(function, scores):
    """Whether a function that takes all samples also takes one more."""
    try:
        value = function(scores)
        return not isinstance(value, (list, tuple)) and value.shape[0] == scores.shape[0]
    except Exception:  # any error: the function only takes the right number of samples
        return False


def _is_score(function):
    scores = _of_tf_keras_vis()
    return scores is not None and isinstance(function, scores.Score)


def _of_tf_keras_vis():
    """The module of the scores, if the user has imported it; it is not imported here."""
    return sys.modules.get("tf_keras_vis.utils.scores")
