"""Check of tokens against the tables that look them up."""

from collections.abc import Iterator, Sequence

import numpy as np

from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.tokens import keeps_tokens


def check_tokens(graph: Graph, arrays: Sequence[np.ndarray]) -> None:
    """Rejects tokens without a vector in their `Embedding`.

    Args:
        graph: The model.
        arrays: An array for each input of the model.

    Raises:
        ValueError: If a token is not an integer, or not the number of a row of the embedding's table.
    """
    for identifier, spec, array in zip(graph.inputs, graph.input_specs, arrays, strict=True):
        if array.dtype.kind not in "fiub":
            continue
        for step in _tables(graph, identifier):
            size = step.operation.input_dim
            wrong = (array < 0) | (array >= size)
            if array.dtype.kind == "f":
                wrong |= array != np.floor(array)
            if wrong.any():
                where = f" in sample {np.argwhere(wrong)[0][0]}" if array.ndim else ""
                raise ValueError(
                    f"Expected tokens of input '{spec.name}' to be integers from 0 to {size - 1}, rows of the table of '{step.path}'. "
                    f"Received: {array[wrong][0]}{where}."
                )


def _tables(graph: Graph, identifier: int) -> Iterator[Step]:
    """The embeddings that look up the numbers of an input as they are."""
    tokens = {identifier}
    for step in graph.steps:
        if not tokens.isdisjoint(step.inputs):
            if kind_of(step).looks_up(step):
                if hasattr(step.operation, "input_dim"):
                    yield step
            elif keeps_tokens(step):
                tokens.update(step.outputs)
