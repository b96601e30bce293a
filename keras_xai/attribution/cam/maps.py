"""Selection of the feature maps for CAM methods."""

import math
from collections.abc import Sequence
from typing import final

import keras

from keras_xai.attribution.cam.frames import frames_of
from keras_xai.attribution.cam.heat import Maps
from keras_xai.attribution.cam.patches import Patches, attention_after, patches_of, used_patches
from keras_xai.attribution.method import Method
from keras_xai.data.checks import Verbose
from keras_xai.graph.split import leading_to
from keras_xai.graph.steps import Step
from keras_xai.graph.target import Target
from keras_xai.kinds.expansion import kind_of
from keras_xai.network.layer_entries import check_read
from keras_xai.network.scores import Scores


class LayerMethod(Method):
    """Base class of the CAM family: explanations by the feature maps of one layer.

    Args:
        model: The model to explain, see `Method`.
        layer: The layer or its path, such as `"backbone/conv5"`; by default the last layer with spatial positions, see `last_maps`.
        places: Size of the grid of patches among the tokens of `layer`, `(height, width)`, where it cannot be found: the last tokens are
            the patches, row by row, behind class and register tokens.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If there is no such layer, its output has no positions of an input, or `places` do not fit its tokens.
    """

    nonnegative = True

    def __init__(
        self,
        model: keras.Model,
        *,
        layer: str | keras.Layer | None = None,
        places: Sequence[int] | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._named = layer
        self._places = None if places is None else _checked_places(places, layer)
        self._layer: Maps | None = None
        self._read()

    def _read_layers(self):
        if self._named is not None:
            path = self._scores.path_of(self._named)
            self._remember(layer=path)
            self._layer = named_maps(self._scores, path, self._places)

    def _maps(self, target: Target) -> Maps:
        """The maps of the layer; raises if the target does not depend on them."""
        if self._layer is None:
            return last_maps(self._scores, target)
        check_read(self._scores, target, self._layer.identifier, self._layer.path)
        outputs = self._scores.explained_outputs(target)
        patches = patches_of(self._scores.graph)
        if self._places is not None and self._layer.patches is not None:
            patches[self._layer.identifier] = self._layer.patches
        if self._layer.patches and self._layer.identifier not in used_patches(self._scores.graph, outputs, patches):
            raise ValueError(
                f"Expected `layer` to be one on whose patches the explained score depends. Received: layer={self._layer.path!r}, after "
                f"which only other tokens count, such as a class token. Choose {last_maps(self._scores, target).path!r} or a layer "
                "before it."
            )
        return self._layer


def named_maps(scores: Scores, path: str, places: Sequence[int] | None = None) -> Maps:
    """Finds the feature maps of the named layer.

    Args:
        scores: The scores of the model.
        path: Path of the layer, such as `"backbone/conv5"`.
        places: As in `LayerMethod`.

    Raises:
        ValueError: If there is no such layer, its output has no positions of an input, or `places` do not fit its tokens.
    """
    step = scores.find(path)
    positions = _Positions(scores)
    if places is not None:
        positions.patches[step.outputs[0]] = _placed(step, path, places)
    maps = positions.maps(step, step.outputs[0])
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


def _checked_places(places, layer):
    sizes = tuple(places) if isinstance(places, (list, tuple)) else ()
    if len(sizes) < 2 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(
            f"Expected `places` to be the size of a grid of patches, such as (14, 14). Received: places={places!r}"
        )
    if layer is None:
        raise ValueError(f"Expected `layer`, the layer of the tokens in `places`. Received: layer=None, places={places!r}")
    return sizes


def _placed(step, path, places):
    """The patches among the tokens of a layer's output, behind class and register tokens."""
    shape = step.output_specs[0].shape
    if len(shape) != 3 or shape[1] is None or math.prod(places) > shape[1]:
        raise ValueError(
            "Expected `places` to be the size of the grid of patches among the tokens of a layer, whose output is (n, tokens, channels). "
            f"Received: places={places!r}, of {math.prod(places)} patches, for the output of shape {shape} of layer={path!r}."
        )
    return Patches(shape[1] - math.prod(places), places)


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
    outputs, positions = scores.explained_outputs(target), _Positions(scores)
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
            f"known. Choose a later layer with the grid of its tokens, places=(height, width), or layer={maps.path!r} for the maps "
            "before all attention."
        )
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


@final
class _Positions:
    """The tensors that have positions of inputs.

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
