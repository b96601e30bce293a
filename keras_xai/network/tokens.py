"""Which inputs of a model are tokens."""

import dataclasses
from typing import final

import keras

from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.tokens import passes_tokens


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
