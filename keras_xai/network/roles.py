"""The role of each input of a model: numbers, tokens, codes, or a control input, such as a mask, that is not explained."""

import enum

import keras
from keras import tree

from keras_xai.data.texts import is_string
from keras_xai.graph.steps import Graph, Slot, Step
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.tokens import encodes, passes_tokens


class Role(enum.Enum):
    """The role of an input of a model."""

    NUMBERS = "real numbers"
    TOKENS = "tokens that embeddings look up"
    CODES = "integers or strings that are used otherwise"
    FIXED = "a mask, or the segments or positions of tokens"


class Tokens:
    """The use of an input as tokens.

    Attributes:
        embeddings: The steps that look vectors of it up.
        encoders: The steps that encode it as real numbers, such as one-hot vectors.
        crossed: Those of the embeddings and encoders that depend on other inputs too.
        others: The steps that compute with it otherwise.
        only_masks: Whether it is used as a mask by all of them.
    """

    def __init__(self, graph: Graph, identifier: int):
        spec = dict(zip(graph.inputs, graph.input_specs, strict=True))[identifier]
        whole = not keras.backend.is_float_dtype(spec.dtype)
        tokens = {identifier}
        self.embeddings: list[Step] = []
        self.encoders: list[Step] = []
        self.crossed: list[Step] = []
        self.others: list[Step] = []
        shared: set[int] = set()
        masks, flags = 0, {identifier} if whole else set()
        for step in graph.steps:
            if not flags.isdisjoint(step.inputs):
                if _is_mask_argument(step, flags):
                    masks += 1
                elif all(not keras.backend.is_float_dtype(output.dtype) for output in step.output_specs):
                    flags.update(step.outputs)
            if tokens.isdisjoint(step.inputs):
                continue
            if not shared.isdisjoint(step.inputs) or any(i not in tokens for i in step.inputs[: step.num_varying]):
                shared.update(step.outputs)
            if kind_of(step).looks_up(step) or encodes(step):
                (self.encoders if encodes(step) else self.embeddings).append(step)
                self.crossed += [step] if step.outputs[0] in shared else []
            elif passes_tokens(step) or (whole and all(_is_code(each) for each in step.output_specs)):
                tokens.update(step.outputs)
            # Padding is found by comparing tokens, which has no derivative. Only the steps that convert tokens to real numbers count.
            elif any(output.dtype != "bool" for output in step.output_specs) and not _is_mask_argument(step, tokens):
                self.others.append(step)
        self.only_masks = masks > 0 and not self.embeddings and not self.encoders and not self.others


def roles(graph: Graph) -> list[Role]:
    """The role of each input of a model.

    An input of integers is a mask if it is used as one only, or if it is called so. Of several inputs whose embeddings are added, those
    with smaller tables are the segments or positions of the tokens of the others.

    Args:
        graph: The model.
    """
    used = {identifier: Tokens(graph, identifier) for identifier in graph.inputs}
    beside = _beside_tokens(graph, used)
    return [
        _role(identifier, spec, used[identifier], beside)
        for identifier, spec in zip(graph.inputs, graph.input_specs, strict=True)
    ]


def _role(identifier, spec, tokens, beside):
    if identifier in beside:
        return Role.FIXED
    if tokens.embeddings and not tokens.others and not tokens.encoders:
        return Role.TOKENS
    if spec.dtype == "string":
        return Role.CODES
    if keras.backend.is_float_dtype(spec.dtype):
        return Role.NUMBERS
    return Role.FIXED if tokens.only_masks or "mask" in spec.name else Role.CODES


def _is_code(spec):
    return is_string(spec) or keras.backend.is_int_dtype(spec.dtype)


def _is_mask_argument(step, identifiers):
    """Whether some tensors enter a call only as an argument called a mask."""
    _, named = step.arguments
    masks = {
        step.inputs[leaf.position]
        for name, value in named.items()
        if "mask" in name
        for leaf in tree.flatten(value)
        if isinstance(leaf, Slot)
    }
    given = identifiers.intersection(step.inputs)
    return bool(given) and given <= masks


def _beside_tokens(graph, used):
    """Inputs whose embeddings are added to those of another input with a larger table."""
    tables: dict[int, int] = {}  # the most rows that an input is looked up in
    summed: dict[int, set[int]] = {}  # the inputs of the embeddings that a tensor is the sum of
    for identifier, tokens in used.items():
        for step in tokens.embeddings:
            rows = max((variable.shape[0] for variable in step.operation.variables if len(variable.shape) == 2), default=0)
            tables[identifier] = max(rows, tables.get(identifier, 0))
            summed[step.outputs[0]] = {identifier}
    beside: set[int] = set()
    for step in graph.steps:
        sources = set().union(*(summed.get(identifier, set()) for identifier in step.inputs))
        if kind_of(step).role == "merge" and sources:
            summed[step.outputs[0]] = sources
            largest = max(tables[identifier] for identifier in sources)
            beside |= {identifier for identifier in sources if tables[identifier] < largest}
    return beside
