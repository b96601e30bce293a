"""Relevance in proportion to products of modified inputs and modified weights.

The relevance of an output is divided by the sum z of the products, and each input gets the product of itself and the transpose of the
modified map of these ratios.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, final

from keras import ops

from keras_xai.backend import record
from keras_xai.rules.maps import AffineMap


@final
@dataclasses.dataclass(frozen=True)
class Product:
    """Modified inputs times modified weights.

    Attributes:
        inputs: Maps an input tensor to its modified version.
        weights: Maps the weights to their modified version; `None` for unmodified weights.
        sign: Factor of the product.
    """

    inputs: Callable[[Any], Any]
    weights: Callable[[Any], Any] | None = None
    sign: float = 1.0


def same(x):
    """The tensor itself."""
    return x


def positive(x):
    """The positive part, max(x, 0)."""
    return ops.relu(x)


def negative(x):
    """The negative part, min(x, 0)."""
    return -ops.relu(-x)


def shared(
    layer: AffineMap, message: Any, products: Sequence[Product], total: Any, stabilizer: float, *, add: bool = False
) -> list:
    """The relevance of a map's inputs, in proportion to products.

    Args:
        layer: The map.
        message: The relevance of its outputs.
        products: The products.
        total: The divisor of the relevance; with `add`, the value that the products are added to.
        stabilizer: Keeps `total` away from zero.
        add: Whether the products have yet to be added.
    """
    # For nonnegative inputs, products of negative parts are zero.
    kept = [product for product in products if not (layer.nonnegative and product.inputs is negative)]
    inputs = [[product.inputs(x) for x in layer.inputs] for product in kept]
    recordings = [record(_modified(layer, product), xs) for product, xs in zip(kept, inputs, strict=True)]
    if add:
        total = total + sum(product.sign * made.outputs[0] for product, made in zip(kept, recordings, strict=True))
    epsilon = ops.convert_to_tensor(stabilizer, dtype=total.dtype)
    ratio = message / (total + ops.where(total < 0, -epsilon, epsilon))
    pulled = [made.pull([product.sign * ratio]) for product, made in zip(kept, recordings, strict=True)]
    return sums([[x * each for x, each in zip(*pair, strict=True)] for pair in zip(inputs, pulled, strict=True)])


def _modified(layer, product):
    """The map of a layer with modified weights, in the form for `record`."""
    return lambda inputs: [layer.product(inputs, product.weights)]


def sums(shares: Sequence[Sequence]) -> list:
    """The sum of several shares of each input."""
    return [sum(each[1:], each[0]) for each in zip(*shares, strict=True)]
