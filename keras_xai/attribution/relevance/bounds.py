"""Bounds of the inputs of layers, for LRP rules that are for bounded inputs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import final

import numpy as np
from keras import ops

from keras_xai.backend import compiled
from keras_xai.data.batches import rows
from keras_xai.graph.steps import Step
from keras_xai.network.scores import Scores
from keras_xai.rules.lrp import Rule

# Of the width of the box: rounding of inputs that are scaled to it.
_ROUNDING = 1e-5


@final
class Bounds:
    """Checks that the inputs of layers are within the bounds of their rules.

    Args:
        scores: The scores of the model.
        rules: The rule of each layer.
        varying: Identifiers of the tensors that depend on the samples.
    """

    def __init__(self, scores: Scores, rules: Mapping[Step, Rule], varying: Iterable[int]):
        varying = set(varying)
        self._bounded = [
            (step, rule, identifier)
            for step, rule in rules.items()
            if rule.bounds is not None
            for identifier in dict.fromkeys(step.inputs)
            if identifier in varying
        ]
        wanted = list(dict.fromkeys(identifier for *_, identifier in self._bounded))

        def read(inputs):
            values = scores.run(inputs, until=wanted)
            return [values[identifier] for identifier in wanted]

        self._wanted = wanted
        self._read = compiled(read, [scores.signature]) if wanted else None

    def check(self, inputs: Sequence[np.ndarray], start: int, batch_size: int) -> None:
        """Raises a `ValueError` if a layer has an input outside the bounds of its rule.

        Args:
            inputs: Samples, an array for each input of the model.
            start: Index of the first of them.
            batch_size: Samples per forward pass.
        """
        if self._read is None:
            return
        for part in rows(len(inputs[0]), batch_size):
            tensors = dict(zip(self._wanted, self._read([x[part] for x in inputs]), strict=True))
            for step, rule, identifier in self._bounded:
                _check(step, rule, ops.convert_to_numpy(tensors[identifier]), start + part.start, part.stop - part.start)


def _check(step, rule, x, start, count):
    low, high = (np.asarray(each, "float64") for each in rule.bounds)
    allowed = _ROUNDING * (high - low) + 4 * np.finfo(x.dtype).eps * np.maximum(np.abs(low), np.abs(high))
    outside = ((x < low - allowed) | (x > high + allowed)).reshape(count, -1).any(axis=1)
    if outside.any():
        sample = int(np.flatnonzero(outside)[0])
        found = x.reshape(count, -1)[sample]
        raise ValueError(
            f"Expected inputs of '{step.path}' within the bounds of its rule {type(rule).__name__}, from {low.min():.6g} to "
            f"{high.max():.6g}. Received: values from {found.min():.6g} to {found.max():.6g} for sample {start + sample}. Give the "
            "bounds that the inputs of this layer have, after any scaling, or scale the samples as in training."
        )
