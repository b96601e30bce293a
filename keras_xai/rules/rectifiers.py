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
    """Guided backpropagation: the positive part of the message, where the unit itself is active.

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
    """Whether a step passes what exceeds a threshold of at least zero, and nothing or less of what does not."""
    kind = kind_of(step)
    if not isinstance(kind, Gate) or kind.refusal(step):
        return False
    pieces = kind.pieces(step.operation)
    threshold, below, above = pieces.thresholds[0], pieces.slopes[0], pieces.slopes[1]
    learned = not isinstance(below, (int, float))  # the slopes of a PReLU
    return threshold >= 0 and above == 1 and (learned or 0 <= below < 1)
