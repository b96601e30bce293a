"""Targets and baselines aligned with the batches of a dataset: one value for all samples, or one per sample."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from keras_xai.data.arrays import unchecked, with_rank
from keras_xai.data.checks import is_number
from keras_xai.data.structure import Inputs, packed
from keras_xai.graph.score_functions import is_list_of_functions, with_samples
from keras_xai.results.sample_scores import SampleScores
from keras_xai.targets import ScoreTarget


@final
class Aligned:
    """A target or baseline that is sliced along with the batches of a dataset.

    Args:
        name: Name of the argument.
        value: The argument's value.
        per_sample: Arrays within the value that hold one entry per sample; the shortest limits how many samples can be read.
    """

    def __init__(self, name: str, value: Any, per_sample: list[np.ndarray]):
        self._name = name
        self._value = value
        self._lengths = {len(array) for array in per_sample}

    def part(self, start: int, count: int) -> Any:
        """Returns the value for `count` samples from `start` on.

        Raises:
            ValueError: If there are fewer values than samples.
        """
        if any(start + count > length for length in self._lengths):
            raise ValueError(
                f"Expected one {self._name} per sample. Received: {min(self._lengths)} for a dataset with more samples."
            )
        return self._of(slice(start, start + count))

    def check_end(self, total: int) -> None:
        """Raises a `ValueError` if there are more values than samples."""
        if any(length > total for length in self._lengths):
            raise ValueError(f"Expected one {self._name} per sample, {total} of them. Received: {max(self._lengths)}.")

    def _of(self, part):
        return self._value(part) if self._lengths else self._value(slice(None))


def aligned_target(target: Any) -> Aligned:
    """A target: `None`, an index or a callable for all samples, one index or score for each, or a dict or list of these."""
    found: list[np.ndarray] = []

    def opened(choice):
        choice = with_samples(choice)
        if isinstance(choice, SampleScores):
            found.append(choice.positions)
            return lambda part: choice[part]
        if isinstance(choice, ScoreTarget) and choice.num_samples is not None:
            found.append(np.arange(choice.num_samples))
            return lambda part: choice.taken(part)
        if choice is None or callable(choice) or np.ndim(choice) != 1:
            return lambda part: choice
        array = np.asarray(choice)
        found.append(array)
        return lambda part: array[part]

    if isinstance(target, Mapping):
        by_name = {name: opened(choice) for name, choice in target.items()}
        return Aligned("target", lambda part: {name: of(part) for name, of in by_name.items()}, found)
    if is_list_of_functions(target):
        by_position = [opened(choice) for choice in target]
        return Aligned("target", lambda part: [of(part) for of in by_position], found)
    return Aligned("target", opened(target), found)


def aligned_baseline(baseline: Any, inputs: Inputs) -> Aligned:
    """Wraps a baseline: a number or keyword for all entries, an array of the shape of one sample, or one baseline per sample."""
    if baseline is None or isinstance(baseline, str) or is_number(baseline):
        return Aligned("baseline", lambda part: baseline, [])
    arrays = [with_rank(array, spec) for array, spec in zip(unchecked(baseline, inputs), inputs.input_specs, strict=True)]
    each = [array.ndim == len(spec.shape) and len(array) > 1 for array, spec in zip(arrays, inputs.input_specs, strict=True)]

    def of(part):
        return packed([array[part] if many else array for array, many in zip(arrays, each, strict=True)], inputs)

    return Aligned("baseline", of, [array for array, many in zip(arrays, each, strict=True) if many])
