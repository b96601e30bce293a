"""Base class of backward rules: messages of a step's outputs become messages of its inputs."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, final

import keras
from keras import ops

from keras_xai.backend import Recording, record
from keras_xai.graph.steps import Step
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.kind import Kind


class BackwardRule(abc.ABC):
    """Passes messages back through a call: derivatives, relevance, or ratios of relevance and activation.

    It may be used within training: what it returns can be differentiated by weights.
    """

    @abc.abstractmethod
    def pull(self, call: "Call", messages: Sequence) -> list:
        """The messages of a call's inputs.

        Args:
            call: The call.
            messages: A tensor for each of its outputs.

        Returns:
            A tensor for each input, `None` for one that gets none.
        """


@final
@dataclasses.dataclass(frozen=True)
class Transpose(BackwardRule):
    """Gradient rule: the transpose of the step's Jacobian."""

    def pull(self, call, messages):
        """See `BackwardRule`."""
        return call.pull(messages)


@final
@dataclasses.dataclass(frozen=True)
class Pass(BackwardRule):
    """LRP pass rule: entrywise steps pass relevance on unchanged."""

    def pull(self, call, messages):
        """See `BackwardRule`."""
        return call.at_real(messages[: len(call.real)])


_TRANSPOSE = Transpose()


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Passage:
    """How messages pass a step, known before anything is computed.

    Attributes:
        step: The step.
        rule: By which they pass it.
        folded: Steps that follow it and count as part of it, for rules that take weights apart; see `folded_into`.
        nonnegative: Whether its inputs have no negative entries, whatever the sample.
        unscaled: Whether of the scales that are folded only the signs are taken: in training, they are those of each batch.
    """

    step: Step
    rule: BackwardRule = _TRANSPOSE
    folded: tuple[Step, ...] = ()
    nonnegative: bool = False
    unscaled: bool = False

    @cached_property
    def sources(self) -> tuple[int, ...]:
        """Identifiers of the step's inputs, each once, though a layer such as `Add` may be handed the same tensor twice."""
        return tuple(dict.fromkeys(self.step.inputs))

    def in_training(self, training: bool) -> "Passage":
        """The passage of the step as it is called in training, or at inference."""
        return dataclasses.replace(self, step=self.step.in_training(training))

    def call(self, values: Mapping[int, Any]) -> "Call":
        """Calls the step.

        Args:
            values: Tensors by identifier; the outputs of `folded` have to be there when messages come back.
        """
        inputs = [values[identifier] for identifier in self.sources]
        kind = kind_of(self.step)
        linear = kind.tangent(self.step, inputs)
        if linear is None:
            recording = record(self.again, inputs, push=kind.push(self.step))
        else:
            recording = Recording(self.again(inputs), lambda messages: record(linear, inputs).pull(messages))
        return Call(self, inputs, recording, values)

    def again(self, inputs: Sequence) -> list:
        """The step's outputs for other inputs, one for each of `sources`."""
        place = {identifier: i for i, identifier in enumerate(self.sources)}
        return self.step(*(inputs[place[identifier]] for identifier in self.step.inputs))


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """A step that has been called.

    Attributes:
        passage: The step, and how messages pass it.
        inputs: Its input tensors, one for each source.
        recording: Its outputs and how a vector-Jacobian product passes back.
        values: The tensors of the forward pass by identifier.
    """

    passage: Passage
    inputs: list
    recording: Recording
    values: Mapping[int, Any]

    @property
    def step(self) -> Step:
        """The step."""
        return self.passage.step

    @property
    def outputs(self) -> list:
        """Its output tensors."""
        return self.recording.outputs

    @property
    def folded_output(self) -> Any:
        """Its one output tensor, or that of the last step that is folded into it."""
        return self.values[self.passage.folded[-1].outputs[0]] if self.passage.folded else self.outputs[0]

    @cached_property
    def kind(self) -> Kind:
        """What the step means."""
        return kind_of(self.step)

    @cached_property
    def real(self) -> list[int]:
        """The places of the inputs that messages can come to: a mask is none."""
        return [place for place, x in enumerate(self.inputs) if keras.backend.is_float_dtype(ops.dtype(x))]

    def pull(self, messages: Sequence) -> list:
        """The transpose of the linear map that the step is here, applied to one tensor for each output."""
        return self.recording.pull(messages)

    def again(self, *inputs: Any) -> list:
        """The step's outputs for other inputs."""
        return self.passage.again(inputs)

    def at_real(self, messages: Sequence) -> list:
        """Messages for the inputs at the places `real`, with `None` for the others."""
        full: list = [None] * len(self.inputs)
        for place, message in zip(self.real, messages, strict=True):
            full[place] = message
        return full
