"""What all attribution methods have in common: the call, its checks, and its batches."""

import abc
import dataclasses
import secrets
from collections.abc import Callable
from typing import Any, ClassVar, final

import keras
import numpy as np

from keras_xai.attribution.baseline import baseline_like
from keras_xai.attribution.explanation import Explanation
from keras_xai.attribution.scores import Scores
from keras_xai.graph.inputs import check_count, check_verbose, checked, packed, progress, rows
from keras_xai.graph.target import Target


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Some of the samples to explain.

    Attributes:
        inputs: An array `(n, *input_shape)` for each input of the model.
        indices: An integer array `(n,)` for each output that counts: classes, -1 for the predicted one.
        baseline: An array for each input, `(n, *input_shape)` unless the method takes others; `None` where it takes none.
        numbers: Integer array `(n,)`, the place of each sample among all. Random draws are seeded by it, so that they do not
            depend on the size of batches.
        seed: For random draws: the one that the user gave, or one that is new in this call.
    """

    inputs: list[np.ndarray]
    indices: list[np.ndarray]
    baseline: list[np.ndarray] | None
    numbers: np.ndarray
    seed: int

    @property
    def passes_to_predict(self) -> int:
        """Forward passes that it takes to find the predicted classes, where a method does so apart: none where all are given."""
        return len(self.numbers) if any((index < 0).any() for index in self.indices) else 0


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """The explanation of a batch.

    Attributes:
        values: A tensor or array `(n, *input_shape)` for each input.
        indices: As those of the batch, with the predicted classes in place of -1.
        gap: Tensor or array `(n,)`, or `None`.
        passes: Forward passes that it took for all of its samples, see `Explanation.passes`.
    """

    values: list
    indices: list
    gap: Any
    passes: float


class Method(abc.ABC):
    """An attribution method: `Method(model, **options)(x, target=None, baseline=None)` returns an `Explanation`.

    Args:
        model: A built Sequential or functional model, nested models included. It is only read, and never changed.
        batch_size: Samples that are in the model at a time, those that the method itself makes included.
        verbose: 0 for silence, 1 or `"auto"` for a progress bar, 2 for one line at the end.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model is not built, or subclassed, or an option is not one.

    Attributes:
        takes_baseline: Whether the method compares samples with a baseline.
        gives_derivatives: Whether values are derivatives by the entries of the input, and not what each adds to the score.
    """

    takes_baseline: ClassVar[bool] = False
    gives_derivatives: bool = False

    def __init__(self, model: keras.Model, *, batch_size: int = 32, verbose: Any = 0):
        check_count("batch_size", batch_size)
        check_verbose(verbose)
        self._scores = Scores(model)
        self._batch_size = batch_size
        self._verbose = verbose
        self._seed: int | None = None  # set by methods that draw at random
        self._prepared: tuple[Any, Callable[[Batch], Part]] | None = None

    @final
    def __call__(self, x: Any, target: Any = None, baseline: Any = None) -> Explanation:
        """Explains samples.

        Args:
            x: The samples, as the model takes them: an array or tensor `(n, *input_shape)`, or a list, tuple or dict of them.
            target: What is explained, always a score before a final softmax or sigmoid: `None` for the predicted class of each
                sample, a class index, one index per sample, or a callable that maps the scores `(n, classes)` to a tensor
                `(n,)`. For a model of several outputs a dict of these by output name; the scores of those named are added. A
                model that ends in one sigmoid has one score: it is explained whether it is positive or negative.
            baseline: What samples are compared with, for methods that do: a number for all entries, an array of the shape of
                one sample, or one for each sample; in the structure of `x` for a model of several inputs. Zero by default.

        Returns:
            An `Explanation`.

        Raises:
            ValueError: If samples, target or baseline do not fit the model, if a baseline is given to a method that takes none,
                or if the model's scores or derivatives are NaN or infinite for a sample.
        """
        graph = self._scores.graph
        inputs = checked(x, graph)
        count = len(inputs[0])
        goal = self._scores.target(target, count)
        if baseline is not None and not self.takes_baseline:
            raise ValueError(f"{type(self).__name__} compares samples with nothing. Received: a baseline. Leave it out.")
        compared = self._baseline(baseline, inputs) if self.takes_baseline else None
        explain = self._explainer(goal)
        inputs = self._scores.typed(inputs)
        seed = secrets.randbits(30) if self._seed is None else self._seed
        parts = [
            self._finite(explain(self._batch(inputs, goal, compared, part, seed)), part.start)
            for part in progress(rows(count, self._batch_size), -(-count // self._batch_size), self._verbose)
        ]
        values = [np.concatenate(arrays) for arrays in zip(*(part.values for part in parts), strict=True)]
        indices = [np.concatenate(arrays) for arrays in zip(*(part.indices for part in parts), strict=True)]
        return Explanation(
            values=packed(values, graph),
            target=goal.described(indices),
            inputs=packed(inputs, graph),
            gap=None if parts[0].gap is None else np.concatenate([part.gap for part in parts]),
            baseline=None if compared is None else packed(compared, graph),
            passes=sum(part.passes for part in parts) / count,
            method=self.label,
            derivatives=self.gives_derivatives,
        )

    @property
    def variables(self) -> tuple:
        """The variables of the model."""
        return self._scores.variables

    @property
    def label(self) -> str:
        """What explanations say that they are made by."""
        return type(self).__name__

    @abc.abstractmethod
    def _prepare(self, target: Target) -> Callable[[Batch], Part]:
        """Compiles what explains batches for a target; it is used again for all targets of the same `key`."""

    def _baseline(self, baseline: Any, inputs: list[np.ndarray]) -> list[np.ndarray] | None:
        """A checked baseline: arrays of the shapes of `inputs`; `None` where the method makes one of each sample."""
        return baseline_like(inputs, 0 if baseline is None else baseline, self._scores)

    def _batch(self, inputs, goal, compared, part, seed) -> Batch:
        return Batch(
            inputs=[x[part] for x in inputs],
            indices=[index[part] for index in goal.indices],
            baseline=None if compared is None else self._baseline_of(compared, part),
            numbers=np.arange(part.start, part.start + len(inputs[0][part]), dtype="int32"),
            seed=seed,
        )

    def _baseline_of(self, compared: list[np.ndarray], part: slice) -> list[np.ndarray]:
        """The baseline of some of the samples."""
        return [each[part] for each in compared]

    def _explainer(self, goal):
        if self._prepared is None or self._prepared[0] != goal.key:
            self._prepared = (goal.key, self._prepare(goal))
        return self._prepared[1]

    def _finite(self, part, start) -> Part:
        arrays = [keras.ops.convert_to_numpy(values) for values in part.values]
        bad = np.flatnonzero(~np.all([np.isfinite(array).reshape(len(array), -1).all(axis=1) for array in arrays], axis=0))
        if bad.size:
            raise ValueError(
                f"The scores of the model '{self._scores.name}', or derivatives of them, are NaN or infinite around sample "
                f"{start + bad[0]}, so that {type(self).__name__} cannot explain it. Check the model's weights and the range of "
                "its inputs: `model.predict(x)` should be finite."
            )
        indices = [np.asarray(index) for index in part.indices]
        return dataclasses.replace(
            part, values=arrays, indices=indices, gap=None if part.gap is None else np.asarray(part.gap)
        )
