"""Feature maps of a layer: which layer to use, and how to resize its maps to the input."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import keras
from keras import ops

from keras_xai.attribution.cam.frames import Frames, frames_of
from keras_xai.attribution.cam.patches import Patches, attention_after, patches_of, used_patches
from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Batch, Part
from keras_xai.data.layout import Layout
from keras_xai.graph.split import leading_to
from keras_xai.graph.steps import Graph, Step
from keras_xai.graph.target import Target
from keras_xai.kinds.expansion import kind_of
from keras_xai.network.precision import undefined_where_not_finite
from keras_xai.network.scores import Scores


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Maps:
    """The output of a layer as feature maps.

    Attributes:
        path: Path of the layer in the model.
        identifier: Identifier of the layer's output.
        layout: Layout of that output.
        inputs: Positions of the model's inputs that share the layer's spatial positions, each mapped to its layout.
        patches: Where the patches of an image are among tokens, if the layer's output are tokens.
        frames: How the layer's output holds the frames of a film, if each is computed by itself, as under `TimeDistributed`.
    """

    path: str
    identifier: int
    layout: Layout
    inputs: Mapping[int, Layout]
    patches: Patches | None = None
    frames: Frames | None = None

    def channels_last(self, tensor: Any) -> Any:
        """The layer's output, or a tensor of its shape, as `(rows, *places, channels)`: a row per sample, or per frame of a sample."""
        if self.patches is not None:
            return self.patches.grid(tensor)
        tensor = self.layout.channels_last(tensor)
        return tensor if self.frames is None or self.frames.apart else ops.reshape(tensor, (-1, *ops.shape(tensor)[2:]))

    def replaced(self, tensor: Any, features: Any) -> Any:
        """The layer's output with other features: undoes `channels_last`, and keeps tokens that are no patches.

        Args:
            tensor: The layer's output.
            features: Tensor `(rows, *places, channels)`.
        """
        if self.patches is not None:
            return self.patches.replaced(tensor, features)
        if self.frames is not None and not self.frames.apart:
            features = ops.reshape(features, (ops.shape(tensor)[0], -1, *ops.shape(features)[1:]))
        return self.layout.restored(features)

    def by_sample(self, rows: Any, num_samples: Any) -> Any:
        """A tensor `(rows, ...)` as `(n, ...)`, or `(n, frames, ...)` if there are several rows per sample."""
        return rows if self.frames is None else ops.reshape(rows, (num_samples, -1, *ops.shape(rows)[1:]))

    def of_samples(self, tensor: Any, samples: Any, num_samples: Any) -> Any:
        """The layer's output for some samples.

        Args:
            tensor: The layer's output for `num_samples` samples.
            samples: Integer tensor `(m,)`.
            num_samples: Number of samples, n.
        """
        if self.frames is None or not self.frames.apart:
            return ops.take(tensor, samples, axis=0)
        rest = ops.shape(tensor)[1:]
        return ops.reshape(ops.take(self.by_sample(tensor, num_samples), samples, axis=0), (-1, *rest))

    def over(self, position: int, x: Any, heat: Any) -> Any:
        """Resizes one map per sample, or per frame, to an input by linear interpolation.

        Args:
            position: Position of the input, one of `inputs`.
            x: The input, `(n, *input_shape)`.
            heat: Tensor `(n, *places)`, with the frames first if there are any.

        Returns:
            A tensor `(n, *input_shape)` with a channel axis of length 1.
        """
        layout = self.inputs[position]
        heat = resized(heat, layout.sizes(ops.shape(x)))
        return heat if layout.is_apart else layout.restored(ops.expand_dims(heat, -1))


@dataclasses.dataclass(frozen=True, eq=False)
class Heat:
    """Maps of a batch, before they are resized.

    Attributes:
        rows: Tensor `(rows, *places)`, see `Maps.channels_last`.
        score: The explained scores, a tensor `(n,)`.
        indices: The explained classes.
        num_forward_passes: Number of forward passes for all samples of the batch.
    """

    rows: Any
    score: Any
    indices: list
    num_forward_passes: Any

    def values(self, maps: Maps, inputs: Sequence) -> list:
        """The positive part of the maps, resized to each input; `None` for inputs without maps.

        NaN for a sample whose score is NaN or infinite.
        """
        heat = maps.by_sample(ops.relu(self.rows), ops.shape(self.score)[0])
        (heat,) = undefined_where_not_finite(self.score, [heat])
        return [maps.over(position, x, heat) if position in maps.inputs else None for position, x in enumerate(inputs)]


def explained_by(scores: Scores, target: Target, maps: Maps, heat: Callable[..., Heat], *more: Any) -> Callable[[Batch], Part]:
    """Compiles the function that explains batches by the positive part of maps.

    Args:
        scores: The scores of the model.
        target: The target to explain.
        maps: The feature maps.
        heat: Maps the inputs and the classes of a batch, and its baseline if there is one, to its `Heat`.
        *more: Signature of the baseline, if there is one.
    """

    def values(inputs, indices, *baseline):
        found = heat(inputs, indices, *baseline)
        return found.values(maps, inputs), found.indices, found.num_forward_passes

    program = scores.program(target, values, *more)

    def explain(batch):
        found, indices, passes = program(batch.inputs, batch.indices, *([batch.baseline] if more else []))
        return Part(found, indices, convergence_delta=None, num_forward_passes=float(passes))

    return explain


