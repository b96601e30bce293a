"""Targets: selection of the explained score of each sample."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, final

import numpy as np
from keras import ops

from keras_xai.graph.score_functions import (
    PerSample,
    active,
    bound,
    by_position,
    is_list_of_functions,
    score_of,
    without_scores,
)
from keras_xai.graph.surroundings import what_is_read
from keras_xai.results.base import taken
from keras_xai.results.sample_scores import SampleScores
from keras_xai.targets.target import ScoreTarget, fitting

# Of an output whose class, or only score, is explained: the probabilities of classes, of which one is right; that of a class by itself;
# or a number.
Prediction = Literal["class", "probability", "number"]


@final
class Target:
    """A checked target, usable in a compiled program.

    Args:
        target: `None` for the highest score of each sample, a class index for all samples, an array of one index per sample, or a callable
            that maps scores to a tensor of shape `(n,)` or a list of n values, such as a `ScoreTarget`. For a model of several
            outputs, a dict of these by output name: their scores are added, and other outputs are ignored. Or a list of callables, one per
            output.
        names: Names of the model's outputs.
        shapes: Shapes of the model's outputs, `(n, classes)` each; the first entry is ignored.
        num_samples: Number of samples.
        dtype: Dtype of the scores.
        links: Link of each output, `"sigmoid"` or others, see `keras_xai.network.scores.Scores`. An output of one sigmoid has two
            classes: its score is that of class 1, and the negated score that of class 0.

    Attributes:
        positions: Positions of the explained outputs.
        key: A key that is equal for targets that can share a compiled program: callables, and the values of the variables that they read.
        indices: An array of one row per sample for each explained output: integers `(n,)`, the class of each sample, -1 for its highest
            score; the parameters `(n, ...)` of a `ScoreTarget`; for a callable that scores all samples at once, the index of each sample.
            Unused for other callables.
        binary: For each of these outputs, whether its one score stands for two classes.
        has_open_sizes: Whether the fit of a ready-made target can be checked only for samples of known sizes.

    Raises:
        ValueError: If an index is out of range, the number of indices is not the number of samples, an output is unknown, or none is
            selected although there are several.
    """

    def __init__(
        self,
        target: Any,
        names: Sequence[str],
        shapes: Sequence[Sequence[int | None]],
        num_samples: int,
        dtype: str = "float32",
        links: Sequence[str | None] | None = None,
    ):
        self._by_name = len(names) > 1
        by_name = self._by_name or is_list_of_functions(target)
        choices = active(_by_output(target, names) if by_name else {names[0]: target})
        self.positions = [list(names).index(name) for name in choices]
        self._names = list(choices)
        self.binary = [
            links is not None and links[position] == "sigmoid" and tuple(shapes[position][1:]) == (1,)
            for position in self.positions
        ]
        chosen = [
            _checked(choice, shapes[position], num_samples, dtype, binary)
            for choice, position, binary in zip(choices.values(), self.positions, self.binary, strict=True)
        ]
        self._callables = [None if isinstance(choice, np.ndarray) else choice for choice in chosen]
        self._functions = [
            PerSample(choice.function, choice.num_samples) if isinstance(choice, SampleScores) else choice
            for choice in self._callables
        ]
        self._links = [None if links is None else links[position] for position in self.positions]
        self.indices = [
            choice.parameters(shapes[position], num_samples, link)
            if isinstance(choice, ScoreTarget)
            else _indices(choice, num_samples)
            for choice, position, link in zip(chosen, self.positions, self._links, strict=True)
        ]
        self._single = [tuple(shapes[position][1:]) == (1,) for position in self.positions]
        self._dtype = dtype
        self.has_open_sizes = any(
            isinstance(function, ScoreTarget) and None in shapes[position][1:]
            for position, function in zip(self.positions, self._functions, strict=True)
        )
        # A compiled program keeps the values that a callable has read at compile time.
        self.key = tuple(
            (position, function.key, signature)
            if isinstance(function, ScoreTarget)
            else (position, function, what_is_read(function.function if isinstance(function, PerSample) else function))
            for position, function, signature in zip(self.positions, self._functions, self.signature, strict=True)
        )

    @property
    def runs_functions(self) -> bool:
        """Whether a function of the user computes a score."""
        return any(not (function is None or isinstance(function, ScoreTarget)) for function in self._functions)

    def check_sizes(self, shapes: Sequence[Sequence[int | None]]) -> None:
        """Checks ready-made targets by the shapes that the outputs have for the samples.

        Raises:
            ValueError: If a target does not fit, such as a position behind the end of a sequence.
        """
        for position, function, link, rows in zip(self.positions, self._functions, self._links, self.indices, strict=True):
            if isinstance(function, ScoreTarget):
                function.parameters(shapes[position], len(rows), link)

    @property
    def signature(self) -> list[tuple]:
        """Shape and dtype of each of `indices`, for `keras_xai.backend.compiled`."""
        return [((None, *rows.shape[1:]), self._dtype if rows.dtype.kind == "f" else "int32") for rows in self.indices]

    @property
    def choices(self) -> list[tuple[int, Callable | None]]:
        """For each explained output its position, and the callable, or `None` for class indices."""
        return list(zip(self.positions, self._functions, strict=True))

    @property
    def is_linear(self) -> bool:
        """Whether the explained score is linear in the model's outputs, as long as the classes do not change."""
        return not any(self._functions)

    @property
    def by_class(self) -> dict[str, int]:
        """Positions, by name, of the outputs of which a class or the only score is explained."""
        every = zip(self._names, self.positions, self._functions, strict=True)
        return {name: position for name, position, function in every if function is None}

    @property
    def predicting(self) -> list[tuple[str, Prediction]]:
        """For each output of which `predictions` tells something, its name and what that is."""
        every = zip(self._names, self._prediction_kinds, strict=True)
        return [(name, kind) for name, kind in every if kind is not None]

    @property
    def _prediction_kinds(self) -> list[Prediction | None]:
        kinds: list[Prediction | None] = []
        for function, binary, single, link in zip(self._functions, self.binary, self._single, self._links, strict=True):
            if function is not None or (single and link == "softmax"):
                kinds.append(None)
            elif binary or link == "softmax":
                kinds.append("class")
            else:
                kinds.append("probability" if link == "sigmoid" else "number" if single else None)
        return kinds

    def predictions(self, outputs: Sequence, indices: Sequence) -> list:
        """What the model predicts, of each of `predicting`: a tensor `(n, 3)`.

        The first column is the probability of the explained class, or the number that is predicted; the others the class of the
        highest probability and this probability, if there is one.

        Args:
            outputs: Tensors, the model's outputs before a final softmax or sigmoid.
            indices: The explained classes, as returned by `choose`.
        """
        found = []
        for position, kind, binary, index in zip(self.positions, self._prediction_kinds, self.binary, indices, strict=True):
            if kind is None:
                continue
            scores = outputs[position]
            index = ops.cast(index, "int32")
            if binary:
                scores = ops.concatenate([1 - ops.sigmoid(scores), ops.sigmoid(scores)], axis=-1)
            elif kind != "number":
                scores = ops.softmax(scores) if kind == "class" else ops.sigmoid(scores)
            picked = ops.one_hot(index, scores.shape[-1], dtype="bool")
            explained = ops.sum(ops.where(picked, scores, ops.zeros_like(scores)), axis=-1)
            best = ops.cast(ops.argmax(scores, axis=-1), scores.dtype)
            found.append(ops.stack([explained, best, ops.max(scores, axis=-1)], axis=-1))
        return found

    def packed(self, by_name: Mapping[str, Any]) -> Any:
        """Values by output name in the form of `described`; `None` if there are none."""
        if not by_name:
            return None
        return dict(by_name) if self._by_name else next(iter(by_name.values()))

    def choose(self, outputs: Sequence, indices: Sequence, *, probabilities: bool = False) -> tuple[Any, list]:
        """The explained score of each sample, and the explained classes.

        Args:
            outputs: Tensors, the model's outputs.
            indices: Integer tensors `(n,)`, rows of `indices`.
            probabilities: Whether the outputs of one sigmoid are probabilities, so that class 0 has the rest to 1.

        Returns:
            A tensor `(n,)`, the sum over the explained outputs, NaN if one of their scores is; and integer tensors like `indices`, with
            the highest scores found.
        """
        total, found = 0, []
        every = zip(self.positions, self._functions, self.binary, self._links, indices, strict=True)
        for position, function, binary, link, index in every:
            scores = outputs[position]
            # If a score is NaN, the highest score is undefined, even if other scores are finite.
            missing = ops.any(ops.isnan(scores), axis=tuple(range(1, len(scores.shape))))
            total = total + ops.where(missing, float("nan"), ops.zeros((), scores.dtype))
            if isinstance(function, ScoreTarget):
                value, index = function.score(scores, index, link)
                total = total + value
            elif function is not None:
                total = total + score_of(function, scores, index)
            elif binary:
                index = ops.where(index < 0, 1, ops.cast(index, "int32"))
                (score,) = ops.unstack(scores, axis=-1)
                total = total + ops.where(index == 1, score, 1 - score if probabilities else -score)
            else:
                index = ops.where(index < 0, ops.cast(ops.argmax(scores, axis=-1), "int32"), ops.cast(index, "int32"))
                picked = ops.one_hot(index, scores.shape[-1], dtype="bool")
                total = total + ops.sum(ops.where(picked, scores, ops.zeros_like(scores)), axis=-1)
            found.append(index)
        return total, found

    def described(self, indices: Sequence[np.ndarray | None]) -> Any:
        """The explained target: an integer array `(n,)` or a callable; for several outputs, a dict of these by output name.

        Args:
            indices: The indices of all samples, as returned by `choose`.
        """
        chosen = [
            index if choice is None else choice.resolved(index) if isinstance(choice, ScoreTarget) else choice
            for choice, index in zip(self._callables, indices, strict=True)
        ]
        return dict(zip(self._names, chosen, strict=True)) if self._by_name else chosen[0]

    def first(self) -> Any:
        """The target of the first sample alone."""
        chosen = [
            choice if choice is not None else None if index[0] < 0 else index
            for choice, index in zip(self._callables, self.indices, strict=True)
        ]
        return taken(dict(zip(self._names, chosen, strict=True)) if self._by_name else chosen[0], np.array([0]))


