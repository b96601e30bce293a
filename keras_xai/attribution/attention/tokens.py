"""The tokens of attention layers: the layers that pass them on, and their positions in an input."""

import dataclasses
from collections.abc import Sequence
from typing import Any, final

from keras import ops

from keras_xai.attribution.cam.heat import resized
from keras_xai.attribution.cam.patches import Patches, patches_of
from keras_xai.data.layout import Layout
from keras_xai.data.texts import is_string
from keras_xai.graph.split import leading_to
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.rows import rows_per_sample
from keras_xai.network.attention import Attention, attentions_of, operands_of, sources_of
from keras_xai.network.roles import Role
from keras_xai.network.scores import Scores

INSTEAD = (
    "`keras_xai.features.attention_maps` returns the maps of each layer. Use a method that needs no tokens, such as `Occlusion` or "
    "`GradientTimesInput`."
)


def check_attention(scores: Scores) -> list[Attention]:
    """The attention of a model.

    Args:
        scores: The scores of the model, unrolled.

    Raises:
        ValueError: If there is none; names what the model consists of.
    """
    found = attentions_of(scores.graph)
    if not found:
        classes = sorted({type(step.operation).__name__ for step in scores.graph.steps})
        raise ValueError(
            "Expected a model with attention: a softmax along one axis, whose output is multiplied by values and summed along it. Received:"
            f" '{scores.name}', which consists of {', '.join(classes)}. Use a method that needs no attention, such as `Occlusion` or "
            "`GradientTimesInput`."
        )
    return found


def chain_of(scores: Scores, attentions: Sequence[Attention], outputs: Sequence[int]) -> list[Attention]:
    """The attention layers that lead to outputs, each of which relates the tokens of an encoder to each other.

    Args:
        scores: The scores of the model, unrolled.
        attentions: Its attention.
        outputs: Identifiers of the outputs.

    Raises:
        ValueError: If outputs depend on none, or on one that relates different tokens, if they are not a sequence, or if the last is
            followed by a product of tokens that is not attention; names the layer.
    """
    graph = scores.graph
    used = {identifier for step in leading_to(graph, outputs) for identifier in step.outputs}
    chain = [each for each in attentions if each.product.outputs[0] in used]
    if not chain:
        raise ValueError(
            f"Expected a score that depends on attention. Received: '{scores.name}', in which {[each.path for each in attentions]} do not "
            f"lead to the explained score. {INSTEAD}"
        )
    sources = sources_of(graph, attentions, [i for i, explained in enumerate(scores.explainable) if explained])
    rows = rows_per_sample(graph)
    before = None
    for each in chain:
        if (reason := _refusal(each, before, graph, sources, rows)) is not None:
            raise ValueError(
                f"Expected attention layers that all relate the same tokens to each other, one layer after the other. Received: "
                f"'{each.path}' of '{scores.name}', {reason}. {INSTEAD}"
            )
        before = each
    after = _product_after(graph, chain, outputs, sources)
    if after is not None:
        raise ValueError(
            f"Expected no product of two tensors of tokens after the last attention layer, '{chain[-1].path}'. Received: '{after.path}' of "
            f"'{scores.name}', as of attention whose weights are no softmax, or no softmax alone. {INSTEAD}"
        )
    return chain


def _product_after(graph, chain, outputs, sources):
    """A step that sums products of tokens after the last attention layer, such as attention by a sigmoid; `None` if there is none."""
    reached = {chain[-1].product.outputs[0]}
    for step in leading_to(graph, outputs):
        if reached.isdisjoint(step.inputs):
            continue
        reached.update(step.outputs)
        if kind_of(step).letters(step) is not None and all(sources[identifier] for identifier in step.inputs):
            return step
    return None


def _refusal(each, before, graph, sources, rows):
    """Why rollout does not pass an attention layer, a clause; `None` if it does."""
    if rows[each.identifier] != 1:
        return f"which is applied to {rows[each.identifier]} parts of a sample separately, such as windows or time steps"
    queries, keys = each.count(each.queries), each.count(each.keys)
    if queries != keys:
        return f"which has {queries} queries and {keys} keys"
    if before is not None and before.count(before.keys) != keys:
        return f"which has {keys} tokens, unlike '{before.path}' with {before.count(before.keys)}"
    operands = operands_of(graph, each, sources)
    if len(operands) != 2 or any(sources[operand] != sources[each.values] for operand in operands):
        return "whose queries are not computed from the same tokens as its keys and values, as in cross-attention"
    if before is not None and before not in sources[each.values]:
        return f"which is in another branch of the model than '{before.path}'"
    return None


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Located:
    """The positions of attention tokens in an input.

    Attributes:
        position: Position of the input.
        layout: Its layout.
        patches: The tokens that are patches of an image; `None` if tokens are the entries of a text, or the time steps of a series.
        is_text: Whether the input is free text, divided into words.
    """

    position: int
    layout: Layout
    patches: Patches | None
    is_text: bool

    def over(self, x: Any, values: Any) -> Any:
        """The values of tokens as values of the input; those of patches are resized by linear interpolation.

        Args:
            x: The input.
            values: `(n, tokens)`.
        """
        if self.patches is not None:
            grid = self.patches.grid(values[..., None])[..., 0]
            return self.layout.restored(resized(grid, self.layout.sizes(ops.shape(x)))[..., None])
        if self.is_text:
            return values[..., None]
        return values if self.layout.is_apart else self.layout.restored(values[..., None])


def locate(scores: Scores, attention: Attention) -> Located | None:
    """Finds the keys of attention in an input: patches of an image, tokens, or the steps of a series.

    Args:
        scores: The scores of the model, unrolled.
        attention: Attention whose keys are tokens of one input.

    Returns:
        `None` if they are none of these, or could be of several inputs.
    """
    graph, count = scores.graph, attention.count(attention.keys)
    sources = sources_of(graph, [], [i for i, explained in enumerate(scores.explainable) if explained])
    patches = _patches_before(graph, attention, count)
    found = []
    for position in sorted(sources[attention.values]):
        spec, layout = graph.input_specs[position], scores.layouts[position]
        is_text = is_string(spec)
        if patches is not None:
            fits = not layout.is_apart and len(layout.places) == len(patches.sizes)
        elif scores.roles[position] is Role.TOKENS:
            fits = len(spec.shape) == 2 and (is_text or spec.shape[1] == count)
        else:
            fits = not layout.is_apart and layout.sizes(spec.shape) == (count,)
        if fits:
            found.append(Located(position, layout, patches, is_text))
    return found[0] if len(found) == 1 else None


def check_located(scores: Scores, attention: Attention) -> Located:
    """As `locate`, for methods.

    Raises:
        ValueError: If the tokens are not found.
    """
    found = locate(scores, attention)
    if found is None:
        shapes = {spec.name: tuple(spec.shape[1:]) for spec in scores.graph.input_specs}
        raise ValueError(
            "Expected tokens that can be located in an input: patches of an image, each token of a text, or each step of a series. "
            f"Received: '{attention.path}' of '{scores.name}', with {attention.count(attention.keys)} tokens, in a model of inputs of "
            f"shape {shapes}. {INSTEAD}"
        )
    return found


def _patches_before(graph, attention, count):
    """The patches among the nearest tokens that the values are computed from, as many as there are keys."""
    patches = patches_of(graph)
    for step in reversed(leading_to(graph, [attention.values])):
        for identifier, spec in zip(step.outputs, step.output_specs, strict=True):
            if identifier in patches and spec.shape[1] == count:
                return patches[identifier]
    return None
