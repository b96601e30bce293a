"""LRP of gates: products of a signal with a sigmoid, as in LSTM and GRU."""

import dataclasses
from typing import final

from keras import ops

from keras_xai.rules.rule import BackwardRule


@final
@dataclasses.dataclass(frozen=True)
class SignalTakesAll(BackwardRule):
    """LRP rule of a gate times a signal: the signal gets all relevance, the gate none.

    Source: [Arras et al., 2019](https://doi.org/10.1007/978-3-030-28954-6_11), "LRP-all".

    Args:
        signal: Identifier of the signal.
    """

    signal: int

    def pull(self, call, messages):
        """See `BackwardRule`."""
        (message,) = messages
        return [message if identifier == self.signal else ops.zeros_like(message) for identifier in call.passage.sources]