def _checked(choice, shape, num_samples, dtype, binary=False):
    """A class for each sample, -1 for the highest score; or a callable, bound to its samples if it scores all at once."""
    choice = choice if binary else without_scores(choice, len(shape))
    if isinstance(choice, ScoreTarget):
        return choice
    if callable(choice):
        return bound(choice, shape, num_samples, dtype)
    if isinstance(choice, str) and choice == "predicted":
        choice = None
    if len(shape) != 2:
        raise ValueError(
            "Expected a class output of shape (n, classes), or a `target` that maps the scores to one value per sample. "
            f"Received: target={choice!r} for an output of shape {tuple(shape)}. {fitting(shape)}"
        )
    if choice is None:
        return np.full(num_samples, -1, "int32")
    indices = np.asarray(choice)
    if indices.dtype.kind not in "iu" or indices.ndim > 1:
        raise ValueError(
            "Expected `target` to be None, 'predicted', an integer class index, one index per sample, or a callable. "
            f"Received: target={choice!r}"
        )
    if indices.ndim == 1 and len(indices) != num_samples:
        raise ValueError(f"Expected one target per sample, {num_samples} of them. Received: {len(indices)} targets.")
    num_classes = 2 if binary else shape[-1]
    if indices.size and (indices.min() < 0 or indices.max() >= num_classes):
        only = "" if num_classes > 1 else " The output has one score and does not end in a sigmoid, so that it has no classes."
        raise ValueError(f"Expected target indices from 0 to {num_classes - 1}. Received: target={choice!r}.{only}")
    return np.array(np.broadcast_to(indices, (num_samples,)), "int32")


def _indices(choice, num_samples):
    if isinstance(choice, SampleScores):
        return choice.positions
    return choice if isinstance(choice, np.ndarray) else np.zeros(num_samples, "int32")


def _by_output(target, names):
    """The target of each output, for a model of several outputs."""
    target = by_position(target, names)
    if not isinstance(target, Mapping):
        raise ValueError(
            f"The model has the outputs {list(names)}: pass a dict from output name to target. Received: target={target!r}"
        )
    unknown = [name for name in target if name not in names]
    if unknown or not target:
        raise ValueError(f"Expected output names from {list(names)}. Received: {list(target)}")
    return target
