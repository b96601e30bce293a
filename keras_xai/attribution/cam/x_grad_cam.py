"""XGrad-CAM: feature maps weighted by the activation-weighted mean of the score's gradients."""

from typing import final

from keras import ops

from keras_xai.attribution.cam.weighted import Weighted, places


@final
class XGradCAM(Weighted):
    r"""XGrad-CAM: feature maps weighted by the activation-weighted mean of the score's gradients.

    $$w_k = \sum_p \frac{A_k(p)}{\sum_q A_k(q)} \frac{\partial f}{\partial A_k(p)}, \quad
    L(p) = \mathrm{ReLU}\Bigl(\sum_k w_k A_k(p)\Bigr)$$

    A_k(p) is channel k of the layer at position p. If only affine layers follow, the values before the ReLU add up to the score without
    their biases. Maps whose sum is zero, such as those of inactive channels, have weight 0.

    One forward pass, and one backward pass to the layer.

    Source: [Fu et al., 2020](https://arxiv.org/abs/2008.02312), section 3. The map is resized to the input by linear interpolation.

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
    >>> from keras_xai.attribution import XGradCAM
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(10, "softmax"),
    ... ])
    >>> XGradCAM(model)(np.ones((2, 8, 8, 3)), target=7).values.shape
    (2, 8, 8, 1)
    """

    @staticmethod
    def _weights(features, gradients):
        total = ops.sum(features, axis=places(features), keepdims=True)
        weighted = ops.sum(features * gradients, axis=places(features), keepdims=True)
        return ops.where(total == 0, 0, weighted / ops.where(total == 0, 1, total))
