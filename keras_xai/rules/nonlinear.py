"""LRP rules of steps that are not affine: products of tensors, and softmax."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import ClassVar, final

from keras import ops

from keras_xai.data.checks import check_positive
from keras_xai.graph.steps import Step
from keras_xai.kinds.expansion import kind_of
from keras_xai.rules.rule import BackwardRule


@dataclasses.dataclass(frozen=True)
class ProductRule(BackwardRule, abc.ABC):
    """Base class of rules of products: equal shares for the factors that vary, in proportion to their contributions.

    Args:
        stabilizer: Like the epsilon of `Epsilon`.

    Attributes:
        holds_gates: Whether factors that gate others count as constants, see `constant_factors`.
    """

    stabilizer: float = 1e-6
    holds_gates: ClassVar[bool]

    def __post_init__(self):
        check_positive("stabilizer", self.stabilizer)

    def pull(self, call, messages):
        """See `BackwardRule`."""
        (message,), (output,) = messages, call.outputs
        held = call.passage.held
        places = [place for place in call.real if call.passage.sources[place] not in held]
        num_factors = sum(call.step.inputs.count(call.passage.sources[place]) for place in places)
        epsilon = ops.convert_to_tensor(self.stabilizer, dtype=output.dtype)
        total = num_factors * output
        pulled = call.pull([message / (total + ops.where(total < 0, -epsilon, epsilon))])
        shares = [None] * len(call.inputs)
        for place in places:
            shares[place] = call.inputs[place] * pulled[place]
        return shares


@final
@dataclasses.dataclass(frozen=True)
class Uniform(ProductRule):
    r"""LRP rule of products: the same share for each factor.

    $$R(a_{ji}) = \sum_p \frac{a_{ji} v_{ip}}{2 o_{jp} + \epsilon \, \mathrm{sign}(o_{jp})} R_{jp}, \qquad o_{jp} = \sum_i a_{ji} v_{ip}$$

    and likewise for v. It holds for matrix products such as those of attention, and for products of entries.

    Source: [Achtibat et al., 2024](https://arxiv.org/abs/2402.05602), equation 13.

    Args:
        stabilizer: Like the epsilon of `Epsilon`.
    """

    holds_gates = False


@final
@dataclasses.dataclass(frozen=True)
class SignalTakesAll(ProductRule):
    """LRP rule of products: a factor that gates the others counts as a constant, and gets nothing.

    Gates are outputs of a sigmoid or a softmax, as in LSTM cells, attention and squeeze-and-excite blocks, see
    `constant_factors`. Where no factor is a gate, each gets the same share as with `Uniform`.

    Source: [Arras et al., 2019](https://doi.org/10.1007/978-3-030-28954-6_11) for LSTM, [Ali et al.,
    2022](https://arxiv.org/abs/2202.07304) for attention.

    Args:
        stabilizer: Like the epsilon of `Epsilon`.
    """

    holds_gates = True


@final
@dataclasses.dataclass(frozen=True)
class Taylor(BackwardRule):
    r"""LRP rule of softmax: the first-order Taylor expansion at the sample, whose constant term is lost.

    $$R(x_i) = x_i \left( R_i - s_i \sum_j R_j \right)$$

    Source: [Achtibat et al., 2024](https://arxiv.org/abs/2402.05602), proposition 3.1.
    """

    def pull(self, call, messages):
        """See `BackwardRule`."""
        (message,), (output,) = messages, call.outputs
        pulled = call.pull([ops.divide_no_nan(message, output)])
        return call.at_real([call.inputs[place] * pulled[place] for place in call.real])


def constant_factors(step: Step, producers: Mapping[int, Step], varying: frozenset[int], *, gates: bool) -> frozenset[int]:
    """The factors of a product that count as constants: identifiers of tensors, none if all factors are of the same type.

    The reciprocal of a divisor comes before the output of a sigmoid or softmax, these before outputs of other activations, and these before
    all others.

    Args:
        step: The product.
        producers: For each tensor the step that computes it.
        varying: Identifiers of the tensors that relevance can reach.
        gates: Whether factors that scale the others count as constants as well as reciprocals of divisors.
    """
    ranks = {identifier: _rank(producers, identifier, varying) for identifier in step.inputs if identifier in varying}
    most = max(ranks.values(), default=0)
    found = {identifier for identifier, rank in ranks.items() if rank == most}
    return frozenset(found if found < ranks.keys() and (gates or most == _DIVISOR) else ())


_DIVISOR, _GATE, _ACTIVATION, _OTHER = 3, 2, 1, 0


def _rank(producers, identifier, varying):
    while identifier in producers:
        step = producers[identifier]
        kind = kind_of(step)
        if kind.divides(step):
            return _DIVISOR
        if kind.gates(step):
            return _GATE
        if kind.role in ("gate", "curved"):
            return _ACTIVATION
        sources = [each for each in step.inputs if each in varying]
        if len(set(sources)) != 1 or not (kind.role == "shape" or kind.elementwise(step)):
            return _OTHER
        (identifier,) = set(sources)
    return _OTHER
