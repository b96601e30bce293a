"""Scores of masked copies of samples, for methods that use the same masks for all samples."""

from collections.abc import Callable
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.parts import Batch
from keras_xai.attribution.perturbation.hiding import check_hidden_scores
from keras_xai.graph.target import Target
from keras_xai.network.batching import in_chunks
from keras_xai.network.roles import Role
from keras_xai.network.scores import Scores


@final
class MaskedScores:
    """The explained scores of masked copies, in one compiled program that makes each mask where it is used.

    A copy is b + m (x - b) for a mask m of 0 to 1 and the baseline b. What is not a real number, such as a token, is shown where its mask
    is at least 1/2. Copies of several samples fill batches together.

    Args:
        scores: The scores of the model.
        target: The target to explain.
        batch_size: Copies per forward pass.
        masks: Maps the numbers of masks `(rows,)`, the inputs and further arguments to a tensor for each input that broadcasts to
            `(rows, *input_shape)`.
        *more: Signature of each further argument, see `Scores.program`.
    """

    def __init__(self, scores: Scores, target: Target, batch_size: int, masks: Callable, *more: Any):
        are_real = [
            role is Role.NUMBERS and keras.backend.is_float_dtype(spec.dtype)
            for role, spec in zip(scores.roles, scores.graph.input_specs, strict=True)
        ]

        def found(inputs, indices, baseline, pairs, count, *arguments):
            def score(rows):
                pair = ops.take(pairs, rows)
                sample, number = pair // count, pair % count
                given = [[ops.take(x, sample, axis=0) for x in several] for several in (inputs, baseline)]
                copies = [
                    _mixed(x, other, mask, real)
                    for x, other, mask, real in zip(*given, masks(number, inputs, *arguments), are_real, strict=True)
                ]
                chosen = [ops.take(index, sample, axis=0) for index in indices]
                return target.choose(scores.outputs(scores.run(copies)), chosen)[0]

            return in_chunks(score, ops.shape(pairs)[0], batch_size, scores.dtype)

        fixed = (scores.signature, ((None,), "int32"), ((), "int32"))
        self._program = scores.program(target, found, *fixed, *more)
        self._name = scores.name

    def __call__(
        self, batch: Batch, indices: list[np.ndarray], count: int, *arguments: Any, needed: np.ndarray | None = None
    ) -> np.ndarray:
        """The scores of samples under masks.

        Args:
            batch: The samples, and the baseline of each.
            indices: The classes.
            count: Number of masks.
            *arguments: The further arguments of `masks`.
            needed: Booleans `(n, count)`, which of them to compute. All by default.

        Returns:
            `(n, count)`, in float64; 0 where they are not computed.

        Raises:
            ValueError: If a score is NaN or infinite.
        """
        num_samples = len(batch.numbers)
        pairs = np.flatnonzero(np.ones((num_samples, count), bool) if needed is None else needed)
        values = self._program(batch.inputs, list(indices), batch.baseline, pairs.astype("int32"), count, *arguments)
        found = np.zeros(num_samples * count)
        found[pairs] = ops.convert_to_numpy(values)
        check_hidden_scores(found, self._name)
        return found.reshape(num_samples, count)


def _mixed(x, baseline, mask, is_real):
    # Exactly the sample where all of it is shown.
    mixed = ops.where(mask >= 1, x, baseline + mask * (x - baseline)) if is_real else ops.where(mask >= 0.5, x, baseline)
    return ops.reshape(mixed, ops.shape(x))  # layers may need to know the length of an axis