class LayerMethod(Method):
    """Base class of the CAM family: explanations by the feature maps of one layer.

    Args:
        model: The model to explain, see `Method`.
        layer: The layer or its path, such as `"backbone/conv5"`; by default the last layer with spatial positions, see `last_maps`.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If there is no such layer, or its output has no positions of an input.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        layer: str | keras.Layer | None = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._named = layer
        self._layer: Maps | None = None
        self._read()

    def _read_layers(self):
        if self._named is not None:
            path = self._scores.path_of(self._named)
            self._remember(layer=path)
            self._layer = named_maps(self._scores, path)

    def _maps(self, target: Target) -> Maps:
        """The maps of the layer; raises if the target does not depend on them."""
        if self._layer is None:
            return last_maps(self._scores, target)
        outputs = explained_outputs(self._scores.graph, target)
        if all(self._layer.identifier not in (*step.inputs, *outputs) for step in leading_to(self._scores.graph, outputs)):
            raise ValueError(
                f"Expected `layer` to be one that the explained score depends on. Received: layer={self._layer.path!r}, on which it does "
                "not depend."
            )
        patches = patches_of(self._scores.graph)
        if self._layer.patches and self._layer.identifier not in used_patches(self._scores.graph, outputs, patches):
            raise ValueError(
                f"Expected `layer` to be one on whose patches the explained score depends. Received: layer={self._layer.path!r}, after "
                f"which only other tokens count, such as a class token. Choose {last_maps(self._scores, target).path!r} or a layer "
                "before it."
            )
        return self._layer


def named_maps(scores: Scores, path: str) -> Maps:
    """Finds the feature maps of the named layer.

    Args:
        scores: The scores of the model.
        path: Path of the layer, such as `"backbone/conv5"`.

    Raises:
        ValueError: If there is no such layer, or its output has no positions of an input.
    """
    step = scores.find(path)
    maps = _Positions(scores).maps(step, step.outputs[0])
    if maps is None:
        candidates = _candidates(_Positions(scores), scores.graph.outputs).values()
        near = list(dict.fromkeys(_layer(scores.graph, each.path) for each in candidates))[-3:]
        raise ValueError(
            "Expected `layer` to have feature maps of an input: an output (n, height, width, channels) for an image input, or (n, time, "
            f"channels) for a series input, with more than one position. Received: layer={path!r} with an output of shape "
            f"{step.output_specs[0].shape}, in a model of inputs {[spec.shape for spec in scores.graph.input_specs]}. "
            + (f"The last layers with feature maps are {near}." if near else "No layer of the model has feature maps.")
        )
    return maps


def last_maps(scores: Scores, target: Target) -> Maps:
    """Finds the last feature maps of a model: later tensors have no spatial axes.

    Poolings, dropout, and layers that only move entries have no maps of their own: the activation before them is used.

    Args:
        scores: The scores of the model.
        target: The target to explain.

    Raises:
        ValueError: If there are no feature maps, several branches of the model have them, or all attention of the model follows them.
    """
    graph = scores.graph
    outputs, positions = explained_outputs(graph, target), _Positions(scores)
    unused = positions.patches.keys() - used_patches(graph, outputs, positions.patches)
    candidates = {identifier: step for identifier, step in _candidates(positions, outputs).items() if identifier not in unused}
    followed = {each for step in leading_to(graph, candidates) for each in step.inputs}
    ends = {_before_pooling(identifier, candidates) for identifier in candidates.keys() - followed}
    if not ends:
        raise ValueError(
            "Expected a model with a layer that has feature maps of an input, such as a convolution of an image or a series. Received: "
            f"'{scores.name}', of inputs {[spec.shape for spec in graph.input_specs]}, without such a layer. Use a method that needs no "
            "feature maps, such as `Occlusion` or `Saliency`."
        )
    if len(ends) > 1:
        raise ValueError(
            f"Expected a model with one last layer with feature maps. Received: '{scores.name}', which has one in each of several "
            f"branches, {[_layer(graph, candidates[end].path) for end in sorted(ends)]}. Choose one of them: layer=..."
        )
    (end,) = ends
    maps = positions.maps(candidates[end], end)
    assert maps is not None  # it is a candidate
    first = None if maps.patches is not None else attention_after(graph, end, outputs)
    if first is not None:
        raise ValueError(
            f"Expected a model whose last feature maps can be found. Received: '{scores.name}', in which the attention of "
            f"'{first.path}' follows the last feature maps, those of '{maps.path}', and the places of its tokens in an input are not "
            f"known. Choose a layer: layer={maps.path!r} for the maps before all attention, or a later one that has feature maps."
        )
    return maps


def resized(maps: Any, sizes: Sequence) -> Any:
    """Resizes maps `(n, *places)` by linear interpolation along each axis, as `keras.ops.image.resize` does for images.

    Args:
        maps: The maps.
        sizes: The new size of each spatial axis.
    """
    # A matrix product per axis, unlike an image operation, supports any number of axes and float64.
    for axis, size in enumerate(sizes, start=1):
        old = ops.shape(maps)[axis]
        places = ops.arange(old, dtype="int32")
        ratio = ops.cast(old, maps.dtype) / ops.cast(size, maps.dtype)
        centers = (ops.cast(ops.arange(size, dtype="int32"), maps.dtype) + 0.5) * ratio - 0.5
        centers = ops.clip(centers, 0, ops.cast(old - 1, maps.dtype))
        weights = ops.relu(1 - ops.abs(centers[:, None] - ops.cast(places, maps.dtype)))
        maps = ops.moveaxis(ops.tensordot(maps, weights, axes=[[axis], [1]]), -1, axis)
    return maps


def maps_before(scores: Scores, step: Step) -> Maps | None:
    """The input of a step as feature maps, `None` if it has no spatial axes of the model's input.

    Args:
        scores: The scores of the model.
        step: One of its steps; only its first input is considered.
    """
    for producer in scores.graph.steps:
        if step.inputs[0] in producer.outputs:
            return _Positions(scores).maps(producer, step.inputs[0])
    return None


def explained_outputs(graph: Graph, target: Target) -> list[int]:
    """Identifiers of the graph outputs that a target uses."""
    return [graph.outputs[position] for position in target.positions]


@final
class _Positions:
    """Which tensors have positions of inputs.

    Attributes:
        scores: The scores of the model.
        patches: See `patches_of`.
    """

    def __init__(self, scores: Scores):
        self.scores = scores
        self.patches = patches_of(scores.graph)
        self._origins = _origins(scores.graph)
        self._frames = frames_of(scores.graph)

    def maps(self, step: Step, identifier: int) -> Maps | None:
        """A step's output as feature maps of the inputs that it depends on, `None` if it has the positions of none."""
        if not self._origins[identifier]:  # computed from weights alone
            return None
        graph, layout = self.scores.graph, self.scores.axes.layout(identifier)
        spec = step.output_specs[step.outputs.index(identifier)]
        patches, frames = self.patches.get(identifier), self._frames.get(identifier)
        sizes = layout.sizes(spec.shape) if patches is None else patches.sizes
        if frames is not None and not frames.apart:
            # Time steps without places of their own are the places.
            frames = frames if len(sizes) > 1 and layout.places[0] == 1 else None
            sizes = sizes if frames is None else sizes[1:]
        if layout.channel is None or not keras.backend.is_float_dtype(spec.dtype) or all(size == 1 for size in sizes):
            return None
        alike = {
            position: self.scores.layouts[position]
            for position in sorted(self._origins[identifier])
            if self.scores.explainable[position] and _are_alike(self.scores.layouts[position], sizes, frames)
        }
        with_channels = {position: each for position, each in alike.items() if each.channel is not None}
        # Tokens, and gray images without a channel axis, get one within the model.
        inputs = with_channels or alike
        return Maps(_layer(graph, step.path), identifier, layout, inputs, patches, frames) if inputs else None


