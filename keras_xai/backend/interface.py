"""Types that every backend returns."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, eq=False)
class Linearization:
    """A function's outputs at a point, with reusable Jacobian-vector and vector-Jacobian products.

    Attributes:
        outputs: Tensors, the function's outputs.
        auxiliary: Further return value of the function.
        pull: Maps cotangents (one tensor for each output) to the vector-Jacobian product (one for each input).
        transpose: Prepares `push`.
    """

    outputs: list
    auxiliary: Any
    pull: Callable[[Sequence], list]
    transpose: Callable[[], Callable[[Sequence], list]]

    @functools.cached_property
    def push(self) -> Callable[[Sequence], list]:
        """Maps tangents (one tensor for each input) to the Jacobian-vector product (one for each output).

        Look it up outside the body of a loop: it is prepared when it is looked up first.
        """
        return self.transpose()


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
