"""Piecewise-linear networks that can be evaluated on a fixed linear piece."""

import dataclasses
import math
import zlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any, final

import keras
from keras import ops

from keras_xai.data.checks import is_integer
from keras_xai.data.remade import Remade
from keras_xai.graph.split import split
from keras_xai.graph.steps import Graph, Step
from keras_xai.graph.trace import trace
from keras_xai.graph.view import widest_dtype
from keras_xai.kinds.expansion import expand, kind_of, open_layers, refusals
from keras_xai.kinds.kind import UnsupportedLayerError
from keras_xai.kinds.links import link_of, strip_probabilities
from keras_xai.network.agreement import Agreement
from keras_xai.network.network import Network


@dataclasses.dataclass(frozen=True, eq=False)
class Wall:
    """One constraint tensor.

    Attributes:
        step: The call whose activation pattern it bounds.
        number: Index of the tensor among the constraint tensors of that call.
        pattern: Index of that call's pattern among the network's patterns.
        value: Tensor `(n, ...)`, `>= 0` where the pattern holds.
    """

    step: Step
    number: int
    pattern: int
    value: Any


@final
class PiecewiseNetwork(Remade):
    """A piecewise-linear model: its scores, its activation pattern, and its linear pieces.

    Args:
        model: A built model; only read.
        output: Name or index of the output, for a model with several outputs.
        dtype: Floating-point type of the computation; by default that of the model's weights and inputs.
        layer: The layer, or its path, whose output is the variable of the pieces; by default the model's inputs.
        shapes: Shape of a sample of each input, to fill in sizes that the model leaves open.

    Raises:
        UnsupportedLayerError: If a layer, after `layer`, is not piecewise linear.
        ValueError: If the model has several outputs and none is selected, or part of the output does not pass through `layer`.

    Attributes:
        front: The graph before the pieces, from the model's inputs to the output of `layer`, as traced.
        layer: Path of that layer; `None` for the model's inputs.
        dtype: Floating-point type of all arithmetic.
        num_outputs: Number of scores C; an output of rank above two is flattened.
        link: The function from scores to the model's outputs: `"softmax"`, `"sigmoid"`, or `None` for the identity.
    """

    def __init__(
        self,
        model: keras.Model,
        output: str | int | None,
        dtype: str | None,
        layer: str | keras.Layer | None = None,
        shapes: Sequence[Sequence[int]] | None = None,
    ):
        graph = trace(model, shapes=shapes)
        position = _position(output, graph.output_names)
        self._model_graph = graph
        self._output = position
        graph = dataclasses.replace(
            graph,
            outputs=(graph.outputs[position],),
            output_specs=(graph.output_specs[position],),
            output_names=(graph.output_names[position],),
        )
        front = None
        if layer is not None:
            opened = open_layers(graph)
            layer = opened.path_of(layer)
            front, graph = split(opened, layer)
        whole = expand(graph, unroll=True, apart=True)
        graph = strip_probabilities(whole)
        problems = refusals(graph)
        if problems:
            raise UnsupportedLayerError(
                problems,
                "The model cannot be divided into linear pieces",
                "Replace them with piecewise-linear layers (ReLU, LeakyReLU, hard_sigmoid, MaxPooling, ...), explain the part of "
                "the model before the first of them, `keras.Model(model.inputs, layer.input)`, or, for a layer that is piecewise "
                "linear, say so with `keras_xai.kinds.register`. Use a method that works with any layer, such as "
                "Occlusion, to explain the model as it is.",
            )
        self.dtype = dtype or widest_dtype(graph, model.variables)
        self.front = front
        self.layer = layer
        self._network = Network(graph, self.dtype, held=True)
        shape = self.graph.output_specs[0].shape[1:]
        if None in shape:
            raise ValueError(
                "Expected a model whose output has a known number of entries. "
                f"Received: an output of shape {self.graph.output_specs[0].shape}. Give the model's input a fixed shape."
            )
        self.num_outputs = math.prod(shape)
        self.link = link_of(whole, graph)
        self._weights = model.weights
        links = [self.link if place == position else None for place in range(len(self._model_graph.outputs))]
        self._agreement = Agreement(model, self._model_graph, links)

    @property
    def graph(self) -> Graph:
        """The model as simple steps, without a final softmax or sigmoid."""
        return self._network.graph

    @cached_property
    def _front(self) -> Network:
        # Created on demand: for example, the float64 network of an `OpenBox` is for polytopes only.
        assert self.front is not None
        return Network(self.front, self.dtype)

    def check_same_function(self, inputs: Sequence) -> None:
        """Compares the scores with what the model itself computes, see `Scores.check_same_function`.

        Args:
            inputs: Some samples, an array for each input of the model.
        """

        def run(arrays):
            tensors = [ops.cast(x, self.dtype) for x in arrays]
            scores: list = [None] * len(self._model_graph.outputs)
            spec = self.graph.output_specs[0]
            scores[self._output] = ops.reshape(self.run(self.features(tensors))[0], (-1, *spec.shape[1:]))
            return scores, {}

        self._agreement.check(run, inputs)

    def fingerprint(self) -> int:
        """A checksum of all weights to detect changes."""
        checksum = 0
        for weight in self._weights:
            checksum = zlib.crc32(ops.convert_to_numpy(weight).tobytes(), checksum)
        return checksum

    def features(self, inputs: Sequence) -> list:
        """The variables of the pieces, computed from the model's inputs; the inputs themselves without a `front`."""
        if self.front is None:
            return list(inputs)
        return self._front.outputs(self._front.run(inputs))

    def run(self, inputs: Sequence, patterns: Sequence | None = None) -> tuple:
        """Evaluates the network on `inputs`, on the linear piece of `patterns`.

        Args:
            inputs: One tensor for each input of the model.
            patterns: The pieces to evaluate on; by default those of `inputs`.

        Returns:
            `(scores, patterns, walls)`: scores `(n, C)`; one integer tensor for each step with several pieces; and a list of `Wall`, whose
            values are all `>= 0` if `patterns` is the pattern of `inputs`.
        """
        given = None if patterns is None else iter(patterns)
        used: list = []
        walls: list[Wall] = []

        def held(step, values):
            kind = kind_of(step)
            tensors = [values[identifier] for identifier in step.inputs]
            # A kind with several pieces returns a pattern; unused tensors are pruned from compiled runs.
            pattern = kind.pattern(step, tensors)
            if pattern is not None:
                pattern = pattern if given is None else next(given)
                constraints = kind.constraints(step, pattern, tensors)
                walls.extend(Wall(step, number, len(used), value) for number, value in enumerate(constraints))
                used.append(pattern)
            return kind.freeze(step, pattern)(tensors)

        (scores,) = self._network.outputs(self._network.run(inputs, call=held))
        return ops.reshape(scores, (-1, self.num_outputs)), used, walls


def _position(output, names):
    if output is None:
        if len(names) == 1:
            return 0
        raise ValueError(
            f"The model has {len(names)} outputs, {list(names)}: select one by name or index, for example `OpenBox(model, output=0)`."
        )
    if is_integer(output) and 0 <= output < len(names):
        return output
    if output in names:
        return names.index(output)
    raise ValueError(f"Expected `output` to be one of {list(names)} or an index. Received: output={output!r}")
