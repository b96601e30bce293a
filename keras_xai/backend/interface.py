"""Types that every backend returns."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, eq=False)
class Linearization:
    """A function's outputs at a point, with reusable Jacobian-vector and vector-Jacobian products.

    Attributes:
        outputs: Tensors, the function's outputs.
        auxiliary: Further return value of the function.
        pull: Maps cotangents (one tensor for each output) to the vector-Jacobian product (one for each input).
        push: Maps tangents (one tensor for each input) to the Jacobian-vector product (one for each output).
    """

    outputs: list
    auxiliary: Any
    pull: Callable[[Sequence], list]
    push: Callable[[Sequence], list]


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """A function's outputs, with its vector-Jacobian product.

    Attributes:
        outputs: Tensors, the function's outputs.
        pull: Maps cotangents (one tensor for each output) to the vector-Jacobian product, one tensor for each input, `None` for an input
            that no output depends on. It can be called once, and is differentiable.
    """

    outputs: list
    pull: Callable[[Sequence], list]
