"""Scores of samples with hidden segments, for LIME and SHAP."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import final

import numpy as np
from keras import ops

from keras_xai.data.batches import rows
from keras_xai.data.layout import Layout
from keras_xai.data.progress import progress
from keras_xai.graph.target import Target
from keras_xai.network.scores import Scores


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Parted:
    """A sample, its segments, and the replacement for hidden segments.

    Attributes:
        sample: An array `(1, *input_shape)` for each input.
        hidden: An array `(m, *input_shape)` for each input: the m samples that replace hidden segments.
        numbers: For each input, an array with the segment number of each place, `count` where hiding changes nothing.
        count: Number of segments that hiding changes.
        layouts: The layout of each input.
        explained: For each input, whether it is explained, not held fixed.
    """

    sample: list[np.ndarray]
    hidden: list[np.ndarray]
    numbers: list[np.ndarray]
    count: int
    layouts: list[Layout]
    explained: list[bool]

    @classmethod
    def of(
        cls,
        sample: Sequence[np.ndarray],
        hidden: Sequence[np.ndarray],
        numbers: Sequence[np.ndarray],
        layouts: Sequence[Layout],
        explained: Sequence[bool],
        padding: Sequence[np.ndarray | None] | None = None,
    ) -> "Parted":
        """Drops the segments that are equal in the sample and in all replacements, and those of padding and of inputs that are held fixed.

        Args:
            sample: An array `input_shape` for each input.
            hidden: As in the attribute.
            numbers: The segment number of each place, from 0.
            layouts: As in the attribute.
            explained: As in the attribute.
            padding: For each input, booleans that broadcast to the sample, true for padding; or `None`.
        """
        hidden = [
            np.where(True if not changes else False if padded is None else padded, x, others)
            for x, others, changes, padded in zip(sample, hidden, explained, padding or [None] * len(hidden), strict=True)
        ]
        changed = np.zeros(1 + max(int(each.max()) for each in numbers), bool)
        for x, others, each, layout in zip(sample, hidden, numbers, layouts, strict=True):
            differs = layout.channels_last((others != x).any(axis=0, keepdims=True))[0]
            np.logical_or.at(changed, each, differs.any(axis=-1) if differs.ndim > each.ndim else differs)
        count = int(changed.sum())
        renumbered = np.full(len(changed), count)
        renumbered[changed] = np.arange(count)
        places = [renumbered[each] for each in numbers]
        return cls([x[np.newaxis] for x in sample], hidden, places, count, list(layouts), list(explained))

    @property
    def positions(self) -> list[np.ndarray]:
        """The numbers in the layout of the inputs: arrays `input_shape`, with a channel axis of length 1 if samples have channels."""
        return [
            layout.restored(each[np.newaxis] if layout.is_apart else each[np.newaxis, ..., np.newaxis])[0]
            for each, layout in zip(self.numbers, self.layouts, strict=True)
        ]

    def spread(self, weights: np.ndarray) -> list[np.ndarray | None]:
        """Values of the segments `(count,)` at each of their positions, with a channel axis of length 1 if samples have channels.

        `None` for an input that is held fixed.
        """
        padded = np.append(weights, 0)
        return [padded[each] if explained else None for each, explained in zip(self.positions, self.explained, strict=True)]

    def shared(self, values: np.ndarray) -> list[np.ndarray | None]:
        """As `spread`, with the value of each segment divided among its positions."""
        sizes = np.bincount(np.concatenate([each.ravel() for each in self.numbers]), minlength=self.count + 1)[: self.count]
        return self.spread(values / sizes)


@final
class Hiding:
    """Evaluates the explained score of samples with hidden segments, in one compiled program.

    Args:
        scores: The scores of the model.
        target: The target to explain.
        batch_size: Rows per forward pass.
    """

    def __init__(self, scores: Scores, target: Target, batch_size: int):
        def mixed(x, others, numbers, shown):
            kept = ops.expand_dims(ops.take(shown, numbers, axis=1), 1)
            return ops.reshape(ops.where(kept, x[np.newaxis], others[np.newaxis]), (-1, *ops.shape(x)[1:]))

        def score(inputs, indices, hidden, numbers, shown):
            batch = [mixed(*each, shown) for each in zip(inputs, hidden, numbers, strict=True)]
            classes = [ops.broadcast_to(each, (ops.shape(batch[0])[0], *each.shape[1:])) for each in indices]
            found = target.choose(scores.outputs(scores.run(batch)), classes)[0]
            return ops.sum(ops.reshape(found, (ops.shape(shown)[0], -1)), axis=1)

        places = [((None,) * (len(spec.shape) - 1), "int32") for spec in scores.graph.input_specs]
        self._program = scores.program(target, score, scores.signature, places, ((None, None), "bool"))
        self._batch_size = batch_size
        self._name = scores.name

    def __call__(self, parted: Parted, indices: Sequence[np.ndarray], shown: np.ndarray) -> np.ndarray:
        """The mean score over all replacements of the hidden segments.

        Args:
            parted: The sample.
            indices: The classes, arrays `(1,)`.
            shown: Booleans `(k, parts)`: which segments are not hidden.

        Returns:
            `(k,)`, in float64.

        Raises:
            ValueError: If a score is NaN or infinite.
        """
        count = len(parted.hidden[0])
        numbers = [each.astype("int32") for each in parted.positions]
        shown = np.pad(shown.astype(bool), ((0, 0), (0, 1)), constant_values=True)
        means = np.zeros(len(shown))
        parts = rows(len(shown), max(1, self._batch_size // count))
        for some in progress(parts, len(parts)):
            for others in rows(count, self._batch_size):
                hidden = [each[others] for each in parted.hidden]
                found = self._program(parted.sample, list(indices), hidden, numbers, shown[some])
                means[some] += ops.convert_to_numpy(found) / count
            check_hidden_scores(means[some], self._name)
        return means


def check_hidden_scores(found: np.ndarray, name: str) -> None:
    """Raises a `ValueError` if scores of samples with hidden parts are NaN or infinite.

    Args:
        found: The scores.
        name: Name of the model.
    """
    if not np.isfinite(found).all():
        raise ValueError(
            f"The scores of the model '{name}' are NaN or infinite when parts of a sample are hidden. A model that averages "
            "over non-padding tokens has nothing to average if all of them are hidden: give a `baseline` that is not padding, "
            "such as the token of unknown words. Otherwise check the model's weights: `model.predict(x)` should be finite."
        )


def padding_of_sample(scores: Scores, sample: Sequence[np.ndarray]) -> list[np.ndarray | None]:
    """The padding of one sample, see `Parted.of`."""
    return [None if each is None else each[0] for each in scores.padding([x[np.newaxis] for x in sample])]


def stacked(samples: Iterable[Sequence[np.ndarray | None]]) -> list[np.ndarray | None]:
    """The values of samples, a list of arrays for each, as one array for each input; `None` for an input that is held fixed."""
    return [None if arrays[0] is None else np.stack(arrays) for arrays in zip(*samples, strict=True)]
