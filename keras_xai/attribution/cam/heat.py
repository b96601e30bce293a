"""Feature maps of a layer, and maps made of them, resized to the input."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from keras import ops

from keras_xai.attribution.cam.frames import Frames
from keras_xai.attribution.cam.patches import Patches
from keras_xai.attribution.parts import Batch, Part
from keras_xai.data.layout import Layout
from keras_xai.graph.target import Target
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
        predictions: As in `Part`.
    """

    rows: Any
    score: Any
    indices: list
    num_forward_passes: Any
    predictions: list

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
        return found.values(maps, inputs), found.indices, found.num_forward_passes, found.predictions

    program = scores.program(target, values, *more)

    def explain(batch):
        found, indices, passes, predictions = program(batch.inputs, batch.indices, *([batch.baseline] if more else []))
        return Part(found, indices, None, num_forward_passes=float(passes), predictions=predictions)

    return explain


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
