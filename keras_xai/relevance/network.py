"""A classifier as relevance passes through it: forward, keeping what that takes, and back."""

import dataclasses
from typing import Any, final

import keras
from keras import ops, tree

from keras_xai.data.structure import in_order
from keras_xai.graph.runnable import check_runnable
from keras_xai.graph.split import alone
from keras_xai.graph.steps import Graph, Step
from keras_xai.graph.trace import trace
from keras_xai.graph.view import unchanged
from keras_xai.kinds import Kind, Problem, UnsupportedLayerError, expand, kind_of, link_of, strip_probabilities
from keras_xai.relevance.call import Call, backward, call, deliver, sources_of
from keras_xai.relevance.rules import Rule
from keras_xai.relevance.signs import nonnegative_tensors


@dataclasses.dataclass(frozen=True, eq=False)
class Unit:
    """A layer of the model.

    Attributes:
        step: Its call.
        parts: The simple steps that it consists of; of the last layer, those before a final softmax or sigmoid.
        passed: Whether relevance passes back through it: not through a softmax that ends the model, nor to integers.
        divided: Whether it does so part by part.
    """

    step: Step
    parts: Graph
    passed: bool
    divided: bool

    @property
    def ends(self) -> tuple[int, ...]:
        """The identifiers that the layer's outputs have in the calls of a pass."""
        return self.parts.outputs if self.divided else self.step.outputs


@dataclasses.dataclass(frozen=True, eq=False)
class Pass:
    """A forward pass.

    Attributes:
        values: Tensors by identifier.
        scores: What becomes probabilities in the end, or the model's output where nothing does.
        calls: Of each unit that relevance passes through.
    """

    values: dict[int, Any]
    scores: Any
    calls: dict[Unit, list[Call]]


