"""Base class of backward rules, which map messages of a step's outputs to messages of its inputs."""

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
    """Passes messages backward through a call: derivatives, relevance, or ratios of relevance to activation.

    It can be used in training: its result is differentiable with respect to weights.
    """

    @abc.abstractmethod
    def pull(self, call: "Call", messages: Sequence) -> list:
        """The messages of a call's inputs.

        Args:
            call: The call.
            messages: A tensor for each of its outputs.

        Returns:
            A tensor for each input, `None` for an input without a message.
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
    """LRP pass rule: elementwise steps pass relevance on unchanged."""

    def pull(self, call, messages):
        """See `BackwardRule`."""
        return call.at_real(messages[: len(call.real)])


_TRANSPOSE = Transpose()


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Passage:
    """A step with its rule, determined before any computation.

    Attributes:
        step: The step.
        rule: The rule by which messages pass it.
        folded: Following steps that count as part of it, for rules that split weights; see `folded_into`.
        nonnegative: Whether its inputs have no negative entries for any sample.
        held: Identifiers of inputs that count as constants, for rules of products.
        unscaled: Whether only the signs of folded scales are used: in training, scales are those of each batch.
    """

    step: Step
    rule: BackwardRule = _TRANSPOSE
    folded: tuple[Step, ...] = ()
    nonnegative: bool = False
    held: frozenset[int] = frozenset()
    unscaled: bool = False

    @cached_property
    def sources(self) -> tuple[int, ...]:
        """Distinct identifiers of the step's inputs; a layer such as `Add` may take the same tensor twice."""
        return tuple(dict.fromkeys(self.step.inputs))

    def in_training(self, training: bool) -> "Passage":
        """The passage of the step called in training mode, or at inference."""
        return dataclasses.replace(self, step=self.step.in_training(training))

    def call(self, values: Mapping[int, Any], reference: Mapping[int, Any] | None = None) -> "Call":
        """Calls the step.

        Args:
            values: Tensors by identifier; the outputs of `folded` must be present in the backward pass.
            reference: The tensors of a forward pass that the samples are compared with, for rules that take one.
        """
        inputs = [values[identifier] for identifier in self.sources]
        kind = kind_of(self.step)
        linear = kind.tangent(self.step, inputs)
        if linear is None:
            recording = record(self.again, inputs, push=kind.push(self.step))
        else:
            recording = Recording(self.again(inputs), lambda messages: record(linear, inputs).pull(messages))
        return Call(self, inputs, recording, values, reference)

    def again(self, inputs: Sequence) -> list:
        """The step's outputs for other inputs, one for each of `sources`."""
        return self.step(*self.operands(inputs))

    def operands(self, inputs: Sequence) -> list:
        """A tensor for each input of the step, from one for each of `sources`."""
        place = {identifier: i for i, identifier in enumerate(self.sources)}
        return [inputs[place[identifier]] for identifier in self.step.inputs]


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """A called step.

    Attributes:
        passage: The step with its rule.
        inputs: Its input tensors, one for each source.
        recording: Its outputs with their vector-Jacobian product.
        values: The tensors of the forward pass by identifier.
        reference: The same of a forward pass that the samples are compared with, if there is one.
    """

    passage: Passage
    inputs: list
    recording: Recording
    values: Mapping[int, Any]
    reference: Mapping[int, Any] | None = None

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
        """Its single output tensor, or that of the last step folded into it."""
        return self.values[self.passage.folded[-1].outputs[0]] if self.passage.folded else self.outputs[0]

    @cached_property
    def kind(self) -> Kind:
        """The kind of the step."""
        return kind_of(self.step)

    @cached_property
    def real(self) -> list[int]:
        """The positions of real-valued inputs, which can get messages, unlike masks and what is computed from weights."""
        return [
            place
            for place, x in enumerate(self.inputs)
            if place not in self.fixed and keras.backend.is_float_dtype(ops.dtype(x))
        ]

    @cached_property
    def fixed(self) -> list[int]:
        """The positions of inputs that are computed from weights."""
        identifiers = {self.step.inputs[position] for position in self.step.fixed}
        return [place for place, identifier in enumerate(self.passage.sources) if identifier in identifiers]

    def pull(self, messages: Sequence) -> list:
        """The transpose of the step's linear map, applied to one tensor per output."""
        return self.recording.pull(messages)

    def again(self, *inputs: Any) -> list:
        """The step's outputs for other inputs."""
        return self.passage.again(inputs)

    def at_real(self, messages: Sequence) -> list:
        """Messages for the inputs at the positions `real`, with `None` for the others."""
        full: list = [None] * len(self.inputs)
        for place, message in zip(self.real, messages, strict=False):  # a divisor that counts as a constant gets none
            full[place] = message
        return full
