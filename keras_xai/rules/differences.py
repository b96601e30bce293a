"""DeepLIFT: multipliers of the differences from a reference."""

import dataclasses
from typing import final

from keras import ops

from keras_xai.backend import record
from keras_xai.graph.steps import Step
from keras_xai.kinds.expansion import indivisible, kind_of
from keras_xai.rules.rule import BackwardRule


@final
@dataclasses.dataclass(frozen=True)
class Multipliers(BackwardRule):
    """DeepLIFT rule: the transpose of the step's secant between reference and sample, see `keras_xai.kinds.secants`.

    The call must have a `reference`.

    Source: [Shrikumar et al., 2017](https://arxiv.org/abs/1704.02685), the rescale rule; [Lundberg and Lee,
    2017](https://arxiv.org/abs/1705.07874) for steps of several arguments.
    """

    def pull(self, call, messages):
        """See `BackwardRule`."""
        step = call.step
        linear = call.kind.secant(step)([call.values[i] for i in step.inputs], [call.reference[i] for i in step.inputs])
        # The map is linear, so any point works, except the tensors that it may be computed from. Factors computed from weights stay.
        point = [ops.zeros_like(x) if i in call.real else x for i, x in enumerate(call.inputs)]
        return record(lambda sources: linear(call.passage.operands(sources)), point).pull(messages)


def refusal(step: Step) -> str | None:
    """The reason why differences cannot pass a step, a clause without a full stop; `None` if they can."""
    kind = kind_of(step)
    return indivisible(step) or (None if kind.secant(step) else kind.refusal(step) or "no rule is known for differences")
