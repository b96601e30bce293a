"""HiResCAM: feature maps times the score's gradients, position by position."""

from typing import final

from keras_xai.attribution.cam.weighted import Weighted


@final
class HiResCAM(Weighted):
    r"""HiResCAM: feature maps times the score's gradients, position by position.

    $$L(p) = \mathrm{ReLU}\Bigl(\sum_k \frac{\partial f}{\partial A_k(p)} A_k(p)\Bigr)$$

    A_k(p) is channel k of the layer at position p. Before the ReLU, this is gradient times input at the layer: if only affine layers
    follow, the values before resizing add up to the score without their biases. After global average pooling it is the map of `GradCAM`.

    One forward pass, and one backward pass to the layer.

    Source: [Draelos and Carin, 2020](https://arxiv.org/abs/2011.08891), section 3. Negative values, which the source keeps, are clipped as
    in `GradCAM`. The map is resized to the input by linear interpolation.

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
    >>> from keras_xai.attribution import HiResCAM
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(10, "softmax"),
    ... ])
    >>> HiResCAM(model)(np.ones((2, 8, 8, 3)), target=7).values.shape
    (2, 8, 8, 1)
    """

    @staticmethod
    def _weights(features, gradients):
        return gradients
