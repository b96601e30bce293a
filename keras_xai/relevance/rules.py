"""How relevance is passed back through one step."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, final

import keras
from keras import ops

from keras_xai.backend import Recording, record
from keras_xai.graph.steps import Step
from keras_xai.graph.view import unchanged
from keras_xai.kinds import kind_of
from keras_xai.relevance.call import Call


class Rule(abc.ABC):
    """Passes relevance back through the calls of a network, as messages of its own.

    Attributes:
        name: What users call it.
        by_derivative: Whether a piecewise-linear step that is made of others may be passed as a whole.
    """

    name: ClassVar[str]
    by_derivative: ClassVar[bool]

    @abc.abstractmethod
    def refusal(self, step: Step) -> str | None:
        """Why a simple step cannot be passed: a clause without a full stop; `None` if it can be."""

    @abc.abstractmethod
    def start(self, scores: Any, weights: Any) -> Any:
        """The message of the scores, of which `weights * scores` is explained; both tensors `(n, ...)`."""

    @abc.abstractmethod
    def relevance(self, activation: Any, message: Any) -> Any:
        """The relevance of a tensor that a message has come to."""

    @abc.abstractmethod
    def pull(self, call: Call, messages: Sequence, nonnegative: frozenset[int]) -> list:
        """The messages of a call's inputs, from those of its outputs; `None` for an input that gets none.

        Args:
            call: The call.
            messages: A tensor for each output.
            nonnegative: Identifiers of tensors that are known to have no negative entries.
        """


@final
class Z(Rule):
    """In proportion to what each input adds to an output; what the bias adds is kept by the bias.

    The message is the ratio of relevance and activation. It passes a linear map by its transpose, without a division, and
    so a piecewise-linear network as the gradient does. A curved activation f passes it by f(z) / z.

    Source: [Bach et al., 2015](https://doi.org/10.1371/journal.pone.0130140), equation 56, without a stabilizer but in curved
    activations.
    """

    name = "z"
    by_derivative = True
    STABILIZER = 1e-3

    def refusal(self, step):
        kind = kind_of(step)
        return None if kind.role == "curved" else kind.refusal(step)

    def start(self, scores, weights):
        return weights

    def relevance(self, activation, message):
        return activation * message

    def pull(self, call, messages, nonnegative):
        if call.kind.role != "curved":
            return call.pull(messages)
        (z,), (activation,), (message,) = call.inputs, call.outputs, messages
        return [message * activation / ops.where(z < 0, z - self.STABILIZER, z + self.STABILIZER)]


@final
class ZPlus(Rule):
    """In proportion to the positive part of what each input adds to an output; biases get nothing.

    The message is the relevance. What acts on each entry alone passes it as it is, batch normalization and dropout included.
    All of it is passed on, but for that of outputs to which no input adds anything positive, which gets lost.

    Source: [Montavon et al., 2017](https://doi.org/10.1016/j.patcog.2016.11.008), deep Taylor decomposition, rule z+. Where an
    input can be negative, products of a negative input and a negative weight count as well, as in the alpha-beta rule with
    beta = 0.
    """

    name = "zplus"
    by_derivative = False

    def refusal(self, step):
        kind = kind_of(step)
        if kind.elementwise(step):
            return None
        kernels = kind.kernels(step)
        if len(kernels) > 1 or not all(isinstance(kernel, keras.Variable) for kernel in kernels):
            return "the rule 'zplus' takes the positive part of one kernel, and it has several; use the rule 'z'"
        if kind.role == "affine" and len(step.inputs) > 1:
            return "it is called with a mask, which the rule 'zplus' does not know; use the rule 'z'"
        if kind.role == "affine" and not kernels and not isinstance(step.operation, keras.Layer):
            return "the rule 'zplus' knows the kernels of layers only; use a layer, or the rule 'z'"
        return kind.refusal(step)

    def start(self, scores, weights):
        return weights * scores

    def relevance(self, activation, message):
        return message

    def pull(self, call, messages, nonnegative):
        if call.kind.elementwise(call.step):
            return list(messages)
        if call.kind.role in ("shape", "select"):
            return call.pull(messages)
        (message,) = messages
        if call.kind.role == "merge":
            return _shared(message, [[addend] for addend in _addends(call)])

        def share(signs):
            return _shared(message, [_products(call, signs)])[0]

        if not call.kind.kernels(call.step) or nonnegative.issuperset(call.sources):
            return [share([1])]
        # Most networks are fed with numbers that are not negative, though nobody could know from looking at them.
        return [ops.cond(ops.any(call.inputs[0] < 0), lambda: share([1, -1]), lambda: share([1]))]


@dataclasses.dataclass(frozen=True, eq=False)
class _Addend:
    """A linear function of one tensor, of which an output is the sum with others.

    Attributes:
        x: The tensor.
        recording: The function, called.
        signed: Whether it can be negative.
    """

    x: Any
    recording: Recording
    signed: bool = False

    @property
    def value(self):
        return self.recording.outputs[0]

    def pull(self, share):
        """The relevance of the entries of `x`, by what of each output's relevance falls on one unit of it."""
        if self.signed:
            share = ops.where(self.value > 0, share, 0)
        (ratio,) = self.recording.pull([share])
        return self.x * ratio


def _addends(call):
    """What each of several tensors adds to their sum."""
    for place, x in enumerate(call.inputs):
        others = [ops.zeros_like(other) for other in call.inputs]

        def alone(inputs, place=place, others=others):
            return call.again(*others[:place], *inputs, *others[place + 1 :])

        yield _Addend(x, record(alone, [x]), signed=True)


def _products(call, signs):
    """The positive products of inputs and weights of both signs, or of one."""
    (x,) = call.inputs
    kernels = call.kind.kernels(call.step)
    if not kernels:  # a mean of entries, whose weights are positive, but for bicubic interpolation
        function = call.kind.tangent(call.step, call.inputs) or (lambda inputs: call.again(*inputs))
        return [_Addend(ops.relu(x), record(function, [ops.relu(x)]))]
    (kernel,) = kernels
    bias = call.kind.bias(call.step)
    no_bias = [] if bias is None else [(bias, ops.zeros_like(bias))]
    addends = []
    for sign in signs:

        def positive(inputs, sign=sign):
            with unchanged([(kernel, sign * ops.relu(sign * kernel)), *no_bias]):
                return call.again(*inputs)

        part = sign * ops.relu(sign * x)
        addends.append(_Addend(part, record(positive, [part])))
    return addends


def _shared(message, inputs):
    """Shares relevance out among the addends of each input."""
    total = sum(ops.relu(addend.value) if addend.signed else addend.value for addends in inputs for addend in addends)
    half = ops.dtype(total) not in ("float32", "float64")
    share = message / (total + (1e-3 if half else keras.config.epsilon()))  # half precision has no smaller quotients
    return [sum(addend.pull(share) for addend in addends) for addends in inputs]


RULES: dict[str, Rule] = {rule.name: rule for rule in (Z(), ZPlus())}
