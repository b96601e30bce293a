"""Layers to diagnose: the ends of blocks, and relative depth."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import keras

from keras_xai.graph.split import leading_to
from keras_xai.graph.steps import Graph, Step
from keras_xai.graph.trace import trace
from keras_xai.kinds.activated import has_kernels
from keras_xai.kinds.expansion import expand, kind_of, open_layers
from keras_xai.kinds.links import strip_probabilities
from keras_xai.network.roles import Tokens

# More layers than this are too many to compare side by side.
_MOST = 12
_FEWEST = 4


@dataclasses.dataclass(frozen=True, eq=False)
class _Block:
    """A block of a network: a layer with weights, and all layers before the next one with weights.

    Attributes:
        path: Path of its last layer that does more than move entries.
        scale: Number of earlier changes of resolution.
        is_dense: Whether it has no maps.
        is_last: Whether it contains the last layer with weights.
    """

    path: str
    scale: int
    is_dense: bool
    is_last: bool = False


def block_ends(model: keras.Model) -> list[str]:
    """Paths of the layers worth diagnosing: the output of each convolutional block and dense layer.

    A block ends where the whole computation passes through one tensor, just before the next layer with weights: after the activation
    function, pooling or merging that follows a convolution, and after the merge of the branches of a residual or inception block. The last
    layer with weights computes scores and is not a hidden layer, if its output has no maps and becomes probabilities or reaches the model's
    output without an activation function.

    If there are more than twelve blocks, as in VGG19, the last one of each resolution and all dense layers are kept; if the resolution
    never changes, as in a transformer, twelve evenly spaced ones.

    Args:
        model: A built model, possibly with nested models.

    Returns:
        Paths of layers, in the order of the model.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built, or has no hidden layer.

    Example:

    >>> import keras
    >>> from keras_xai.diagnosis import block_ends
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 1)),
    ...     keras.layers.Conv2D(4, 3, name="conv1"), keras.layers.BatchNormalization(), keras.layers.ReLU(name="relu1"),
    ...     keras.layers.Conv2D(4, 3, activation="relu", name="conv2"), keras.layers.MaxPooling2D(name="pooling"),
    ...     keras.layers.Flatten(), keras.layers.Dense(8, activation="relu", name="hidden"), keras.layers.Dropout(0.5),
    ...     keras.layers.Dense(10, activation="softmax"),
    ... ])
    >>> block_ends(model)
    ['relu1', 'pooling', 'hidden']
    """
    graph = open_layers(trace(model))
    blocks = list(_blocks(graph))
    if blocks and blocks[-1].is_last and _computes_scores(graph):
        del blocks[-1]
    if not blocks:
        raise ValueError(
            f"Expected a model with hidden layers. Received: '{model.name}', in which only the last layer has weights. Give the paths of "
            f"layers: layers={[step.path for step in graph.steps][:3]}"
        )
    return [graph.outer_path(graph.find(block.path)) for block in _thinned(blocks)]


def depths(graph: Graph, paths: Sequence[str]) -> list[float]:
    """Relative depth of layers: the share of weighted layers up to each.

    Counted along the longest path.

    Args:
        graph: The whole network.
        paths: Paths of the layers.

    Returns:
        Numbers from 0 to 1.
    """
    counts, reached = _counted(graph, _is_weighted)
    whole = max(reached[each] for each in graph.outputs)
    return [min(counts[graph.end_of(path).path] / whole, 1.0) if whole else 0.0 for path in paths]


def _counted(graph: Graph, counts: Callable[[Step], bool]) -> tuple[dict[str, int], dict[int, int]]:
    """The number of given steps on the longest path up to each step, by path, and to each tensor, by identifier."""
    tensors = dict.fromkeys(graph.inputs, 0)
    steps = {}
    for step in graph.steps:
        steps[step.path] = max((tensors[each] for each in step.inputs), default=0) + counts(step)
        tensors.update(dict.fromkeys(step.outputs, steps[step.path]))
    return steps, tensors


def _blocks(graph: Graph) -> Iterator[_Block]:
    """The blocks, in order; steps before the first layer with weights belong to none."""
    scales, _ = _counted(graph, _changes_resolution)
    begun, block = False, None
    for step, is_neck in _with_necks(graph):
        if _is_weighted(step):
            if block is not None:
                yield block
            begun, block = True, None
        if not (begun and is_neck):
            continue
        if block is None:
            block = _Block(step.path, scales[step.path], len(step.output_specs[0].shape) == 2)
        elif kind_of(step).role != "shape":
            block = dataclasses.replace(block, path=step.path)
    if block is not None:
        yield dataclasses.replace(block, is_last=True)


def _with_necks(graph: Graph) -> Iterator[tuple[Step, bool]]:
    """The steps leading to the outputs, each with whether the whole computation passes through its output."""
    steps = leading_to(graph, graph.outputs)
    last_use = {identifier: i for i, step in enumerate(steps) for identifier in step.inputs}
    last_use |= dict.fromkeys(graph.outputs, len(steps))
    # In step order, such a tensor is the only one that later steps still need, besides masks and what depends on weights only.
    needed = {
        identifier
        for identifier, spec in zip(graph.inputs, graph.input_specs, strict=True)
        if identifier in last_use and (keras.backend.is_float_dtype(spec.dtype) or Tokens(graph, identifier).embeddings)
    }
    for i, step in enumerate(steps):
        outputs = {
            identifier
            for identifier, spec in zip(step.outputs, step.output_specs, strict=True)
            if step.inputs and keras.backend.is_float_dtype(spec.dtype)
        }
        needed = {identifier for identifier in needed | outputs if last_use.get(identifier, -1) > i}
        yield step, len(step.outputs) == 1 and needed == set(step.outputs)


def _is_weighted(step: Step) -> bool:
    """Whether a step is a layer that mixes entries by weights."""
    if has_kernels(step):
        return True
    # Recurrent and attention layers, embeddings, and custom layers. The weights of normalizations are vectors.
    unknown = isinstance(step.operation, keras.Layer) and kind_of(step).role in ("smooth", "composite")
    return unknown and any(len(variable.shape) > 1 for variable in step.operation.weights)


def _changes_resolution(step: Step) -> bool:
    """Whether a step changes the map size of its input; works for unknown sizes."""
    sizes = getattr(step.operation, "strides", None) or getattr(step.operation, "size", 1)
    return any(size != 1 for size in (sizes if isinstance(sizes, (tuple, list)) else [sizes]))


def _computes_scores(graph: Graph) -> bool:
    """Whether the last layer with weights computes scores: no maps, and linear to the output or to probabilities."""
    if any(len(spec.shape) != 2 for spec in graph.output_specs):
        return False
    whole = expand(graph)
    if strip_probabilities(whole).outputs != whole.outputs:
        return True
    steps = leading_to(whole, whole.outputs)
    last = max(place for place, step in enumerate(steps) if _is_weighted(step))
    return not any(kind_of(step).role in ("gate", "curved", "select") for step in steps[last:])


def _thinned(blocks: list[_Block]) -> list[_Block]:
    """The blocks, or some of them if they are too many."""
    if len(blocks) <= _MOST:
        return blocks
    following: list[_Block | None] = [*blocks[1:], None]
    ends = [
        block
        for block, after in zip(blocks, following, strict=True)
        if after is None or block.is_dense or block.scale != after.scale
    ]
    if _FEWEST <= len(ends) <= _MOST:
        return ends
    return [blocks[math.ceil((i + 1) * len(blocks) / _MOST) - 1] for i in range(_MOST)]
