"""Rules of layer-wise relevance propagation (LRP).

A rule consists of a few products of modified inputs and modified weights. The relevance of an output is divided by their sum z, and each
input gets the product of itself and the transpose of the modified map of these ratios.
"""

import abc
import dataclasses
from typing import Any, ClassVar, final

import numpy as np
from keras import ops

from keras_xai.data.checks import check_flag, check_number, check_positive, is_number, real_array
from keras_xai.rules.maps import AffineMap, affine_maps
from keras_xai.rules.products import Product, negative, positive, same, shared, sums
from keras_xai.rules.rule import BackwardRule


class Rule(BackwardRule):
    """Base class of LRP rules: redistributes the relevance of an affine map's outputs to its inputs.

    Attributes:
        splits: Whether it modifies weights, which must then be known.
        products: Number of products, forward and backward, for nonnegative inputs and for arbitrary ones.
        bounds: The inputs that it is for; samples outside are refused.
    """

    splits: ClassVar[bool] = True
    products: ClassVar[tuple[int, int]]

    @property
    def bounds(self) -> tuple[Any, Any] | None:
        """The smallest and largest inputs that it is for, which broadcast against a layer's input; `None` if it is for all."""
        return None

    def pull(self, call, messages):
        """See `BackwardRule`: applies `share` to each affine map of the call."""
        shares = list(messages)
        for layer in reversed(affine_maps(call)):
            shares = self.share(layer, *shares)
        return call.at_real(shares)

    @abc.abstractmethod
    def share(self, layer: AffineMap, message: Any) -> list:
        """The relevance of the inputs.

        Args:
            layer: The map.
            message: The relevance of its outputs, of the output's shape.

        Returns:
            A tensor for each input.
        """


@final
@dataclasses.dataclass(frozen=True)
class Epsilon(Rule):
    r"""LRP epsilon rule: `R_i = sum_j x_i w_ij / (z_j + epsilon sign(z_j)) R_j`.

    $$R_i = \sum_j \frac{x_i w_{ij}}{z_j + \epsilon \, \mathrm{sign}(z_j)} R_j, \qquad z_j = \sum_i x_i w_{ij} + b_j$$

    The bias absorbs its part, and epsilon a little: it is absolute, in the unit of the layer's output.

    Source: [Bach et al., 2015](https://doi.org/10.1371/journal.pone.0130140), equation 58.

    Args:
        epsilon: A positive number.
        bias: Whether the bias counts as a contribution whose part is lost; otherwise the inputs get all relevance.
    """

    epsilon: float = 1e-6
    bias: bool = True
    splits = False
    products = (1, 1)

    def __post_init__(self):
        check_positive("epsilon", self.epsilon)
        check_flag("bias", self.bias)

    def share(self, layer, message):
        """See `Rule`."""
        total = layer.output if self.bias else layer.output - layer.bias()
        return shared(layer, message, [Product(same)], total, self.epsilon)


@final
@dataclasses.dataclass(frozen=True)
class Gamma(Rule):
    r"""LRP gamma rule: the epsilon rule with contributions of the output's sign weighted by 1 + gamma.

    $$R_i = \sum_j \frac{a_{ij}}{\sum_k a_{kj}} R_j, \qquad a_{ij} = x_i w_{ij} + \gamma \max(0, x_i w_{ij}) \quad (z_j > 0)$$

    and the minimum instead of the maximum for z_j < 0. The bias is a contribution like others. The rule interpolates between `Epsilon`
    (gamma = 0) and `ZPlus` (large gamma).

    Source: [Montavon et al., 2019](https://doi.org/10.1007/978-3-030-28954-6_10), table 10.1, for nonnegative inputs; for all inputs as in
    [Andéol et al., 2021](https://arxiv.org/abs/2106.04923).

    Args:
        gamma: A number of at least 0.
        bias: Whether the bias counts as a contribution whose part is lost; otherwise the inputs get all relevance.
        stabilizer: Like the epsilon of `Epsilon`.
    """

    gamma: float = 0.25
    bias: bool = True
    stabilizer: float = 1e-6
    products = (4, 8)

    def __post_init__(self):
        check_positive("stabilizer", self.stabilizer)
        check_number("gamma", self.gamma, least=0)
        check_flag("bias", self.bias)

    def share(self, layer, message):
        """See `Rule`."""
        shares = []
        for here, part, other in ((layer.output > 0, positive, negative), (layer.output < 0, negative, positive)):

            def like(weights, part=part):
                return weights + self.gamma * part(weights)

            def unlike(weights, part=other):
                return weights + self.gamma * part(weights)

            message_here = ops.where(here, message, ops.zeros_like(message))
            total = like(layer.bias()) if self.bias else 0.0
            products = [Product(positive, like), Product(negative, unlike)]
            shares.append(shared(layer, message_here, products, total, self.stabilizer, add=True))
        return sums(shares)


