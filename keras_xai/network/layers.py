"""Layer-by-layer execution of a classifier in training, with a backward relevance pass."""

import dataclasses
from typing import Any, final

import keras
from keras import ops, tree

from keras_xai.data.structure import in_order
from keras_xai.graph.nodes import function_of
from keras_xai.graph.split import alone
from keras_xai.graph.steps import Graph, Step
from keras_xai.graph.trace import trace
from keras_xai.graph.view import unchanged
from keras_xai.kinds.expansion import expand, kind_of
from keras_xai.kinds.kind import Kind, UnsupportedLayerError, problems_of
from keras_xai.kinds.links import link_of, strip_probabilities
from keras_xai.kinds.recurrent import drops
from keras_xai.network.agreement import is_quantized
from keras_xai.network.backward import backward, deliver
from keras_xai.network.network import Network
from keras_xai.network.signs import nonnegative_tensors
from keras_xai.rules.fbi import Propagation
from keras_xai.rules.folding import folded_into
from keras_xai.rules.maps import has_weights, role_of
from keras_xai.rules.rule import Call, Passage


@dataclasses.dataclass(frozen=True, eq=False)
class Unit:
    """A layer of the model in the backward relevance pass.

    Attributes:
        step: Call of the layer.
        parts: The simple steps of the layer; for the last layer, those before a final softmax or sigmoid.
        passed: Whether relevance passes through it: not through a final softmax, nor to integers.
        divided: Whether it passes part by part.
    """

    step: Step
    parts: Graph
    passed: bool
    divided: bool

    @property
    def ends(self) -> tuple[int, ...]:
        """The identifiers of the layer's outputs in the calls of a pass."""
        return self.parts.outputs if self.divided else self.step.outputs


@dataclasses.dataclass(frozen=True, eq=False)
class ForwardPass:
    """The tensors of a forward pass.

    Attributes:
        values: Tensors by identifier.
        scores: The tensor before the conversion to probabilities, or the model's output if there is none.
        calls: The calls of each unit that relevance passes through.
    """

    values: dict[int, Any]
    scores: Any
    calls: dict[Unit, list[Call]]


