"""Inputs that are tokens of an `Embedding`."""

import dataclasses
from collections.abc import Sequence
from typing import final

import keras
import numpy as np

from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.tokens import keeps_tokens, passes_tokens


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Tokens:
    """How an input is used as tokens.

    Attributes:
        embeddings: The steps that look vectors of it up.
        others: The steps that compute with it otherwise.
    """

    embeddings: list[Step]
    others: list[Step]


def tokens_of(graph: Graph, identifier: int) -> Tokens:
    """How an input is used as tokens: by an `Embedding`, as it is or reshaped or cast, whatever the dtype of the input.

    Args:
        graph: The model.
        identifier: Identifier of the input.
    """
    spec = dict(zip(graph.inputs, graph.input_specs, strict=True))[identifier]
    whole = not keras.backend.is_float_dtype(spec.dtype)
    tokens, embeddings, others = {identifier}, [], []
    for step in graph.steps:
        if tokens.isdisjoint(step.inputs):
            continue
        if kind_of(step).embeds:
            embeddings.append(step)
        elif passes_tokens(step) or (whole and keras.backend.is_int_dtype(step.output_specs[0].dtype)):
            tokens.update(step.outputs)
        # Padding is found by comparing tokens, which has no derivative: what counts is what turns them into real numbers.
        elif any(output.dtype != "bool" for output in step.output_specs):
            others.append(step)
    return Tokens(embeddings, others)


def check_tokens(graph: Graph, arrays: Sequence[np.ndarray]) -> None:
    """Refuses tokens that an `Embedding` does not have a vector for.

    Args:
        graph: The model.
        arrays: An array for each input of the model.

    Raises:
        ValueError: If a token is not an integer, or not the number of a row of the embedding's table.
    """
    for identifier, spec, array in zip(graph.inputs, graph.input_specs, arrays, strict=True):
        for step in _tables(graph, identifier):
            size = step.operation.input_dim
            wrong = (array < 0) | (array >= size)
            if array.dtype.kind == "f":
                wrong |= array != np.floor(array)
            if wrong.any():
                sample = int(np.argwhere(wrong)[0][0])
                raise ValueError(
                    f"Expected tokens of input '{spec.name}' to be integers from 0 to {size - 1}, rows of the table of '{step.path}'. "
                    f"Received: {array[wrong][0]} in sample {sample}."
                )


def _tables(graph, identifier):
    """The embeddings that look up the numbers of an input as they are."""
    tokens = {identifier}
    for step in graph.steps:
        if not tokens.isdisjoint(step.inputs):
            if kind_of(step).embeds:
                if hasattr(step.operation, "input_dim"):
                    yield step
            elif keeps_tokens(step):
                tokens.update(step.outputs)
