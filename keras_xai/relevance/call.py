"""One call of a step, of which relevance is to pass back."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from keras import ops

from keras_xai.backend import Recording, record
from keras_xai.graph.steps import Step
from keras_xai.kinds import Kind, kind_of


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """A step that has been called.

    Attributes:
        step: The step.
        inputs: Its input tensors, one for each of `sources`.
        recording: Its outputs and how a vector-Jacobian product passes back.
    """

    step: Step
    inputs: list
    recording: Recording

    @property
    def sources(self) -> tuple[int, ...]:
        """Identifiers of its inputs, each once."""
        return sources_of(self.step)

    @property
    def outputs(self) -> list:
        """Its output tensors."""
        return self.recording.outputs

    @cached_property
    def kind(self) -> Kind:
        """What the step means."""
        return kind_of(self.step)

    def pull(self, messages: Sequence) -> list:
        """The transpose of the linear map that the step is here, applied to one tensor for each output."""
        return self.recording.pull(messages)

    def again(self, *inputs: Any) -> list:
        """The step's outputs for other inputs."""
        return _on_sources(self.step)(list(inputs))


def sources_of(step: Step) -> tuple[int, ...]:
    """The inputs of a step, each once, though a layer such as `Add` may be handed the same tensor twice."""
    return tuple(dict.fromkeys(step.inputs))


def call(step: Step, values: Mapping[int, Any]) -> Call:
    """Calls a step.

    Args:
        step: As it is called in training, or at inference.
        values: Its input tensors by identifier.
    """
    inputs = [values[identifier] for identifier in sources_of(step)]
    function = _on_sources(step)
    kind = kind_of(step)
    linear = kind.tangent(step, inputs)
    if linear is None:
        return Call(step, inputs, record(function, inputs, push=kind.push(step)))
    return Call(step, inputs, Recording(function(inputs), lambda messages: record(linear, inputs).pull(messages)))


def backward(calls: Sequence[Call], messages: dict[int, Any], pull: Callable[[Call, list], Sequence]) -> None:
    """Passes messages back through calls, adding up those that meet.

    Args:
        calls: In the order in which they were made.
        messages: By identifier of a tensor, to start with those of the outputs; the others are added to it.
        pull: Maps a call and the messages of its outputs to those of its inputs, or `None` for an input that gets none.
    """
    for each in reversed(calls):
        arrived = [messages.get(identifier) for identifier in each.step.outputs]
        if all(message is None for message in arrived):
            continue
        full = [ops.zeros_like(y) if message is None else message for message, y in zip(arrived, each.outputs, strict=True)]
        for identifier, message in zip(each.sources, pull(each, full), strict=True):
            deliver(messages, identifier, message)


def deliver(messages: dict[int, Any], identifier: int, message: Any) -> None:
    """Adds a message, or none, to what has come to a tensor."""
    if message is not None:
        messages[identifier] = messages[identifier] + message if identifier in messages else message


def _on_sources(step):
    """The step as a function of each of its tensors once."""
    place = {identifier: i for i, identifier in enumerate(sources_of(step))}
    return lambda tensors: step(*(tensors[place[identifier]] for identifier in step.inputs))
