"""Models of free text as models of words, with a first step that joins the words."""

import dataclasses

import keras
from keras import layers

from keras_xai import backend
from keras_xai.data.texts import Words, is_string
from keras_xai.graph.steps import Graph, Slot, Step


class JoinWords(keras.Operation):
    """Joins words `(n, words)` to texts, separated by blanks; skips `""`.

    Args:
        shape: Shape of the texts without the batch dimension, `()` or `(1,)`.
    """

    def __init__(self, shape: tuple[int, ...], *, name: str):
        super().__init__(name=name)
        self.shape = shape

    def call(self, words):
        """The words of each text, joined."""
        texts = backend.join_words(words)
        return keras.ops.expand_dims(texts, -1) if self.shape else texts

    def compute_output_spec(self, words):
        """The spec of the texts."""
        return keras.KerasTensor((words.shape[0], *self.shape), "string")


class PadTokens(keras.Operation):
    """Pads tokens with 0 to the number of words, so that texts in any batch have the same number."""

    def call(self, tokens, words):
        """Tokens, as many as words."""
        missing = keras.ops.maximum(keras.ops.shape(words)[1] - keras.ops.shape(tokens)[1], 0)
        return keras.ops.pad(tokens, [[0, 0], [0, missing]])

    def compute_output_spec(self, tokens, words):
        """The spec of the tokens."""
        return keras.KerasTensor(tokens.shape, tokens.dtype)


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
    steps = list(joins)
    for step in graph.steps:
        sources = [identifier for identifier in texts if _divides(step) and identifier in _before(graph, step)]
        if not sources or step.operation._output_mode != "int" or step.operation._output_sequence_length is not None:
            steps.append(step)
            continue
        # The number of tokens equals the number of words, independent of the other samples of a batch.
        raw, words = keras.KerasTensor(step.output_specs[0].shape, step.output_specs[0].dtype), specs[sources[0]]
        steps += [
            dataclasses.replace(step, outputs=(id(raw),), output_specs=(raw,)),
            Step(
                path=f"{step.path}.padded",
                operation=PadTokens(name=f"{step.operation.name}_padded"),
                inputs=(id(raw), numbers[sources[0]]),
                outputs=step.outputs,
                input_specs=(raw, words),
                output_specs=step.output_specs,
                arguments=((Slot(0), Slot(1)), {}),
            ),
        ]
    return dataclasses.replace(
        graph,
        inputs=tuple(numbers.get(identifier, identifier) for identifier in graph.inputs),
        input_specs=tuple(specs.values()),
        steps=tuple(steps),
    )


def _divides(step):
    return isinstance(step.operation, layers.TextVectorization) and step.operation._split is not None


def _before(graph, step):
    """Identifiers of the strings that lead to a step."""
    found = set(step.inputs)
    for other in reversed(graph.steps):
        if not found.isdisjoint(other.outputs) and all(is_string(spec) for spec in other.input_specs):
            found.update(other.inputs)
    return found


def _is_divided(graph, identifier):
    return any(_divides(step) and identifier in _before(graph, step) for step in graph.steps)
