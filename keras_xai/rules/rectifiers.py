"""Rules of rectifiers: guided backpropagation and the deconvolutional network."""

import dataclasses
from typing import final

from keras import ops

from keras_xai.graph.steps import Step
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.gate import Gate
from keras_xai.rules.rule import BackwardRule


@final
@dataclasses.dataclass(frozen=True)
class Guided(BackwardRule):
    """Guided backpropagation: the positive part of the message for active units, zero for others.

    Source: [Springenberg et al., 2014](https://arxiv.org/abs/1412.6806), section 3.4.
    """

    def pull(self, call, messages):
        """See `BackwardRule`."""
        (message,) = messages
        return call.pull([ops.relu(message)])


@final
@dataclasses.dataclass(frozen=True)
class Deconvolved(BackwardRule):
    """Deconvnet: the positive part of the message, whether the unit is active or not.

    Source: [Zeiler and Fergus, 2014](https://arxiv.org/abs/1311.2901), section 2.1.
    """

    def pull(self, call, messages):
        """See `BackwardRule`."""
        (message,) = messages
        return [ops.relu(message)]


def is_rectifier(step: Step) -> bool:
    """Whether a step is a rectifier: identity above a nonnegative threshold, and nothing or a smaller slope below it."""
    kind = kind_of(step)
    if not isinstance(kind, Gate) or kind.refusal(step):
        return False
    pieces = kind.pieces(step.operation)
    threshold, below, above = pieces.thresholds[0], pieces.slopes[0], pieces.slopes[1]
    learned = not isinstance(below, (int, float))  # learned slopes, as of a PReLU
    return threshold >= 0 and above == 1 and (learned or 0 <= below < 1)
