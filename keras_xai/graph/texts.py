"""Models of free text as models of words: the words are joined by a first step."""

import dataclasses

import keras
from keras import layers

from keras_xai import backend
from keras_xai.data.texts import Words, is_string
from keras_xai.graph.steps import Graph, Step


class JoinWords(keras.Operation):
    """Joins words `(n, words)` to texts with a blank between any two; `""` is no word.

    Args:
        shape: Shape of the texts without the batch dimension, `()` or `(1,)`.
    """

    def __init__(self, shape: tuple[int, ...], *, name: str):
        super().__init__(name=name)
        self.shape = shape

    def call(self, words):
        texts = backend.join_words(words)
        return keras.ops.expand_dims(texts, -1) if self.shape else texts

    def compute_output_spec(self, words):
        return keras.KerasTensor((words.shape[0], *self.shape), "string")


def by_words(graph: Graph) -> Graph:
    """The graph whose inputs of free text are inputs of words, `Words`.

    A text is an input of one string that a `TextVectorization` divides; other strings are categories.
    """
    texts = {
        identifier: spec
        for identifier, spec in zip(graph.inputs, graph.input_specs, strict=True)
        if is_string(spec) and tuple(spec.shape[1:]) in ((), (1,)) and _is_divided(graph, identifier)
    }
    if not texts:
        return graph
    specs = {
        identifier: Words((spec.shape[0], None), "string", name=spec.name) if identifier in texts else spec
        for identifier, spec in zip(graph.inputs, graph.input_specs, strict=True)
    }
    numbers = {identifier: id(specs[identifier]) for identifier in texts}
    joins = tuple(
        Step(
            path=f"{spec.name}.words",
            operation=JoinWords(tuple(spec.shape[1:]), name=f"{spec.name}_words"),
            inputs=(numbers[identifier],),
            outputs=(identifier,),
            input_specs=(specs[identifier],),
            output_specs=(spec,),
        )
        for identifier, spec in texts.items()
    )
    return dataclasses.replace(
        graph,
        inputs=tuple(numbers.get(identifier, identifier) for identifier in graph.inputs),
        input_specs=tuple(specs.values()),
        steps=joins + graph.steps,
    )


def _is_divided(graph, identifier):
    reached = {identifier}
    for step in graph.steps:
        if reached.isdisjoint(step.inputs):
            continue
        operation = step.operation
        if isinstance(operation, layers.TextVectorization):
            if operation._split is not None:
                return True
        elif all(is_string(spec) for spec in step.output_specs):
            reached.update(step.outputs)
    return False
