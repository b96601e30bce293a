"""Layers that add or subtract tensors."""

import numpy as np
from keras import layers, ops

from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.kind import OnePiece
from keras_xai.kinds.product import constants_are_nonnegative
from keras_xai.kinds.ranges import entrywise


class Merge(OnePiece):
    """Adds or subtracts tensors, entry by entry."""

    role = "merge"

    def parts(self, step):
        return None

    def elementwise(self, step):
        # The others are constants.
        return step.num_varying == 1 and step.input_specs[0].shape == step.output_specs[0].shape


class Sum(Merge):
    """Adds tensors, entry by entry."""

    def receptive_range(self, step, wanted, shape, output_shape):
        return entrywise(wanted, shape)

    def keeps_sign(self, step):
        return constants_are_nonnegative(step)

    def shifts(self, step):
        return self.elementwise(step)


class Difference(Merge):
    """Subtracts tensors, entry by entry."""

    def receptive_range(self, step, wanted, shape, output_shape):
        return entrywise(wanted, shape)

    def shifts(self, step):
        return self.elementwise(step) and step.takes_tensor(0)  # x - 1, but not 1 - x


def _two(x):
    return [layers.Dense(3, "relu")(x), layers.Dense(3)(x)]


for _class, _kind in ((layers.Add, Sum()), (layers.Average, Sum()), (layers.Subtract, Difference())):
    register(_class, _kind, Example((4,), lambda x, cls=_class: cls()(_two(x))))

register(
    ops.add,
    Sum(),
    Example((4,), lambda x: ops.add(np.array([1.0, 2.0, 3.0, 4.0]), x)),
    Example((4,), lambda x: ops.add(x, -1.0)),
)
register(
    ops.subtract,
    Difference(),
    Example((4,), lambda x: ops.subtract(1.0, x)),
    Example((4,), lambda x: ops.subtract(x, 1.0)),
)
