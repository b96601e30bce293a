"""Layers that are one affine map of several tensors."""

import numpy as np
from keras import layers, ops

from keras_xai.kinds.kind import Example, OnePiece, register


class Merge(OnePiece):
    """One affine map of several tensors."""

    role = "merge"

    def parts(self, step):
        return None


def _two(x):
    return [layers.Dense(3, "relu")(x), layers.Dense(3)(x)]


for _class in (layers.Add, layers.Subtract, layers.Average, layers.Concatenate):
    register(_class, Merge(), Example((4,), lambda x, cls=_class: cls()(_two(x))))

for _function, _example in (
    (ops.add, Example((4,), lambda x: ops.add(np.array([1.0, 2.0, 3.0, 4.0]), x))),
    (ops.subtract, Example((4,), lambda x: ops.subtract(1.0, x))),
    (ops.concatenate, Example((4,), lambda x: ops.concatenate([x, x], axis=-1))),
    (ops.stack, Example((4,), lambda x: ops.stack([x, x], axis=1))),
):
    register(_function, Merge(), _example)
