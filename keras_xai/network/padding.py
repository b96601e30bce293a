"""Padding of inputs, which gets no attribution."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_xai.data.texts import Words
from keras_xai.graph.steps import Graph
from keras_xai.kinds.tokens import is_masking
from keras_xai.network.roles import Role, Tokens


def padding_of(graph: Graph, roles: Sequence[Role]) -> Callable[[Sequence[np.ndarray]], list]:
    """A function that finds padding: it maps samples, an array for each input, to a boolean array for each, or `None` if it has none.

    Padding are tokens 0 of an `Embedding(mask_zero=True)`, tokens where an input of the same shape called `padding_mask` is 0, steps that
    a `Masking` layer masks, and what fills up texts with fewer words than others. The array of the latter two and of tokens has the shape
    of the samples, with a channel axis of length 1.
    """
    names = [spec.name or "" for spec in graph.input_specs]
    masks = [i for i, role in enumerate(roles) if role is Role.FIXED and "padding_mask" in names[i]]
    finders: list[Callable[[Sequence[np.ndarray]], Any] | None] = []
    for position, (identifier, spec) in enumerate(zip(graph.inputs, graph.input_specs, strict=True)):
        if isinstance(spec, Words):
            finders.append(_of_steps(position, ""))
            continue
        used = [step for step in graph.steps if identifier in step.inputs]
        values = [step.operation.mask_value for step in used if is_masking(step)]
        if values and len(values) == len(used) and len(set(values)) == 1:
            finders.append(_of_steps(position, values[0]))
            continue
        embeddings = Tokens(graph, identifier).embeddings
        zero = bool(embeddings) and all(getattr(step.operation, "mask_zero", False) for step in embeddings)
        beside = (
            [i for i in masks if tuple(graph.input_specs[i].shape) == tuple(spec.shape)]
            if roles[position] is Role.TOKENS
            else []
        )
        finders.append(_of_tokens(position, zero, beside) if zero or beside else None)
    return lambda inputs: [None if find is None else find(inputs) for find in finders]


def _of_steps(position: int, value: Any) -> Callable[[Sequence[np.ndarray]], Any]:
    def find(inputs):
        padded = inputs[position] == value
        return padded.all(axis=-1, keepdims=True) if padded.ndim > 2 else padded

    return find


def _of_tokens(position: int, zero: bool, masks: Sequence[int]) -> Callable[[Sequence[np.ndarray]], Any]:
    def find(inputs):
        padded = inputs[position] == 0 if zero else np.zeros(inputs[position].shape, bool)
        for mask in masks:
            padded = padded | (inputs[mask] == 0)
        return padded

    return find
