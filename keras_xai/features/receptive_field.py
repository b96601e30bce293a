"""Receptive fields."""

from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np

from keras_xai.backend import traced
from keras_xai.data.checks import is_integer
from keras_xai.data.structure import packed
from keras_xai.features.responses import Responses
from keras_xai.kinds.expansion import kind_of


def receptive_field(model: keras.Model, layer: str | keras.Layer, position: Sequence[int]) -> Any:
    """The receptive field of a unit, as slices clipped to the input.

    The field is traced back through the layers. It is exact for convolutions, poolings, upsampling by repetition, padding, cropping,
    elementwise layers and sums of tensors; in other layers, such as attention, every entry depends on the whole input. Where branches
    merge, it is the bounding box of their fields.

    Source: [Araujo, Norris & Sim, 2019](https://distill.pub/2019/computing-receptive-fields), computed backward from one position, so that
    padding and borders are exact.

    Args:
        model: A built model whose inputs have known sizes.
        layer: The layer or its path.
        position: Position of the unit in the layer's output, without its channel: `(row, column)` for maps.

    Returns:
        A tuple of slices for each input, in the structure of the model's inputs: one slice per axis of a sample, including the whole
        channel axis.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model has no such layer or the layer no such position, or if an input size is unknown.

    Example:

    >>> import keras
    >>> from keras_xai.features import receptive_field
    >>> model = keras.Sequential([
    ...     keras.Input((32, 32, 3)),
    ...     keras.layers.Conv2D(4, 3, name="conv1"),
    ...     keras.layers.MaxPooling2D(2),
    ...     keras.layers.Conv2D(4, 3, name="conv2"),
    ... ])
    >>> receptive_field(model, "conv2", (1, 5))
    (slice(2, 10, None), slice(10, 18, None), slice(0, 3, None))
    """
    responses = Responses(model, layer)
    sizes = responses.shape[:-1]
    place = tuple(position) if isinstance(position, (tuple, list, np.ndarray)) else ()
    if len(place) != len(sizes) or not all(
        is_integer(p) and 0 <= p < (size or p + 1) for p, size in zip(place, sizes, strict=True)
    ):
        raise ValueError(f"Expected `position` to be within {sizes} of '{responses.name}'. Received: position={position!r}")
    shapes = [tuple(spec.shape[1:]) for spec in responses.graph.input_specs]
    if any(size is None for shape in shapes for size in shape):
        raise ValueError(
            f"Expected a model whose inputs have known sizes, since borders depend on them. Received: inputs of shape {shapes}."
        )
    return packed(list(ReceptiveFields(responses, shapes)(place)), responses.graph)


@final
class ReceptiveFields:
    """The receptive fields of the units of a layer.

    Args:
        responses: The layer.
        shapes: Shape of a sample of each input.
    """

    def __init__(self, responses: Responses, shapes: Sequence[Sequence[int]]):
        self._responses = responses
        self._known: dict[tuple[int, ...], tuple] = {}
        if len(responses.shape) == 1:  # a unit without a position sees everything
            self._known[()] = tuple(tuple(slice(0, size) for size in shape) for shape in shapes)
            return
        self._shapes = _shapes(responses, shapes)
        self._steps = [step for step in responses.graph.steps if all(each in self._shapes for each in step.outputs)]

    def __call__(self, position: Sequence[int]) -> tuple:
        """For each input, a tuple of slices, one for each axis of a sample.

        Args:
            position: Position of the unit, without its channel.
        """
        place = tuple(int(each) for each in position)
        if place not in self._known:
            self._known[place] = self._found(place)
        return self._known[place]

    def _found(self, place):
        axis = self._responses.axis - 1
        start = [(each, each + 1) for each in place]
        start.insert(axis, (0, self._shapes[self._responses.identifier][axis]))
        needed = {self._responses.identifier: start}
        for step in reversed(self._steps):
            for output in step.outputs:
                if output in needed:
                    self._pass_back(step, output, needed)
        graph = self._responses.graph
        return tuple(
            # An input that the unit does not depend on has an empty box.
            tuple(slice(*ends) for ends in needed.get(identifier, [(0, 0) for _ in self._shapes[identifier]]))
            for identifier in graph.inputs
        )

    def _pass_back(self, step, output, needed):
        to = self._shapes[output]
        kind = kind_of(step)
        for identifier in step.inputs:
            size = self._shapes[identifier]
            found = kind.receptive_range(step, needed[output], size, to)
            inside = [(max(start, 0), min(stop, each)) for (start, stop), each in zip(found, size, strict=True)]
            if any(start >= stop for start, stop in inside):
                continue  # the field contains padding only
            if identifier in needed:
                pairs = zip(needed[identifier], inside, strict=True)
                inside = [(min(a, b), max(c, d)) for (a, c), (b, d) in pairs]
            needed[identifier] = inside


def _shapes(responses, shapes):
    """Shape of one sample of each tensor, by identifier."""
    found: dict[int, tuple[int, ...]] = {}

    def record(inputs):
        values = responses.scores.run(inputs, until=[responses.identifier])
        found.update((identifier, tuple(value.shape[1:])) for identifier, value in values.items())
        return inputs

    dtypes = [responses.scores.input_dtype(spec) for spec in responses.graph.input_specs]
    traced(record, [[((None, *shape), dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]])
    return found
