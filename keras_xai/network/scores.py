"""The scores of a model as differentiable functions that can be resumed at a layer."""

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.backend import compiled, record
from keras_xai.data.batches import rows
from keras_xai.data.layout import Layout
from keras_xai.data.progress import progress
from keras_xai.data.texts import is_string
from keras_xai.graph.nodes import is_open
from keras_xai.graph.split import up_to
from keras_xai.graph.steps import Graph, Step, copy_mask
from keras_xai.graph.target import Target
from keras_xai.graph.trace import trace
from keras_xai.graph.view import widest_dtype
from keras_xai.kinds.expansion import expand, kind_of
from keras_xai.kinds.links import LINKS, link_of, strip_probabilities
from keras_xai.kinds.texts import by_words
from keras_xai.network.agreement import Agreement
from keras_xai.network.axes import Axes
from keras_xai.network.differentiable import check_differentiable
from keras_xai.network.network import Network
from keras_xai.network.padding import padding_of
from keras_xai.network.precision import in_range, narrowest, rounded, undefined_where_not_finite
from keras_xai.network.roles import Role, roles
from keras_xai.network.tokens import check_tokens
from keras_xai.targets.units import Unit


@dataclasses.dataclass(frozen=True, eq=False)
class Derivative:
    """The explained scores of a batch, and their derivatives.

    Attributes:
        score: Tensor `(n,)`.
        indices: The explained classes.
        gradients: For each tensor that the scores are differentiated by, a gradient of its shape.
        predictions: See `Target.predictions`.
    """

    score: Any
    indices: list
    gradients: list
    predictions: list


