"""Relevance of the FBI loss: the rule of each step, and the meaning of messages."""

import abc
import dataclasses
import functools
from typing import Any, ClassVar, final

import keras
from keras import ops

from keras_xai.graph.steps import Step
from keras_xai.kinds.expansion import kind_of
from keras_xai.rules.lrp import Rule, ZPlus
from keras_xai.rules.products import Product, positive, shared
from keras_xai.rules.rule import BackwardRule, Pass, Transpose


class Propagation(abc.ABC):
    """Chooses the rule of each simple step.

    Attributes:
        name: Name of the rule for users.
        by_derivative: Whether a piecewise-linear composite step may be passed as a whole.
    """

    name: ClassVar[str]
    by_derivative: ClassVar[bool]

    @abc.abstractmethod
    def refusal(self, step: Step) -> str | None:
        """The reason why a simple step is not supported, a clause without a full stop; `None` if it is supported."""

    @abc.abstractmethod
    def rule(self, step: Step) -> BackwardRule:
        """The rule of a supported simple step."""

    @abc.abstractmethod
    def start(self, scores: Any, weights: Any) -> Any:
        """The initial message for explaining `weights * scores`; both tensors `(n, ...)`."""

    @abc.abstractmethod
    def relevance(self, activation: Any, message: Any) -> Any:
        """The relevance of a tensor, given its message."""


@final
class ZPropagation(Propagation):
    """LRP z rule: `R_i = sum_j x_i w_ij / z_j R_j`; the bias absorbs its contribution.

    The message is the ratio of relevance to activation. It passes a linear map by its transpose, without a division, and thus a
    piecewise-linear network like the gradient. A curved activation f multiplies it by f(z) / z.

    Source: [Bach et al., 2015](https://doi.org/10.1371/journal.pone.0130140), equation 56, with a stabilizer in curved activations only.
    """

    name = "z"
    by_derivative = True

    def refusal(self, step):
        """See `Propagation`."""
        kind = kind_of(step)
        return None if kind.role == "curved" else kind.refusal(step)

    def rule(self, step):
        """See `Propagation`."""
        return Quotient() if kind_of(step).role == "curved" else Transpose()

    def start(self, scores, weights):
        """See `Propagation`."""
        return weights

    def relevance(self, activation, message):
        """See `Propagation`."""
        return activation * message


@final
class ZPlusPropagation(Propagation):
    """LRP z-plus rule: `R_i = sum_j (x_i w_ij)^+ / sum_k (x_k w_kj)^+ R_j`; biases get nothing.

    The message is the relevance. Elementwise layers pass it on unchanged, including batch normalization and dropout; a batch normalization
    that follows a layer with weights counts as part of it, so that a negative scale flips the signs of its weights; one that follows a
    composite layer does not. All relevance is passed on, except that of outputs without positive contributions, which is lost.

    Source: [Montavon et al., 2017](https://doi.org/10.1016/j.patcog.2016.11.008), deep Taylor decomposition, rule z+. If an input can be
    negative, products of negative inputs and negative weights count as well, as in the alpha-beta rule with beta = 0.
    """

    name = "zplus"
    by_derivative = False

    def refusal(self, step):
        """See `Propagation`."""
        kind = kind_of(step)
        if not step.inputs or (kind.elementwise(step) and step.num_varying == 1):
            return None
        kernels = kind.kernels(step)
        if len(kernels) > 1 or not all(isinstance(kernel, keras.Variable) for kernel in kernels):
            return "the rule 'zplus' takes the positive part of one kernel, and it has several; use the rule 'z'"
        if kind.role == "affine" and len(step.inputs) > 1:
            return "it is called with a mask, which the rule 'zplus' does not support; use the rule 'z'"
        if kind.role == "affine" and not kernels and not isinstance(step.operation, keras.Layer):
            return "the rule 'zplus' supports the kernels of layers only; use a layer, or the rule 'z'"
        return kind.refusal(step)

    def rule(self, step):
        """See `Propagation`."""
        kind = kind_of(step)
        if kind.elementwise(step):
            return Pass()
        if kind.role in ("shape", "select") or not step.inputs:
            return Transpose()
        return Unbiased() if kind.role == "merge" or kind.kernels(step) else UnbiasedMean()

    def start(self, scores, weights):
        """See `Propagation`."""
        return weights * scores

    def relevance(self, activation, message):
        """See `Propagation`."""
        return message


@final
@dataclasses.dataclass(frozen=True)
class Quotient(BackwardRule):
    """Ratios of relevance to activation at an activation f: `f(z) / z` times the ratio, with z stabilized.

    Args:
        stabilizer: Added to the absolute value of z.
    """

    stabilizer: float = 1e-3

    def pull(self, call, messages):
        """See `BackwardRule`."""
        (z,), (activation,), (message,) = call.inputs, call.outputs, messages
        return [message * activation / ops.where(z < 0, z - self.stabilizer, z + self.stabilizer)]


@final
@dataclasses.dataclass(frozen=True)
class Unbiased(BackwardRule):
    """`ZPlus` without biases. It checks at run time for negative inputs, and computes fewer products if there are none."""

    def pull(self, call, messages):
        """See `BackwardRule`."""
        share = ZPlus(bias=False, stabilizer=_stabilizer(call.outputs[0]))
        if call.passage.nonnegative:
            return share.pull(call, messages)
        # Most networks get nonnegative inputs, although this is not visible in the graph.
        some = functools.reduce(ops.logical_or, [ops.any(x < 0) for x in call.inputs])
        none = dataclasses.replace(call, passage=dataclasses.replace(call.passage, nonnegative=True))
        return ops.cond(some, lambda: share.pull(call, messages), lambda: share.pull(none, messages))


@final
@dataclasses.dataclass(frozen=True)
class UnbiasedMean(Rule):
    """`ZPlus` of means, whose weights are positive; negative weights of bicubic interpolation are treated as positive."""

    splits = False
    products = (1, 1)

    def share(self, layer, message):
        """See `Rule`."""
        return shared(layer, message, [Product(positive)], 0.0, _stabilizer(message), add=True)


def _stabilizer(x):
    """The stabilizer of quotients, in the range of half precision."""
    return keras.config.epsilon() if ops.dtype(x) in ("float32", "float64") else 1e-3


PROPAGATIONS: dict[str, Propagation] = {each.name: each for each in (ZPropagation(), ZPlusPropagation())}