def _are_alike(layout, sizes, frames):
    """Whether an input has places like those of maps, and frames if they have."""
    places = layout.places
    return len(places) == len(sizes) if frames is None else len(places) == 1 + len(sizes) and places[0] == 1


def _origins(graph):
    """For each tensor, the positions of the inputs that it depends on."""
    origins = {identifier: {position} for position, identifier in enumerate(graph.inputs)}
    for step in graph.steps:
        behind = set().union(*(origins[identifier] for identifier in step.inputs))
        origins.update(dict.fromkeys(step.outputs, behind))
    return origins


def _candidates(positions, outputs):
    """The tensors leading to `outputs` that are feature maps, and the step that computes each."""
    graph, found = positions.scores.graph, {}
    learned: set[int] = set()
    for step in leading_to(graph, outputs):
        # An input that is only moved or rescaled is not a feature.
        if not (_moves(step) or kind_of(step).elementwise(step)) or learned & set(step.inputs):
            learned.update(step.outputs)
            found.update({each: step for each in step.outputs if positions.maps(step, each)})
    return found


def _before_pooling(identifier, candidates):
    """The tensor that the entries of a tensor are selected from."""
    while (
        _moves(candidates[identifier])
        and len(before := set(candidates[identifier].inputs)) == 1
        and before <= candidates.keys()
    ):
        (identifier,) = before
    return identifier


def _moves(step):
    """Whether a step only subsamples, moves or joins entries."""
    kind = kind_of(step)
    return kind.pools is not None or kind.role == "shape"


def _layer(graph, path):
    """Path of the layer that a step belongs to, as the layer itself or its fused activation."""
    whole = path.rpartition(".")[0]
    return whole if any(step.path == whole for step in graph.steps) else path
