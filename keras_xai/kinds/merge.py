"""Layers that add tensors up."""

import numpy as np
from keras import layers, ops

from keras_xai.kinds.kind import Example, OnePiece, register


class Merge(OnePiece):
    """Adds or subtracts tensors, entry by entry."""

    role = "merge"

    def parts(self, step):
        return None

    def elementwise(self, step):
        return len(step.inputs) == 1 and step.input_specs[0].shape == step.output_specs[0].shape  # the others are constants


def _two(x):
    return [layers.Dense(3, "relu")(x), layers.Dense(3)(x)]


for _class in (layers.Add, layers.Subtract, layers.Average):
    register(_class, Merge(), Example((4,), lambda x, cls=_class: cls()(_two(x))))

for _function, _example in (
    (ops.add, Example((4,), lambda x: ops.add(np.array([1.0, 2.0, 3.0, 4.0]), x))),
    (ops.subtract, Example((4,), lambda x: ops.subtract(1.0, x))),
):
    register(_function, Merge(), _example)
