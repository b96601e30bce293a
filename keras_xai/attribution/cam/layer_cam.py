"""LayerCAM: feature maps weighted by the score's positive gradients, position by position."""

from typing import final

from keras import ops

from keras_xai.attribution.cam.weighted import Weighted


@final
class LayerCAM(Weighted):
    r"""LayerCAM: feature maps weighted by the score's positive gradients, position by position.

    $$L(p) = \mathrm{ReLU}\Bigl(\sum_k \mathrm{ReLU}\Bigl(\frac{\partial f}{\partial A_k(p)}\Bigr) A_k(p)\Bigr)$$

    A_k(p) is channel k of the layer at position p. Unlike in `GradCAM`, each position has its own weight, so that maps of early layers,
    which are finer, show the object too.

    One forward pass, and one backward pass to the layer.

    Source: [Jiang et al., 2021](https://doi.org/10.1109/TIP.2021.3089943), section III. Maps of several layers, which the source scales and
    merges by their maximum, are left to the caller. The map is resized to the input by linear interpolation.

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
    >>> from keras_xai.attribution import LayerCAM
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(10, "softmax"),
    ... ])
    >>> LayerCAM(model)(np.ones((2, 8, 8, 3)), target=7).values.shape
    (2, 8, 8, 1)
    """

    @staticmethod
    def _weights(features, gradients):
        return ops.relu(gradients)
