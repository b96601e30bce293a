"""Ablation-CAM: feature maps weighted by the decrease of the score without them."""

from typing import final

from keras import ops

from keras_xai.attribution.cam.heat import Heat, explained_by
from keras_xai.attribution.cam.maps import LayerMethod
from keras_xai.attribution.cam.weighted import places
from keras_xai.graph.steps import copy_mask
from keras_xai.network.batching import in_chunks


@final
class AblationCAM(LayerMethod):
    r"""Ablation-CAM: feature maps weighted by what the score loses without them.

    $$w_k = f - f_k, \quad L(p) = \mathrm{ReLU}\Bigl(\sum_k w_k A_k(p)\Bigr)$$

    A_k is channel k of the layer, and f_k the score if A_k is replaced by zeros. The method uses no gradients. Maps that are zero
    everywhere, such as those of inactive channels, take no pass. In a vision transformer, the channel of the patches is replaced, and that
    of class and register tokens kept; under `TimeDistributed`, the channel of one time step is.

    One forward pass per nonzero map, which begins at the layer, and one more.

    Source: [Ramaswamy and Desai, 2020](https://doi.org/10.1109/WACV45572.2020.9093360),
    section 3. The weights are not divided by f as there, which changes no picture where f is positive, and inverts the map where f is
    negative. The map is resized to the input by linear interpolation.

    Args:
        model: The model to explain, see `Method`.
        layer: Path of the layer, see `GradCAM`.
        places: See `GradCAM`.
        batch_size: Forward passes at a time; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If there is no such layer, or its output has no positions of an input.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import AblationCAM
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(10, "softmax"),
    ... ])
    >>> AblationCAM(model)(np.ones((2, 8, 8, 3)), target=7).values.shape
    (2, 8, 8, 1)
    """

    def _prepare(self, target):
        scores, maps = self._scores, self._maps(target)

        def heat(inputs, indices):
            values = scores.run(inputs)
            outputs = scores.outputs(values)
            whole, chosen = target.choose(outputs, indices)
            num_samples, tensor = ops.shape(whole)[0], values[maps.identifier]
            features = maps.channels_last(tensor)
            nonzero = ops.any(features != 0, axis=places(features))
            rows, channels = (ops.cast(each, "int32") for each in ops.nonzero(nonzero))
            num_channels, per_sample = features.shape[-1], ops.shape(features)[0] // num_samples

            def loss(numbers):
                row, channel = ops.take(rows, numbers), ops.take(channels, numbers)
                sample, frame = row // per_sample, row % per_sample
                given = maps.of_samples(tensor, sample, num_samples)
                here = ops.equal(frame[:, None], ops.arange(per_sample, dtype="int32"))[:, :, None]
                here = ops.logical_and(here, ops.equal(channel[:, None], ops.arange(num_channels, dtype="int32"))[:, None])
                here = ops.reshape(here, (-1, *[1] * (len(features.shape) - 2), num_channels))
                ablated = maps.replaced(given, ops.where(here, 0, maps.channels_last(given)))
                copy_mask(tensor, ablated, sample)
                values = scores.run([ops.take(x, sample, axis=0) for x in inputs], known={maps.identifier: ablated})
                score, _ = target.choose(scores.outputs(values), [ops.take(index, sample, axis=0) for index in chosen])
                return ops.take(whole, sample) - score

            count = ops.shape(rows)[0]
            losses = in_chunks(loss, count, self._batch_size, scores.dtype)
            weights = ops.scatter(ops.stack([rows, channels], axis=1), losses, ops.shape(nonzero))
            weights = ops.reshape(weights, (-1, *[1] * (len(features.shape) - 2), num_channels))
            rows = ops.sum(weights * features, axis=-1)
            return Heat(rows, whole, chosen, count + num_samples, target.predictions(outputs, chosen))

        return explained_by(scores, target, maps, heat)
