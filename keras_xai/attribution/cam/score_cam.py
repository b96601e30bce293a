"""Score-CAM: feature maps weighted by masked-input scores."""

from collections.abc import Sequence
from typing import final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.cam.heat import Heat, explained_by
from keras_xai.attribution.cam.maps import LayerMethod
from keras_xai.data.checks import Verbose, check_count
from keras_xai.network.batching import in_chunks
from keras_xai.network.entries import Entries


@final
class ScoreCAM(LayerMethod):
    r"""Score-CAM: feature maps weighted by the scores of the input masked by each map.

    $$w_k = \mathrm{softmax}_k \, f\bigl(b + H_k \odot (x - b)\bigr), \quad L(p) = \mathrm{ReLU}\Bigl(\sum_k w_k A_k(p)\Bigr)$$

    A_k is channel k of the layer, and H_k is A_k resized to the input and scaled to the range from 0 to 1. The baseline b shows where the
    mask is 0. The method uses no gradients, which may vanish or be noisy. Constant maps, such as those of inactive channels, have weight 0.
    Under `TimeDistributed`, a channel masks all time steps at once and has one weight.

    One forward pass per non-constant map, at most `max_maps`, and one more.

    Source: [Wang et al., 2020](https://arxiv.org/abs/1910.01279), algorithm 1, with b = 0. The score of b, which the source subtracts from
    all scores, does not change the softmax. `max_maps` is from [Faster Score-CAM](https://github.com/tabayashi0117/Score-CAM). The map is
    resized to the input by linear interpolation.

    Args:
        model: The model to explain, see `Method`.
        layer: The layer or its path, see `GradCAM`.
        places: See `GradCAM`.
        max_maps: Maximum number of channels to use: for each sample those with the largest spatial variation. All by default.
        batch_size: Masked samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If there is no such layer, its output has no positions of an input, or `max_maps` is not an integer of at least 1. When
            called, if an integer input is not tokens of one `Embedding`.

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
        layer: str | keras.Layer | None = None,
        max_maps: int | None = None,
        places: Sequence[int] | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, layer=layer, places=places, batch_size=batch_size, verbose=verbose)
        if max_maps is not None:
            check_count("max_maps", max_maps)
        self._max_maps = max_maps

    def _prepare(self, target):
        scores, maps = self._scores, self._maps(target)
        entries = Entries(scores, type(self).__name__, target)

        def heat(inputs, indices, baseline):
            values = scores.run(inputs)
            outputs = scores.outputs(values)
            whole, chosen = target.choose(outputs, indices)
            num_samples = ops.shape(whole)[0]
            rows = maps.channels_last(values[maps.identifier])
            features = ops.moveaxis(maps.by_sample(rows, num_samples), -1, 1)
            used = _varying(features, self._max_maps)
            samples, channels = (ops.cast(each, "int32") for each in ops.nonzero(used))
            singly = ops.reshape(features, (-1, *ops.shape(features)[2:]))
            points, empty = entries.points(inputs), entries.points(baseline)

            def score(rows):
                sample, channel = ops.take(samples, rows), ops.take(channels, rows)
                given = [ops.take(x, sample, axis=0) for x in inputs]
                masked = [ops.take(point, sample, axis=0) for point in points]
                one = ops.take(singly, sample * features.shape[1] + channel, axis=0)
                for place, position in enumerate(entries.sources):
                    if position not in maps.inputs:
                        continue
                    mask = _normalized(maps.over(position, given[position], one))
                    if len(mask.shape) < len(masked[place].shape):
                        mask = mask[..., None]  # for tokens: all entries of their vectors
                    start = ops.take(empty[place], sample, axis=0)
                    masked[place] = start + mask * (masked[place] - start)
                return entries.score(masked, given, [ops.take(index, sample, axis=0) for index in chosen], target)[0]

            count = ops.shape(samples)[0]
            found = in_chunks(score, count, self._batch_size, scores.dtype)
            found = ops.scatter(ops.stack([samples, channels], axis=1), found, ops.shape(used))
            weights = ops.softmax(ops.where(used, found, -1e30), axis=1) * ops.cast(used, found.dtype)
            weights = ops.reshape(weights, (*ops.shape(weights), *[1] * (len(features.shape) - 2)))
            weighted = ops.sum(weights * features, axis=1)
            heat = ops.reshape(weighted, ops.shape(rows)[:-1])
            return Heat(heat, whole, chosen, count + num_samples, target.predictions(outputs, chosen))

        return explained_by(scores, target, maps, heat, scores.signature)


def _varying(features, max_maps):
    """Mask `(n, channels)` of the `max_maps` channels of features `(n, channels, *places)` that vary most, and by more than rounding."""
    flat = ops.reshape(features, (*ops.shape(features)[:2], -1))
    rounding = 64 * float(np.finfo(keras.backend.standardize_dtype(flat.dtype)).eps)
    constant = ops.max(flat, axis=-1) - ops.min(flat, axis=-1) <= rounding * ops.max(ops.abs(flat), axis=-1)
    varying = ops.logical_not(constant)  # NaN as well, which is reported
    if max_maps is None or max_maps >= features.shape[1]:
        return varying
    _, most = ops.top_k(ops.var(flat, axis=-1), max_maps)
    return ops.logical_and(varying, ops.any(ops.one_hot(most, features.shape[1], dtype="bool"), axis=1))


def _normalized(masks):
    """Masks `(rows, ...)`, each scaled to the range from 0 to 1."""
    axes = tuple(range(1, len(masks.shape)))
    low, high = ops.min(masks, axis=axes, keepdims=True), ops.max(masks, axis=axes, keepdims=True)
    return (masks - low) / ops.where(high > low, high - low, 1)
