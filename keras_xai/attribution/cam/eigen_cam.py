"""Eigen-CAM: the first principal component of a layer's feature maps."""

from typing import final

from keras import ops

from keras_xai.attribution.cam.heat import Heat, explained_by
from keras_xai.attribution.cam.maps import LayerMethod


@final
class EigenCAM(LayerMethod):
    r"""Eigen-CAM: the first principal component of a layer's feature maps.

    $$A = U \Sigma V^T, \quad L = \mathrm{ReLU}(A v_1)$$

    A is the matrix `(positions, channels)` of the layer's output, and v_1 the first column of V, the first right singular vector of A. The
    sign of v_1, which the decomposition leaves open, is the one for which the value of largest magnitude of A v_1 is positive. After a
    ReLU all values are then nonnegative. The map does not depend on the explained class.

    One forward pass, and a singular value decomposition for each sample.

    Source: [Muhammad and Yeasin, 2020](https://arxiv.org/abs/2008.00299), section III. As there, A is not centered; pytorch-grad-cam
    centers it, and leaves the sign as it comes out of the decomposition. Negative values, which can arise in layers without ReLU, are
    clipped. The map is resized to the input by linear interpolation.

    Args:
        model: The model to explain, see `Method`.
        layer: Path of the layer, see `GradCAM`.
        places: See `GradCAM`.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If there is no such layer, or its output has no positions of an input.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import EigenCAM
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(10, "softmax"),
    ... ])
    >>> EigenCAM(model)(np.ones((2, 8, 8, 3)), target=7).values.shape
    (2, 8, 8, 1)
    """

    depends_on_target = False

    def _prepare(self, target):
        scores, maps = self._scores, self._maps(target)

        def heat(inputs, indices):
            values = scores.run(inputs)
            outputs = scores.outputs(values)
            score, chosen = target.choose(outputs, indices)
            rows = _projected(maps.channels_last(values[maps.identifier]))
            return Heat(rows, score, chosen, ops.shape(score)[0], target.predictions(outputs, chosen))

        return explained_by(scores, target, maps, heat)


def _projected(features):
    """Features `(rows, *places, channels)`, projected on their first right singular vector: a tensor `(rows, *places)`."""
    shape = ops.shape(features)
    matrix = ops.reshape(features, (shape[0], -1, shape[-1]))
    # The decomposition of NaN raises another error on each device; the product with the features is still NaN.
    _, _, directions = ops.svd(ops.where(ops.isfinite(matrix), matrix, 0), full_matrices=False)
    projected = ops.einsum("npc,nc->np", matrix, directions[:, 0])
    largest = ops.take_along_axis(projected, ops.argmax(ops.abs(projected), axis=1)[:, None], axis=1)
    return ops.reshape(ops.where(largest < 0, -projected, projected), shape[:-1])