@final
@dataclasses.dataclass(frozen=True)
class AlphaBeta(Rule):
    r"""LRP alpha-beta rule: positive contributions weighted by alpha, negative ones by beta.

    $$R_i = \sum_j \left( \alpha \frac{(x_i w_{ij})^+}{\sum_k (x_k w_{kj})^+ + b_j^+}
    - \beta \frac{(x_i w_{ij})^-}{\sum_k (x_k w_{kj})^- + b_j^-} \right) R_j, \qquad \alpha - \beta = 1$$

    Source: [Bach et al., 2015](https://doi.org/10.1371/journal.pone.0130140), equation 60.

    Args:
        alpha: A number of at least 1.
        beta: alpha - 1.
        bias: Whether the bias counts as a contribution whose part is lost; otherwise the inputs get all relevance.
        stabilizer: Like the epsilon of `Epsilon`.
    """

    alpha: float = 2.0
    beta: float = 1.0
    bias: bool = True
    stabilizer: float = 1e-6
    products = (4, 8)

    def __post_init__(self):
        check_positive("stabilizer", self.stabilizer)
        check_flag("bias", self.bias)
        numbers = is_number(self.alpha) and is_number(self.beta)
        if not (numbers and self.beta >= 0 and np.isclose(self.alpha - self.beta, 1)):
            raise ValueError(
                "Expected `alpha` and `beta` to be numbers of at least 0 whose difference is 1, so that relevance is conserved. "
                f"Received: alpha={self.alpha!r}, beta={self.beta!r}"
            )

    def share(self, layer, message):
        """See `Rule`."""
        shares = []
        for factor, part, other in ((self.alpha, positive, negative), (-self.beta, negative, positive)):
            total = part(layer.bias()) if self.bias else 0.0
            products = [Product(positive, part), Product(negative, other)]
            if factor:
                shares.append(shared(layer, factor * message, products, total, self.stabilizer, add=True))
        return sums(shares)


@final
@dataclasses.dataclass(frozen=True)
class ZPlus(Rule):
    r"""LRP z-plus rule: `R_i = sum_j (x_i w_ij)^+ / sum_k (x_k w_kj)^+ R_j`.

    $$R_i = \sum_j \frac{(x_i w_{ij})^+}{\sum_k (x_k w_{kj})^+ + b_j^+} R_j$$

    Equivalent to `AlphaBeta(1, 0)`. The relevance of outputs without positive contributions is lost.

    Source: [Montavon et al., 2017](https://doi.org/10.1016/j.patcog.2016.11.008), for nonnegative inputs and without biases, as with
    `bias=False`; for all inputs [Bach et al., 2015](https://doi.org/10.1371/journal.pone.0130140), equation 60.

    Args:
        bias: Whether a positive bias counts as a contribution whose part is lost; otherwise the inputs get all relevance.
        stabilizer: Like the epsilon of `Epsilon`.
    """

    bias: bool = True
    stabilizer: float = 1e-6
    products = (2, 4)

    def __post_init__(self):
        check_positive("stabilizer", self.stabilizer)
        check_flag("bias", self.bias)

    def share(self, layer, message):
        """See `Rule`."""
        return AlphaBeta(1.0, 0.0, self.bias, self.stabilizer).share(layer, message)


@final
@dataclasses.dataclass(frozen=True)
class Flat(Rule):
    r"""LRP flat rule: equal shares for all inputs that are connected to an output.

    $$R_i = \sum_j \frac{1}{\sum_k 1} R_j$$

    For a first convolution, whose filters and pixels would only make the heatmap grainy. A first dense layer is connected to all inputs,
    which then get equal relevance, so the explanation is uninformative. Biases get nothing.

    Source: [Lapuschkin et al., 2019](https://doi.org/10.1038/s41467-019-08987-4), supplement.

    Args:
        stabilizer: Like the epsilon of `Epsilon`.
    """

    stabilizer: float = 1e-6
    products = (1, 1)

    def __post_init__(self):
        check_positive("stabilizer", self.stabilizer)

    def share(self, layer, message):
        """See `Rule`."""
        # Ones are the same for all samples, so one sample's product suffices.
        total = layer.product([ops.ones_like(x[:1]) for x in layer.inputs], ops.ones_like)
        return shared(layer, message, [Product(ops.ones_like, ops.ones_like)], total, self.stabilizer)


@final
@dataclasses.dataclass(frozen=True)
class ZBox(Rule):
    r"""LRP z-box rule for bounded inputs such as pixels: shares relative to the box's lowest contributions.

    $$R_i = \sum_j \frac{a_{ij}}{\sum_k a_{kj}} R_j, \qquad a_{ij} = x_i w_{ij} - l_i w_{ij}^+ - h_i w_{ij}^-$$

    Biases get nothing. Samples outside the box are refused: the shares of their entries would have the wrong sign.

    Source: [Montavon et al., 2017](https://doi.org/10.1016/j.patcog.2016.11.008).

    Args:
        low: The lower bounds l of the layer's input: a number, or an array that broadcasts against it. The first layer's input is that of
            the model, unless it is scaled first.
        high: The upper bounds h.
        stabilizer: Like the epsilon of `Epsilon`.
    """

    low: Any
    high: Any
    stabilizer: float = 1e-6
    products = (3, 3)

    @property
    def bounds(self):
        """See `Rule`."""
        return self.low, self.high

    def __post_init__(self):
        check_positive("stabilizer", self.stabilizer)
        low, high = real_array("low", self.low), real_array("high", self.high)
        if not (np.isfinite(low).all() and np.isfinite(high).all() and low.size and high.size and np.all(np.less(low, high))):
            raise ValueError(
                "Expected `low` and `high` to be finite, and `low` to be less everywhere. "
                f"Received: low={self.low!r}, high={self.high!r}"
            )

    def share(self, layer, message):
        """See `Rule`."""

        def filled(value):
            return lambda x: ops.zeros_like(x) + ops.convert_to_tensor(value, dtype=x.dtype)

        box = [Product(filled(self.low), positive, sign=-1.0), Product(filled(self.high), negative, sign=-1.0)]
        total = layer.output - layer.bias()
        for each in box:  # the same for all samples, so one sample's product suffices
            total = total - layer.product([each.inputs(x[:1]) for x in layer.inputs], each.weights)
        return shared(layer, message, [Product(same), *box], total, self.stabilizer)
