"""The meaning of each axis of the tensors of a model: channels, places, time, tokens."""

from collections.abc import Sequence
from typing import final

import keras

from keras_xai.data.layout import Layout, place_letters
from keras_xai.graph.steps import Graph
from keras_xai.kinds.axes import BY_PRODUCT, Sources
from keras_xai.kinds.expansion import kind_of
from keras_xai.network.roles import Tokens

# An axis that combines channels and places.
_MIXED = "mixed"


@final
class Axes:
    """The layout of each tensor of a graph, by one walk over it.

    Each step declares the axes of its own tensors, such as a convolution by its `data_format`, and how the axes of its output follow from
    those of its input. The names are propagated in both directions, the most certain first: those that the user declares with
    `keras_xai.layers.with_layout`, those of data formats, those of sequences and normalizations, those of dense layers. Where they
    contradict each other, or there are none, the channels are the last axis, as in Keras.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: Graph):
        self._graph = graph
        self._specs: dict[int, keras.KerasTensor] = dict(zip(graph.inputs, graph.input_specs, strict=True))
        for step in graph.steps:
            self._specs.update(zip(step.inputs, step.input_specs, strict=True))
            self._specs.update(zip(step.outputs, step.output_specs, strict=True))
        self._names: dict[int, list] = {each: [None] * (len(spec.shape) - 1) for each, spec in self._specs.items()}
        self._walk()

    def layout(self, identifier: int) -> Layout:
        """The layout of a tensor.

        Args:
            identifier: Its identifier in the graph.
        """
        spec, names = self._specs[identifier], self._names[identifier]
        if identifier in self._graph.inputs:
            is_tokens = bool(Tokens(self._graph, identifier).embeddings)
            whole = not keras.backend.is_float_dtype(spec.dtype) and spec.dtype != "string"
            if is_tokens or (whole and len(names) <= 1):
                return Layout("N" + "L" * max(len(names), 1))
        if len(names) <= 1:
            return Layout("NT" if names == ["T"] else "NF")
        return Layout("N" + "".join(_settled(names, spec.shape[1:])))

    def inputs(self) -> list[Layout]:
        """The layout of each input of the graph."""
        return [self.layout(identifier) for identifier in self._graph.inputs]

    def channel(self, identifier: int) -> int:
        """The channel axis of a tensor, the last one if it has none."""
        channel = self.layout(identifier).channel
        return len(self._specs[identifier].shape) - 1 if channel is None else channel

    def _walk(self):
        links, named = [], []
        for step in self._graph.steps:
            kind = kind_of(step)
            found = kind.axis_names(step) if step.inputs else None
            if found is not None:
                named.append((step, found))
            links += [
                (identifier, output, sources)
                for position, identifier in enumerate(step.inputs)
                if (sources := kind.axis_sources(step, position)) is not None
                for output in step.outputs
            ]
        for certainty in range(BY_PRODUCT + 1):
            chosen = [(step, found) for step, found in named if found.certainty == certainty]
            for step, found in chosen:
                self._add(step.inputs[0], found.inputs)
                self._add(step.outputs[0], found.outputs)
            if chosen:
                self._carry(links)

    def _add(self, identifier, names) -> bool:
        """Fills in unknown names of a tensor, unless they contradict known ones; returns whether it did."""
        known = self._names[identifier]
        if len(names) != len(known) or ("C" in known and "C" in names and known.index("C") != list(names).index("C")):
            return False
        new = [old or name for old, name in zip(known, names, strict=True)]
        self._names[identifier] = new
        return new != known

    def _carry(self, links) -> None:
        changed = True
        while changed:
            changed = False
            for before, after, sources in links:
                changed |= self._add(after, _forward(self._names[before], sources))
            for before, after, sources in reversed(links):
                shape = self._specs[before].shape[1:]
                changed |= self._add(before, _backward(self._names[after], sources, shape))


def _forward(names: Sequence, sources: Sources) -> list:
    """The names of an output's axes, by those of an input."""
    shared = [axis for each in sources for axis in each]
    return [_merged([names[axis] for axis in each], split=any(shared.count(axis) > 1 for axis in each)) for each in sources]


def _merged(names, *, split=False):
    """The name of an axis that combines others, or is a part of one."""
    if not names or None in names:
        return None
    if len(names) == 1 and not split:
        return names[0]
    kinds = {name if name in ("C", _MIXED) else "P" for name in names}
    name = kinds.pop() if len(kinds) == 1 else _MIXED
    return None if name == _MIXED and split else name


def _backward(names: Sequence, sources: Sources, shape: Sequence) -> list:
    """The names of an input's axes, by those of an output."""
    return [
        _named_by([(name, made_of) for name, made_of in zip(names, sources, strict=True) if axis in made_of], axis, shape)
        for axis in range(len(shape))
    ]


def _named_by(parts, axis, shape):
    """The name of an input axis, from the output axes that it is part of, each with the input axes that form it."""
    if not parts:
        return None
    name, made_of = parts[0]
    if len(made_of) > 1:
        if len(parts) > 1 or name in (None, _MIXED):
            return None
        # In a vector at each place, the entries of the channels are adjacent.
        last = [each for each in made_of if shape[each] != 1][-1:] or list(made_of)[-1:]
        return "C" if name == "C" and axis in last else "P"
    return name if len(parts) == 1 else _merged([each for each, _ in parts])


def _settled(names: Sequence, shape: Sequence) -> list[str]:
    """Letters for all axes of a sample: the names if they are consistent, otherwise channels last.

    Args:
        names: The known names.
        shape: Of a sample.
    """
    rank = len(names)
    unknown = [axis for axis, name in enumerate(names) if name is None]
    channels = [axis for axis, name in enumerate(names) if name == "C"]
    if unknown == [axis for axis in unknown if shape[axis] == 1] and len(unknown) == 1 and rank > 2 and channels:
        channels = unknown  # an image whose rows are read as a sequence of vectors
    elif len(channels) > 1:
        channels = [rank - 1] if rank - 1 in channels else channels[:1]
    elif not channels:
        channels = unknown if len(unknown) == 1 else [rank - 1] if unknown else []
    places = [axis for axis in range(rank) if axis not in channels]
    letters = [names[axis] for axis in places]
    distinct = len(set(letters)) == len(letters) and set(letters) == set(place_letters(len(letters)))
    letters = letters if distinct else list(place_letters(len(places)))
    settled = ["C"] * rank
    for axis, letter in zip(places, letters, strict=True):
        settled[axis] = letter
    return settled
