"""Score-CAM: feature maps weighted by masked-input scores."""

from typing import Any, final

import keras
from keras import ops

from keras_xai.attribution.maps import LayerMethod
from keras_xai.attribution.method import Part
from keras_xai.attribution.patches import in_chunks
from keras_xai.data.checks import check_count
from keras_xai.network.entries import Entries


@final
class ScoreCAM(LayerMethod):
    r"""Score-CAM: feature maps weighted by the scores of the input masked by each map.

    $$w_k = \mathrm{softmax}_k \, f\bigl(b + H_k \odot (x - b)\bigr), \quad L(p) = \mathrm{ReLU}\Bigl(\sum_k w_k A_k(p)\Bigr)$$

    A_k is channel k of the layer, and H_k the same in the size of the input, moved into the range from 0 to 1. The baseline b is
    what is seen where the mask is 0. The method takes no gradient, which may vanish or be noise. Maps that are the same everywhere,
    such as those of channels that are off, have the weight 0.

    As many forward passes as there are other maps, at most `max_maps`, and one more.

    Source: [Wang et al., 2020](https://arxiv.org/abs/1910.01279), algorithm 1, with b = 0. What it subtracts from all scores, that
    of b, makes no difference to a softmax. `max_maps` is from
    [Faster Score-CAM](https://github.com/tabayashi0117/Score-CAM). The map is brought to the size of the input by linear
    interpolation.

    Args:
        model: As for every method, see `Method`.
        layer: Path of the layer, see `GradCAM`.
        max_maps: Number of channels to use at most: for each sample those that vary most from place to place. All by default.
        batch_size: Masked samples in the model at a time; `None` to choose it by the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 for it at once, 2 for one line at the end, 0 for silence.

    Raises:
        ValueError: If there is no such layer, its output has no places of an input, or `max_maps` is not a whole number of at least
            1. When it is called, if an input of whole numbers is not tokens that go into one `Embedding`.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import ScoreCAM
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(10, "softmax"),
    ... ])
    >>> ScoreCAM(model)(np.ones((2, 8, 8, 3)), target=7).values.shape
    (2, 8, 8, 1)
    """

    takes_baseline = True

    def __init__(
        self,
        model: keras.Model,
        *,
        layer: str | None = None,
        max_maps: int | None = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
    ):
        super().__init__(model, layer=layer, batch_size=batch_size, verbose=verbose)
        if max_maps is not None:
            check_count("max_maps", max_maps)
        self._max_maps = max_maps

    def _prepare(self, target):
        scores, maps = self._scores, self._maps(target)
        entries = Entries(scores, type(self).__name__)

        def activation(inputs, indices, baseline):
            values = scores.run(inputs)
            _, chosen = target.choose(scores.outputs(values), indices)
            features = ops.moveaxis(maps.channels_last(values[maps.identifier]), -1, 1)
            used = _varying(features, self._max_maps)
            samples, channels = (ops.cast(each, "int32") for each in ops.nonzero(used))
            singly = ops.reshape(features, (-1, *ops.shape(features)[2:]))
            points, empty = entries.points(inputs), entries.points(baseline)

            def score(rows):
                sample, channel = ops.take(samples, rows), ops.take(channels, rows)
                given = [ops.take(x, sample, axis=0) for x in inputs]
                masked = [ops.take(point, sample, axis=0) for point in points]
                heat = ops.take(singly, sample * features.shape[1] + channel, axis=0)
                for position in maps.inputs:
                    mask = _normalized(maps.over(position, given[position], heat))
                    if len(mask.shape) < len(masked[position].shape):
                        mask = mask[..., None]  # of tokens, for all entries of their vectors
                    start = ops.take(empty[position], sample, axis=0)
                    masked[position] = start + mask * (masked[position] - start)
                return entries.score(masked, given, [ops.take(index, sample) for index in chosen], target)[0]

            count = ops.shape(samples)[0]
            found = in_chunks(score, count, self._batch_size, scores.dtype)
            found = ops.scatter(ops.stack([samples, channels], axis=1), found, ops.shape(used))
            weights = ops.softmax(ops.where(used, found, -1e30), axis=1) * ops.cast(used, found.dtype)
            weights = ops.reshape(weights, (*ops.shape(weights), *[1] * (len(features.shape) - 2)))
            heat = ops.relu(ops.sum(weights * features, axis=1))
            return maps.values(heat, inputs), chosen, count

        program = scores.program(target, activation, scores.signature)

        def explain(batch):
            values, indices, count = program(batch.inputs, batch.indices, batch.baseline)
            return Part(values, indices, convergence_delta=None, num_forward_passes=float(count) + len(batch.numbers))

        return explain


def _varying(features, max_maps):
    """Which channels of features `(n, channels, *places)` are used, `(n, channels)`: the `max_maps` that vary most."""
    flat = ops.reshape(features, (*ops.shape(features)[:2], -1))
    varying = ops.max(flat, axis=-1) != ops.min(flat, axis=-1)  # NaN is unequal to itself, and comes to light
    if max_maps is None or max_maps >= features.shape[1]:
        return varying
    _, most = ops.top_k(ops.var(flat, axis=-1), max_maps)
    return ops.logical_and(varying, ops.any(ops.one_hot(most, features.shape[1], dtype="bool"), axis=1))


def _normalized(masks):
    """Masks `(rows, ...)` moved into the range from 0 to 1, each by itself."""
    axes = tuple(range(1, len(masks.shape)))
    low, high = ops.min(masks, axis=axes, keepdims=True), ops.max(masks, axis=axes, keepdims=True)
    return (masks - low) / ops.where(high > low, high - low, 1)
