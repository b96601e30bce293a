"""Grad-CAM and Grad-CAM++: feature maps weighted by gradients."""

from typing import final

from keras import ops

from keras_xai.attribution.cam.weighted import Weighted, mean_gradients, places


@final
class GradCAM(Weighted):
    r"""Grad-CAM: feature maps weighted by the spatial mean of the score's gradient.

    $$w_k = \frac{1}{Z} \sum_p \frac{\partial f}{\partial A_k(p)}, \quad L(p) = \mathrm{ReLU}\Bigl(\sum_k w_k A_k(p)\Bigr)$$

    A_k(p) is channel k of the layer at position p, and Z the number of positions. Values are not scaled, so that those of two samples can
    be compared; a plot scales each map. In a model of several inputs, the map is given to the inputs that the layer depends on and whose
    positions it shares; the values of other inputs are zero.

    For each time step under `TimeDistributed`, such as each frame of a film, there are a mean and a map of its own.

    One forward pass, and one backward pass to the layer.

    Source: [Selvaraju et al., 2017](https://arxiv.org/abs/1610.02391), section 3. The map is resized to the input by linear interpolation.

    Args:
        model: The model to explain, see `Method`.
        layer: The layer or its path, such as `"backbone/conv5"`; its output includes a fused activation. By default the last layer
            before pooling with positions of an input, including the batch normalization and the activation that follow it.
        places: Size of the grid of patches among the tokens of `layer`, such as `(14, 14)`, for a vision transformer in which it cannot be
            found: the last tokens are the patches, row by row, behind class and register tokens.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If there is no such layer, or its output has no positions of an input.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradCAM
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(10, "softmax"),
    ... ])
    >>> GradCAM(model, layer="conv")(np.ones((2, 8, 8, 3)), target=7).values.shape
    (2, 8, 8, 1)
    """

    @staticmethod
    def _weights(features, gradients):
        return mean_gradients(features, gradients)


@final
class GradCAMPlusPlus(Weighted):
    r"""Grad-CAM++: feature maps weighted by a weighted mean of the score's positive gradients.

    $$\alpha_k(p) = \frac{g_k(p)^2}{2 g_k(p)^2 + g_k(p)^3 \sum_q A_k(q)}, \quad
    w_k = \frac{\sum_p \alpha_k(p) \, \mathrm{ReLU}(g_k(p))}{\sum_{p:\, g_k(p) > 0} \alpha_k(p)}, \quad
    L(p) = \mathrm{ReLU}\Bigl(\sum_k w_k A_k(p)\Bigr)$$

    g is the derivative of the score f with respect to the layer's output A. Powers of g stand for the higher derivatives of exp(f), as in
    the source for ReLU networks. The weighting finds objects that occur several times, whose positions would lose against the others in a
    plain mean.

    One forward pass, and one backward pass to the layer.

    Source: [Chattopadhay et al., 2018](https://arxiv.org/abs/1710.11063), section 3. The coefficients of a channel are divided by their sum
    over the positions with a positive derivative, as in [the authors' program](https://github.com/adityac94/Grad_CAM_plus_plus) but not in
    the paper. The factor exp(f), common to all values of a sample, is left out: it overflows for large scores and does not change the
    picture. The map is resized to the input by linear interpolation.

    Args:
        model: The model to explain, see `Method`.
        layer: The layer or its path, see `GradCAM`.
        places: See `GradCAM`.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If there is no such layer, or its output has no positions of an input.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradCAMPlusPlus
    >>> model = keras.Sequential([
    ...     keras.Input((50, 1)),
    ...     keras.layers.Conv1D(4, 5, activation="relu"),
    ...     keras.layers.GlobalMaxPooling1D(),
    ...     keras.layers.Dense(3, "softmax"),
    ... ])
    >>> GradCAMPlusPlus(model)(np.ones((2, 50, 1)), target=2).values.shape
    (2, 50, 1)
    """

    @staticmethod
    def _weights(features, gradients):
        axes = places(gradients)
        # g squared is canceled from the fraction; otherwise small derivatives would not vanish.
        below = 2 + gradients * ops.sum(features, axis=axes, keepdims=True)
        positive = ops.logical_and(gradients > 0, below != 0)
        coefficients = ops.where(positive, 1 / ops.where(positive, below, 1), 0)
        total = ops.sum(coefficients, axis=axes, keepdims=True)
        weighted = ops.sum(coefficients * gradients, axis=axes, keepdims=True)
        return weighted / ops.where(total == 0, 1, total)