@final
class Scores:
    """The scores of a model: the input of a final softmax or sigmoid, or its outputs if there is none.

    Half-precision models are computed in float32, which avoids vanishing gradients and inaccurate sums. The weights are the model's own and
    read at each run; the model is not changed.

    Args:
        model: A built model.
        unroll: Whether recurrent layers are divided into the steps of their cells, which takes longer.
        shapes: Shape of a sample of each input, to fill in sizes that the model leaves open; its layers may be divided further then.

    Attributes:
        network: The model as simple steps, fused activations split off and a final softmax or sigmoid left out.
        links: For each output, the function from scores to the model's output: `"softmax"`, `"sigmoid"`, or `None` for the identity.
        dtype: The floating-point type of all arithmetic.
        roles: The role of each input.
        padding: Finds the padding of samples, see `padding_of`.
        name: The model's name.
        variables: The model's variables.
        layer: Path of the layer whose output is in place of the scores, see `of_step`; `None` for the scores.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built.
    """

    def __init__(self, model: keras.Model, shapes: Sequence[Sequence[int]] | None = None, *, unroll: bool = False):
        self._whole = by_words(trace(model, shapes=shapes))
        self._expanded = expanded = expand(self._whole, unroll=unroll, defuse=unroll)
        graph = strip_probabilities(expanded)
        self._unrolled = unroll
        self.links = [
            link_of(dataclasses.replace(expanded, outputs=(end,)), dataclasses.replace(graph, outputs=(start,)))
            for end, start in zip(expanded.outputs, graph.outputs, strict=True)
        ]
        self.dtype = widest_dtype(graph, model.variables)
        self.network = Network(graph, self.dtype)
        self._agreement = Agreement(model, self._whole, self.links)
        self._input_ranges = [
            narrowest(self._whole, *each) for each in zip(self._whole.inputs, self._whole.input_specs, strict=True)
        ]
        self.roles = roles(graph)
        self._masking = {step.outputs[0] for step in graph.steps if getattr(step.operation, "mask_zero", False)}
        self.padding = padding_of(graph, self.roles)
        self.name = model.name
        self.variables = tuple(model.variables)
        self.layer: str | None = None
        self._complete = self.network
        self._shapes = [spec.shape for spec in self._whole.output_specs]

    @property
    def graph(self) -> Graph:
        """The steps of `network`."""
        return self.network.graph

    @functools.cached_property
    def axes(self) -> Axes:
        """The axes of each tensor; for an unrolled model, of its inputs only."""
        # A recurrent layer declares its axes as a whole.
        return Axes(strip_probabilities(expand(self._whole)) if self._unrolled else self.graph)

    @functools.cached_property
    def layouts(self) -> list[Layout]:
        """The layout of each input."""
        return self.axes.inputs()

    @property
    def has_open_sizes(self) -> bool:
        """Whether sizes of samples are unknown, other than the number of words of texts."""
        return any(is_open(spec) for spec in self.graph.input_specs if not is_string(spec))

    @property
    def hides_tokens(self) -> bool:
        """Whether integers or strings are used by a layer that could not be opened, which may have an `Embedding` inside."""
        codes = {
            identifier
            for identifier, spec in zip(self.graph.inputs, self.graph.input_specs, strict=True)
            if not keras.backend.is_float_dtype(spec.dtype)
        }
        return any(kind_of(step).opens and not codes.isdisjoint(step.inputs) for step in self.graph.steps)

    @property
    def signature(self) -> list[tuple]:
        """Shape and dtype of each input, for `keras_xai.backend.compiled`; the number of samples is unspecified."""
        return [((None, *spec.shape[1:]), self.input_dtype(spec)) for spec in self.graph.input_specs]

    def input_dtype(self, spec: keras.KerasTensor) -> str:
        """The compute dtype of an input; integers keep their dtype."""
        return self.dtype if keras.backend.is_float_dtype(spec.dtype) else spec.dtype

    def typed(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Arrays, one for each input, in their compute dtypes.

        Raises:
            ValueError: If an input is tokens, and one is not in the table of their `Embedding`.
        """
        arrays = [np.asarray(array) for array in arrays]
        check_tokens(self.graph, arrays)
        with np.errstate(over="ignore"):  # infinite inputs have scores that are refused
            return [
                np.asarray(array)
                if is_string(spec)
                else rounded(np.asarray(array), own).astype(self.input_dtype(spec), copy=False)
                for array, own, spec in zip(arrays, self._input_ranges, self.graph.input_specs, strict=True)
            ]

    def check_padding(self, inputs: Sequence[np.ndarray], start: int) -> None:
        """Rejects samples that consist of padding only; empty texts are allowed.

        Args:
            inputs: An array for each input.
            start: Index of the first of these samples.
        """
        specs = self.graph.input_specs
        names = [spec.name for spec, explained in zip(specs, self.explainable, strict=True) if explained]
        padded = [each for each, explained in zip(self.padding(inputs), self.explainable, strict=True) if explained]
        if not padded or any(each is None for each in padded) or any(map(is_string, specs)):
            return
        empty = np.flatnonzero(np.all([each.reshape(len(each), -1).all(axis=1) for each in padded], axis=0))
        if empty.size:
            raise ValueError(
                f"Expected samples with something to explain. Received: sample {start + empty[0]}, in which all of {names} is padding. "
                "Leave it out, or check its padding mask, which is 1 where tokens count."
            )

    def target(self, target: Any, num_samples: int) -> Target:
        """A checked target, see `keras_xai.graph.target.Target`."""
        if isinstance(target, Unit):
            if target.layer != self.layer:
                raise ValueError(
                    f"Expected a `target` of the scores of the model '{self.name}'. Received: target={target!r}, of a layer. Methods "
                    "explain units by their arguments `layer` and `unit`; metrics, and other methods, explain scores."
                )
            target = target.index if callable(target.index) else target
        return Target(target, self.graph.output_names, self._shapes, num_samples, self.dtype, self.links)

    def path_of(self, layer: Any) -> str:
        """The path of a layer, see `Graph.path_of`; of layers inside others, too."""
        return self._expanded.path_of(layer)

    def paths_of(self, layers: Iterable) -> list[str]:
        """The paths of different layers, see `Graph.paths_of`."""
        return self._expanded.paths_of(layers)

    def find(self, path: str) -> Step:
        """The step that computes the output of a layer, including its fused activation.

        Args:
            path: The layer's path, such as `"backbone/conv5"`.

        Raises:
            ValueError: If there is no such layer, or it does not have one output; the message lists similar paths.
        """
        inner = self.graph if self.parts_of(path, self.graph.steps) else self._expanded
        step = inner.end_of(path)
        if len(step.outputs) != 1 or inner is not self.graph:
            raise ValueError(
                f"Expected a layer with one output before the scores. Received: '{path}' ({type(step.operation).__name__})."
            )
        return step

    def of_step(self, step: Step, path: str) -> "Scores":
        """The output of a layer, in any shape, in place of the scores.

        Args:
            step: The step of `graph` that computes it.
            path: The layer's path.
        """
        found = copy.copy(self)
        found.network = Network(up_to(self.graph, step.outputs, step.output_specs, (path,)), self.dtype)
        found.layer, found.links, found._shapes = path, [None], [step.output_specs[0].shape]
        return found

    def parts_of(self, path: str, steps: Iterable[Step]) -> list[Step]:
        """The steps that a layer consists of, such as `"conv"` and `"conv.relu"`, and not those of a layer that is called `"conv.1"`.

        Args:
            path: The layer's path.
            steps: The steps to search.
        """
        within = {step.path for step in self._expanded.within(path)}
        return [step for step in steps if step.path in within]

    def run(self, inputs: Sequence, *, until: Sequence[int] = (), known: Mapping[int, Any] | None = None) -> dict[int, Any]:
        """The tensors of a forward pass by identifier; call it within a compiled program.

        Args:
            inputs: One tensor for each input of the model.
            until: Identifiers of the last tensors to compute; by default the model's outputs.
            known: Known tensors by identifier, which are not computed.
        """
        known = known or {}
        for identifier in self._masking.intersection(known):
            # The mask belongs to the tokens, not to the vectors that replace theirs.
            copy_mask(self.network.run(inputs, until=[identifier])[identifier], known[identifier])
        return self.network.run(inputs, until=until, known=known)

    def outputs(self, values: Mapping[int, Any]) -> list:
        """The scores among the tensors of a forward pass, one tensor for each output of the model.

        Infinite where they are beyond the range of the model's own type.
        """
        return _outputs(self.network, values)

    def explained_outputs(self, target: Target) -> list[int]:
        """Identifiers of the outputs of `graph` that a target uses."""
        return [self.graph.outputs[position] for position in target.positions]

    @property
    def explainable(self) -> list[bool]:
        """For each input, whether it can be attributed to; others are held fixed."""
        return [role is not Role.FIXED for role in self.roles]

    @property
    def rounding(self) -> float:
        """The difference of two scores that may be rounding, known after `check_same_function`."""
        return self._agreement.rounding

    def check_same_function(self, inputs: Sequence[np.ndarray]) -> None:
        """Compares the scores with those of the model itself, once per model.

        Args:
            inputs: Some samples, an array for each input of the model, of which two are used.

        Raises:
            ValueError: If they differ beyond rounding, or depend on the place of a sample in a batch, or on the batch.
        """

        def run(arrays):
            values = self._complete.run([ops.convert_to_tensor(x) for x in self.typed(arrays)])
            return _outputs(self._complete, values), values

        self._agreement.check(run, inputs, self._complete.graph.steps)

    def derivative(
        self,
        points: Mapping[int, Any],
        inputs: Sequence,
        indices: Sequence,
        target: Target,
        known: Mapping[int, Any] | None = None,
    ) -> Derivative:
        """The explained scores and their derivatives with respect to tensors of the forward pass, zero if independent.

        They are NaN for a sample whose score is NaN or infinite. Only the steps after these tensors are recorded, so the backward pass
        ends there.

        Args:
            points: The tensors by identifier.
            inputs: One tensor for each input of the model.
            indices: The classes.
            target: The target to explain.
            known: Known tensors by identifier, which are not recomputed.

        Raises:
            ValueError: If there is no derivative, because the scores depend on a tensor through rounding, integers or a lookup.
        """
        self.check_differentiable(points, target)
        chosen: list = []
        predictions: list = []

        def score(tensors):
            outputs = self.outputs(self.run(inputs, known={**(known or {}), **dict(zip(points, tensors, strict=True))}))
            value, chosen[:] = target.choose(outputs, indices)
            predictions[:] = target.predictions(outputs, chosen)
            return [value]

        recording = record(score, list(points.values()))
        (value,) = recording.outputs
        gradients = recording.pull([ops.ones_like(value)])
        gradients = [ops.zeros_like(x) if g is None else g for g, x in zip(gradients, points.values(), strict=True)]
        return Derivative(value, chosen, undefined_where_not_finite(value, gradients), predictions)

    def check_differentiable(self, points: Iterable[int], target: Target) -> None:
        """Rejects derivatives of the explained scores that do not exist, see `keras_xai.network.differentiable`.

        Args:
            points: Identifiers of the tensors by which is differentiated.
            target: What is explained.
        """
        check_differentiable(self.network, points, self.explained_outputs(target))

    def program(self, target: Target, function: Callable, *more: Any) -> Callable:
        """Compiles a function of a batch: of its inputs, its classes, and further arguments.

        Args:
            target: The target, whose `indices` are the classes.
            function: Maps the list of inputs, the list of classes and the further arguments to a nest of tensors.
            *more: Signature of each further argument.
        """
        return compiled(function, [self.signature, target.signature, *more], eager_first=not target.runs_functions)

    def evaluator(self, target: Target, batch_size: int) -> Callable[[Sequence, Sequence], np.ndarray]:
        """The explained score of any number of samples, with at most `batch_size` per forward pass.

        Args:
            target: The target to explain.
            batch_size: Samples per forward pass.

        Returns:
            A function that maps arrays, one for each input of the model, and class indices, one array for each of
            `target.indices`, to an array `(n,)`.
        """

        def score(inputs, indices):
            return target.choose(self.outputs(self.run(inputs)), indices)[0]

        program = self.program(target, score)

        def evaluate(inputs, indices):
            chunks, arrays = rows(len(inputs[0]), batch_size), self.typed(inputs)
            parts = [program([x[part] for x in arrays], [i[part] for i in indices]) for part in progress(chunks, len(chunks))]
            return np.concatenate([ops.convert_to_numpy(part) for part in parts])

        return evaluate

    def predictions(self) -> Callable[[Sequence], list]:
        """The outputs of the model for a batch: its scores, or the probabilities after a final softmax or sigmoid."""

        def predicted(inputs):
            outputs = self.outputs(self.run(inputs))
            return [LINKS[link](output) for link, output in zip(self.links, outputs, strict=True)]

        return compiled(predicted, [self.signature])

    def predictor(self, target: Target) -> Callable[[Sequence, Sequence], list]:
        """Replaces indices of -1 in a batch, `(inputs, indices)`, by the predicted classes; free if there are none."""

        def predicted(inputs, indices):
            return target.choose(self.outputs(self.run(inputs)), indices)[1]

        program = self.program(target, predicted)

        def fill_in(inputs, indices):
            if all((np.asarray(index) >= 0).all() for index in indices):
                return list(indices)
            return [ops.convert_to_numpy(index) for index in program(list(inputs), list(indices))]

        return fill_in


def _outputs(network, values):
    """The outputs among the tensors of a forward pass, infinite where they are beyond the range of their type."""
    specs = network.graph.output_specs
    return [in_range(output, spec.dtype) for output, spec in zip(network.outputs(values), specs, strict=True)]