@final
class Network:
    """A model of one output, through which relevance passes by a rule.

    The layers are the model's own and called as it calls them, so that the forward pass is one to train on.

    Args:
        model: A built Sequential or functional model.
        rule: The rule.

    Attributes:
        graph: The model's calls.
        units: One for each.
        score: Identifier of the tensor to start from: the scores, or, where they are within the last layer, its output.
        ends_in_sigmoid: Whether each score becomes a probability of its own.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built or subclassed, or has several outputs.
        UnsupportedLayerError: If relevance cannot pass one of its layers.
    """

    def __init__(self, model: keras.Model, rule: Rule):
        self.graph = trace(model)
        check_runnable(self.graph.steps)
        if len(self.graph.outputs) != 1:
            raise ValueError(
                f"Expected a model of one output. Received: '{model.name}', whose outputs are {list(self.graph.output_names)}. "
                "Train a model that ends in one of them, `keras.Model(model.inputs, model.outputs[0])`: it shares the layers."
            )
        (self.score,) = self.graph.outputs
        self.ends_in_sigmoid = False
        self._rule = rule
        self.units = [self._unit(step) for step in self.graph.steps]
        problems = [problem for unit in self.units if unit.passed for problem in self._problems(unit)]
        if problems:
            raise UnsupportedLayerError(
                problems,
                f"Relevance cannot be passed back through the model by the rule '{rule.name}'",
                "Use layers whose activations act on each unit alone; a softmax or sigmoid may end the model. What the package "
                "knows of a layer is registered by `keras_xai.kinds.register`.",
            )
        self._nonnegative = nonnegative_tensors((unit.step, unit.parts) for unit in self.units)

    def forward(self, inputs: Any, *, training: bool) -> tuple[Any, Pass]:
        """The model's output in its own structure, and what `backward` needs.

        Args:
            inputs: In the structure of the model's inputs.
            training: Whether layers behave as in training.
        """
        tensors = in_order(inputs, self.graph.input_structure, self.graph.input_specs)
        values = {
            identifier: _as_specified(tensor, spec)
            for identifier, tensor, spec in zip(self.graph.inputs, tensors, self.graph.input_specs, strict=True)
        }
        calls: dict[Unit, list[Call]] = {}
        scores = None
        for unit in self.units:
            step = unit.step.in_training(training)
            if unit.passed and not unit.divided:
                calls[unit] = [call(step, values)]
                outputs = calls[unit][0].outputs
            else:
                outputs = step(*(values[identifier] for identifier in step.inputs))
            values.update(zip(step.outputs, outputs, strict=True))
            if unit.divided:
                within = {identifier: values[identifier] for identifier in sources_of(step)}
                calls[unit] = list(_run(unit.parts, within, training))
                if self.score in step.outputs:
                    scores = within[unit.parts.outputs[0]]
        (output,) = self.graph.outputs
        packed = tree.pack_sequence_as(self.graph.output_structure, [values[output]])
        return packed, Pass(values, values[self.score] if scores is None else scores, calls)

    def backward(self, run: Pass, weights: Any) -> dict[int, Any]:
        """The relevance of tensors for a weighted sum of scores, by identifier; none where no relevance comes.

        Args:
            run: From `forward`. It can be used once.
            weights: Tensor of the scores' shape.
        """
        messages = {self.score: self._rule.start(run.scores, weights)}
        for unit in reversed(self.units):
            if unit not in run.calls:
                continue
            ends = zip(unit.step.outputs, unit.ends, strict=True)
            within = {inner: messages[outer] for outer, inner in ends if outer in messages}
            backward(run.calls[unit], within, lambda each, arrived: self._rule.pull(each, arrived, self._nonnegative))
            for identifier in sources_of(unit.step):
                deliver(messages, identifier, within.get(identifier))
        return {
            identifier: self._rule.relevance(run.values[identifier], message)
            for identifier, message in messages.items()
            if identifier in run.values
        }

    def _unit(self, step):
        parts = expand(alone(step))
        passed = any(keras.backend.is_float_dtype(spec.dtype) for spec in step.input_specs)
        stripped = strip_probabilities(parts) if self.graph.outputs == step.outputs else parts
        if stripped.outputs != parts.outputs:
            self.ends_in_sigmoid = link_of(parts, stripped) == "sigmoid"
            if not stripped.steps:
                (self.score,) = stripped.outputs
            return Unit(step, stripped, passed and bool(stripped.steps), divided=bool(stripped.steps))
        return Unit(step, parts, passed, divided=passed and self._is_divided(step, parts))

    def _is_divided(self, step, parts):
        if len(parts.steps) == 1 and parts.steps[0].operation is step.operation:
            return False
        return not self._rule.by_derivative or any(_is_not_its_derivative(kind_of(part)) for part in parts.steps)

    def _problems(self, unit):
        for part in unit.parts.steps:
            random = hasattr(part.operation, "seed_generator") and part.operation is not unit.step.operation
            reason = _RANDOM if unit.divided and random else self._rule.refusal(part)
            if reason:
                yield Problem(part.path, type(part.operation), reason)


_RANDOM = "it draws random numbers in training, within a layer that relevance passes part by part; make it a layer of its own"


def _run(graph, values, training):
    """Calls the parts of a layer that has been called: nothing that a call changes is changed a second time."""
    for step in graph.steps:
        with unchanged():
            each = call(step.in_training(training), values)
        values.update(zip(step.outputs, each.outputs, strict=True))
        yield each


def _is_not_its_derivative(kind):
    return kind.role == "curved" or type(kind).tangent is not Kind.tangent


def _as_specified(x, spec):
    """An input as a functional model reads it: of the type of its `keras.Input`, with or without a last axis of length 1."""
    x = ops.convert_to_tensor(x, dtype=spec.dtype)
    rank = len(spec.shape)
    if len(x.shape) == rank - 1 and spec.shape[-1] == 1:
        return ops.expand_dims(x, -1)
    if len(x.shape) == rank + 1 and x.shape[-1] == 1:
        return ops.squeeze(x, -1)
    return x
