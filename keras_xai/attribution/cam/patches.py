"""Tokens of image patches: their positions among the tokens of a tensor, and whether scores depend on them."""

import dataclasses
import math
from typing import Any, final

from keras import ops, tree

from keras_xai.graph.split import leading_to
from keras_xai.graph.steps import Graph, Slot, Step
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.rows import is_concatenation, is_reshape, is_selection


@final
@dataclasses.dataclass(frozen=True)
class Patches:
    """The tokens of a tensor `(n, tokens, channels)` that are patches of an image; others are class and register tokens.

    Attributes:
        start: Index of the first patch.
        sizes: Size of the grid of patches, row by row.
    """

    start: int
    sizes: tuple[int, ...]

    def grid(self, tensor: Any) -> Any:
        """The patches of a tensor `(n, tokens, channels)` as `(n, *sizes, channels)`."""
        count = math.prod(self.sizes)
        return ops.reshape(tensor[:, self.start : self.start + count], (-1, *self.sizes, tensor.shape[-1]))

    def replaced(self, tensor: Any, grid: Any) -> Any:
        """A tensor `(n, tokens, channels)` whose patches are those of a grid `(n, *sizes, channels)`; other tokens are kept."""
        count = math.prod(self.sizes)
        tokens = ops.reshape(grid, (-1, count, tensor.shape[-1]))
        return ops.concatenate([tensor[:, : self.start], tokens, tensor[:, self.start + count :]], axis=1)


def patches_of(graph: Graph) -> dict[int, Patches]:
    """The tensors of a graph whose tokens are patches, found where maps are flattened, by identifier."""
    found: dict[int, Patches] = {}
    for step in graph.steps:
        outputs = [
            identifier for identifier, spec in zip(step.outputs, step.output_specs, strict=True) if len(spec.shape) == 3
        ]
        if len(outputs) != 1 or not step.inputs:
            continue
        (output,), length = outputs, step.output_specs[step.outputs.index(outputs[0])].shape[1]
        if is_reshape(step):
            shape = step.input_specs[0].shape
            if step.inputs[0] in found and shape[1] == length:
                found[output] = found[step.inputs[0]]
            elif (sizes := _grid(shape[1:], length)) is not None:
                found[output] = Patches(0, sizes)
        elif is_concatenation(step):
            joined = _joined(step, found)
            if joined is not None:
                found[output] = joined
        else:
            for identifier, spec in zip(step.inputs, step.input_specs, strict=True):
                if identifier in found and len(spec.shape) == 3 and spec.shape[1] == length:
                    found[output] = found[identifier]
                    break
    return found


def used_patches(graph: Graph, outputs: list[int], patches: dict[int, Patches]) -> set[int]:
    """The tensors of `patches` on whose patches outputs depend, and not only on class tokens.

    Args:
        graph: The graph.
        outputs: Identifiers of its outputs.
        patches: As from `patches_of`.
    """
    used = {identifier for identifier in patches if identifier in outputs}
    for step in reversed(graph.steps):
        for position, identifier in enumerate(step.inputs):
            if identifier in patches and _uses(step, position, patches, used):
                used.add(identifier)
    return used


def attention_after(graph: Graph, identifier: int, outputs: list[int]) -> Step | None:
    """The first attention on the way from a tensor to outputs, up to a global pooling; `None` if there is attention before it, too.

    Args:
        graph: The graph.
        identifier: Identifier of the tensor.
        outputs: Identifiers of the outputs.
    """
    if any(kind_of(step).attends for step in leading_to(graph, [identifier])):
        return None
    reached = {identifier}
    for step in leading_to(graph, outputs):
        if reached.isdisjoint(step.inputs) or kind_of(step).pools == "global":
            continue
        if kind_of(step).attends:
            return step
        reached.update(step.outputs)
    return None


def _uses(step, position, patches, used):
    """Whether a step passes patches of an input on to what outputs depend on."""
    here = patches[step.inputs[position]]
    if is_selection(step):
        key = step.arguments[0][1]
        chosen = key[1] if isinstance(key, tuple) and len(key) > 1 else slice(None)
        tokens = range(step.input_specs[0].shape[1])
        left = [tokens[chosen]] if isinstance(chosen, int) else tokens[chosen] if isinstance(chosen, slice) else tokens
        return any(here.start <= token < here.start + math.prod(here.sizes) for token in left)
    outputs = [identifier for identifier in step.outputs if identifier in patches]
    if len(outputs) == 1 and _by_token(step, position):
        return outputs[0] in used
    return True


def _by_token(step: Step, position: int) -> bool:
    """Whether a token of the output depends on the same token of an input only."""
    spec, output = step.input_specs[position], step.output_specs[0]
    if len(spec.shape) != 3 or len(output.shape) != 3 or spec.shape[1] != output.shape[1]:
        return False
    wanted = [(0, 1), (0, output.shape[2])]
    return tuple(kind_of(step).receptive_range(step, wanted, spec.shape[1:], output.shape[1:])[0]) == (0, 1)


def _grid(shape, length):
    """The axes of a grid that a reshape merges into tokens: all but the channels, or but the pixels and channels of a patch."""
    if None in shape:
        return None
    ends = [len(shape) - 1, *range(2, len(shape) - 1)]
    return next((tuple(shape[:end]) for end in ends if end >= 2 and math.prod(shape[:end]) == length), None)


def _joined(step, found):
    """The patches among the tokens of several tensors."""
    slots = [leaf for leaf in tree.flatten(step.arguments[0]) if isinstance(leaf, Slot)]
    start = 0
    for slot in slots:
        identifier, spec = step.inputs[slot.position], step.input_specs[slot.position]
        if len(spec.shape) != 3 or spec.shape[1] is None:
            return None
        if identifier in found:
            patches = found[identifier]
            return Patches(start + patches.start, patches.sizes) if step.output_specs[0].shape[2] == spec.shape[2] else None
        start += spec.shape[1]
    return None
