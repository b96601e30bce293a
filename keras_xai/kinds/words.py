"""Values of the words of a text, computed from the values of its `TextVectorization` tokens."""

import keras
import numpy as np
from keras import layers

from keras_xai.data.texts import Words
from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds.tokens import encodes


def check_aligned(embedding: Step, graph: Graph, spec: Words, method: str) -> None:
    """Rejects texts whose words do not correspond to tokens in order.

    Args:
        embedding: The step that looks vectors up.
        graph: The model.
        spec: The input of the text.
        method: Name of the method for errors.

    Raises:
        ValueError: If there is no vector for each token, or tokens are not parts of words.
    """
    operation = vectorization(graph, spec)
    if encodes(embedding) or operation._split != "whitespace" or operation._ngrams is not None:
        raise ValueError(
            f"{method} needs a vector for each word of a text: a `TextVectorization` that splits at white space, without `ngrams`, with "
            f"output_mode='int', before an `Embedding`. Received: '{embedding.path}' ({type(embedding.operation).__name__}) for the input "
            f"'{spec.name}', split={operation._split!r}, ngrams={operation._ngrams}. Use a method that only needs scores, such as LIME."
        )


def vectorization(graph: Graph, spec: Words) -> layers.TextVectorization:
    """The layer that divides a text."""
    reached = {graph.inputs[graph.input_specs.index(spec)]}
    for step in graph.steps:
        if not reached.isdisjoint(step.inputs):
            if isinstance(step.operation, layers.TextVectorization):
                return step.operation
            reached.update(step.outputs)
    raise ValueError(f"Expected an input of text. Received: '{spec.name}'.")


def of_words(values: np.ndarray, words: np.ndarray, operation: layers.TextVectorization) -> np.ndarray:
    """The values of words: each that of its token, or the sum if it becomes several; 0 if it becomes none.

    Args:
        values: The values of tokens `(n, tokens)`.
        words: The words `(n, words)`.
        operation: The layer that converts texts to tokens.
    """
    names, places = np.unique(words, return_inverse=True)
    tokens = keras.ops.convert_to_numpy(operation(keras.ops.convert_to_tensor(names[:, np.newaxis], "string")))
    counts = np.where(names == "", 0, (tokens != 0).sum(axis=1))[places.reshape(words.shape)]
    ends = np.minimum(counts.cumsum(axis=1), values.shape[1])
    sums = np.pad(values.astype("float64").cumsum(axis=1), ((0, 0), (1, 0)))
    ends = np.pad(ends, ((0, 0), (1, 0)))
    found = np.diff(np.take_along_axis(sums, ends, axis=1), axis=1)
    single = np.take_along_axis(values, np.minimum(ends[:, :-1], values.shape[1] - 1), axis=1)  # without the rounding of sums
    return np.where(np.diff(ends, axis=1) == 1, single, found).astype(values.dtype)
