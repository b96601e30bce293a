"""The output of a layer as the variable of differentiation, and as the explained value."""

from collections.abc import Sequence
from typing import Any, final

import keras

from keras_xai.backend import compiled
from keras_xai.graph.split import leading_to
from keras_xai.graph.steps import Step
from keras_xai.graph.target import Target
from keras_xai.network.scores import Derivative, Scores


@final
class LayerEntries:
    """The output of a layer in place of the `Entries` of a model, with the same methods.

    Args:
        scores: The scores of the model.
        path: The layer's path.

    Attributes:
        path: As passed.
        identifier: Identifier of the layer's output.
        channel_axis: Its channel axis.

    Raises:
        ValueError: If there is no such layer, or its output is not one of real numbers that depend on the samples.
    """

    def __init__(self, scores: Scores, path: str):
        self.path = path
        (self.identifier,) = real_step(scores, path).outputs
        self.channel_axis = scores.axes.channel(self.identifier)
        self._scores = scores
        self._output = compiled(lambda inputs: self.points(inputs)[0], [scores.signature])

    def of(self, inputs: Sequence) -> Any:
        """The layer's output for samples."""
        return self._output(inputs)

    def check(self, target: Target) -> None:
        """Raises a `ValueError` if the explained score does not depend on the layer."""
        check_read(self._scores, target, self.identifier, self.path)

    def carries(self, target: Target) -> bool:
        """Whether the explained score depends on the explainable inputs only through the layer."""
        graph = self._scores.graph
        outputs = self._scores.explained_outputs(target)
        read = {identifier for step in leading_to(graph, outputs, [self.identifier]) for identifier in step.inputs}
        inputs = [
            identifier for identifier, explained in zip(graph.inputs, self._scores.explainable, strict=True) if explained
        ]
        return read.union(outputs).isdisjoint(set(inputs) - {self.identifier})

    def points(self, inputs: Sequence) -> list:
        """The layer's output for a batch; call this and the following methods within a compiled program."""
        return [self._scores.run(inputs, until=[self.identifier])[self.identifier]]

    def derivative(self, points: Sequence, inputs: Sequence, indices: Sequence, target: Target) -> Derivative:
        """The explained scores for an output of the layer, and their derivatives with respect to it; as `Entries.derivative`."""
        return self._scores.derivative({self.identifier: points[0]}, inputs, indices, target)

    def folded(self, values: Sequence) -> list:
        """The values themselves: each belongs to one entry of the layer's output."""
        return list(values)

    def magnitudes(self, values: Sequence) -> list:
        """The values themselves, with their signs."""
        return list(values)


def real_step(scores: Scores, path: str) -> Step:
    """The step that computes the real-valued output `(n, ...)` of a layer, which must depend on explainable inputs.

    Args:
        scores: The scores of the model.
        path: The layer's path.

    Raises:
        ValueError: If there is no such layer, or its output is not of this kind.
    """
    step = scores.find(path)
    (spec,) = step.output_specs
    read = {identifier for each in leading_to(scores.graph, step.outputs) for identifier in each.inputs}
    depends = any(
        explained and identifier in read for explained, identifier in zip(scores.explainable, scores.graph.inputs, strict=True)
    )
    if not keras.backend.is_float_dtype(spec.dtype) or len(spec.shape) < 2 or not depends:
        raise ValueError(
            f"Expected a layer whose output (n, ...) is of real numbers that depend on the samples. Received: '{path}' "
            f"({type(step.operation).__name__}), of shape {tuple(spec.shape)} and dtype {spec.dtype}"
            f"{'' if depends else ', which depends on no input that can be explained'}."
        )
    return step


def check_read(scores: Scores, target: Target, identifier: int, path: str) -> None:
    """Refuses a layer on which the explained score does not depend.

    Args:
        scores: The scores of the model.
        target: The target to explain.
        identifier: Identifier of the layer's output.
        path: The layer's path.
    """
    outputs = scores.explained_outputs(target)
    read = {each for step in leading_to(scores.graph, outputs) for each in step.inputs}
    if identifier not in read.union(outputs):
        raise ValueError(
            f"Expected `layer` to be one that the explained score depends on. Received: layer={path!r}, on which it does not depend."
        )


def check_rows(rows: Any, path: str) -> None:
    """Refuses a layer that has several rows for a sample, as inside `TimeDistributed`.

    Args:
        rows: Its output for one sample.
        path: Its path.
    """
    if rows.shape[0] != 1:
        raise ValueError(
            f"Expected a layer with one output for each sample. Received: '{path}', which has {rows.shape[0]} for a sample, such as one "
            "for each time step. Choose the layer around it."
        )