@final
class LayerNetwork:
    """A model with one output and the backward relevance pass of the FBI loss.

    The layers are the model's own and are called as in the model, so the forward pass can be used for training.

    Args:
        model: A built model.
        propagation: The rule.

    Attributes:
        graph: The graph of the model's calls.
        units: One unit for each call.
        score: Identifier of the tensor to start from: the scores or, if they are inside the last layer, its output.
        ends_in_sigmoid: Whether each score becomes a separate probability.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built, or has several outputs.
        UnsupportedLayerError: If relevance cannot pass one of its layers.
    """

    def __init__(self, model: keras.Model, propagation: Propagation):
        self.graph = Network(trace(model)).graph
        if len(self.graph.outputs) != 1:
            raise ValueError(
                f"Expected a model with one output. Received: '{model.name}', whose outputs are {list(self.graph.output_names)}. "
                "Train a model that ends in one of them, `keras.Model(model.inputs, model.outputs[0])`: it shares the layers."
            )
        if function_of(model) is None:
            self._check_same_layers(model)
        (self.score,) = self.graph.outputs
        self.ends_in_sigmoid = False
        self._propagation = propagation
        self.units = [self._unit(step) for step in self.graph.steps]
        problems = problems_of(pair for unit in self.units if unit.passed for pair in self._reasons(unit))
        if problems:
            raise UnsupportedLayerError(
                problems,
                f"Relevance cannot be passed back through the model by the rule '{propagation.name}'",
                "Use layers whose activations act on each unit alone; a softmax or sigmoid may end the model. What the package "
                "knows of a layer is registered by `keras_xai.kinds.register`.",
            )
        self._passages = self._all_passages()

    def _check_same_layers(self, model):
        """Rejects a subclassed model whose code calls other layers in training than at inference."""
        modes = [dict.fromkeys(step.path for step in graph.steps) for graph in (self.graph, trace(model, training=True))]
        if list(modes[0]) != list(modes[1]):
            raise ValueError(
                f"Expected a model that calls the same layers in training and at inference. Received: '{model.name}', whose `call()` runs "
                f"{sorted(modes[0].keys() ^ modes[1].keys())} in one of the two modes only. Call these layers in both, with "
                "`training=training`."
            )

    def forward(self, inputs: Any, *, training: bool) -> tuple[Any, ForwardPass]:
        """The model's output in its own structure, and the state for `backward`.

        Args:
            inputs: Inputs in the structure of the model's inputs.
            training: Whether layers run in training mode.
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
            passages = [passage.in_training(training) for passage in self._passages[unit]]
            if passages and not unit.divided:
                calls[unit] = [passages[0].call(values)]
                outputs = calls[unit][0].outputs
            else:
                outputs = step(*(values[identifier] for identifier in step.inputs))
            values.update(zip(step.outputs, outputs, strict=True))
            if unit.divided:
                within = {identifier: values[identifier] for identifier in step.inputs}
                calls[unit] = _called(passages, within)
                if self.score in step.outputs:
                    scores = within[unit.parts.outputs[0]]
        (output,) = self.graph.outputs
        packed = tree.pack_sequence_as(self.graph.output_structure, [values[output]])
        return packed, ForwardPass(values, values[self.score] if scores is None else scores, calls)

    def backward(self, run: ForwardPass, weights: Any) -> dict[int, Any]:
        """The relevance of tensors for a weighted sum of scores, by identifier; tensors without relevance are absent.

        Args:
            run: The state returned by `forward`. It can be used once.
            weights: Tensor of the scores' shape.
        """
        messages = {self.score: self._propagation.start(run.scores, weights)}
        for unit in reversed(self.units):
            if unit not in run.calls:
                continue
            ends = zip(unit.step.outputs, unit.ends, strict=True)
            within = {inner: messages[outer] for outer, inner in ends if outer in messages}
            backward(run.calls[unit], within)
            for identifier in dict.fromkeys(unit.step.inputs):
                deliver(messages, identifier, within.get(identifier))
        return {
            identifier: self._propagation.relevance(run.values[identifier], message)
            for identifier, message in messages.items()
            if identifier in run.values
        }

    def _unit(self, step):
        parts = expand(alone(step), unroll=True)
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
        return not self._propagation.by_derivative or any(_is_not_its_derivative(kind_of(part)) for part in parts.steps)

    def _reasons(self, unit):
        if unit.divided and drops(unit.step.operation):
            yield unit.step, _RANDOM
        for part in unit.parts.steps:
            random = hasattr(part.operation, "seed_generator") and part.operation is not unit.step.operation
            reason = _RANDOM if unit.divided and random else self._propagation.refusal(part)
            yield part, _QUANTIZED if is_quantized(part.operation) else reason

    def _all_passages(self):
        """The passages of each unit: part by part, or as a whole; none for units without relevance."""
        passages: dict[Unit, list[Passage]] = {}
        known: frozenset[int] = frozenset()
        for unit in self.units:
            within = nonnegative_tensors(unit.parts.steps, known.intersection(unit.step.inputs))
            graph = unit.parts if unit.divided else self.graph
            steps = unit.parts.steps if unit.divided else (unit.step,) if unit.passed else ()
            passages[unit] = [self._passage(step, graph, within if unit.divided else known) for step in steps]
            ends = zip(unit.step.outputs, unit.parts.outputs, strict=True)
            known = known.union(outer for outer, inner in ends if inner in within)
        return passages

    def _passage(self, step, graph, nonnegative):
        weighted = role_of(step) in ("dense", "convolution") and has_weights(step)
        return Passage(
            step,
            self._propagation.rule(step),
            folded_into(graph, step) if weighted else (),
            nonnegative.issuperset(step.inputs),
            unscaled=True,
        )


_QUANTIZED = "it is quantized, and rounds its input"
_RANDOM = "it draws random numbers in training, within a layer that relevance passes part by part; make it a separate layer"


def _called(passages, values):
    """Calls of the parts of a layer after the layer itself, without repeating side effects."""
    calls = []
    with unchanged():
        for passage in passages:
            calls.append(passage.call(values))
            values.update(zip(passage.step.outputs, calls[-1].outputs, strict=True))
    return calls


def _is_not_its_derivative(kind):
    return kind.role == "curved" or type(kind).tangent is not Kind.tangent


def _as_specified(x, spec):
    """An input converted as in a functional model: to the dtype of its `keras.Input`, with a last axis of length 1 added or removed."""
    x = ops.convert_to_tensor(x, dtype=spec.dtype)
    rank = len(spec.shape)
    if len(x.shape) == rank - 1 and spec.shape[-1] == 1:
        return ops.expand_dims(x, -1)
    if len(x.shape) == rank + 1 and x.shape[-1] == 1:
        return ops.squeeze(x, -1)
    return x
