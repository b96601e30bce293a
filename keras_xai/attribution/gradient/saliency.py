"""Saliency (plain gradients) and gradient times input."""

from typing import final

import numpy as np

from keras_xai.attribution.located import Located
from keras_xai.attribution.parts import Part
from keras_xai.network.entries import total
from keras_xai.network.layer_entries import LayerEntries


@final
class Saliency(Located):
    """Saliency: the gradient of the score with respect to the input.

    One forward and one backward pass. The sign is kept; the source draws the absolute value, or its maximum over a pixel's channels. For an
    `Embedding`, values are the norms of the gradient with respect to the token's vector; with a `layer`, they are gradients with respect to
    each entry of its output.

    Source: [Simonyan et al., 2013](https://arxiv.org/abs/1312.6034), section 3.

    Args:
        model: The model to explain, see `Method`.
        layer: A layer or its path, such as `"backbone/conv5"`. Values then belong to the layer's output, which includes a fused activation.
        unit: A unit of the layer to explain instead of the scores, by the inputs: a channel, whose value is the mean of its map; a tuple
            `(*position, channel)` of integers and slices, whose value is the mean of what they select; or a function that maps the
            layer's output `(n, ...)` to a tensor `(n,)`.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If there is no such layer or unit, the layer has several outputs, or its output does not depend on the samples. When
            called: if the score does not depend on the layer.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import Saliency
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones", name="dense")])
    >>> explanation = Saliency(model)(np.ones((4, 3)), target=1)
    >>> explanation.values[0].tolist(), explanation.target.tolist()
    ([1.0, 1.0, 1.0], [1, 1, 1, 1])
    >>> Saliency(model, layer=model.layers[-1], unit=0)(np.ones((4, 3))).target
    Unit(layer='dense', index=0, channel_axis=1)
    """

    gives_derivatives = True

    def _prepare(self, target):
        entries = self._entries(target)

        def gradient(inputs, indices):
            derivative = entries.derivative(entries.points(inputs), inputs, indices, target)
            return entries.magnitudes(derivative.gradients), derivative.indices, derivative.predictions

        program = self._scores.program(target, gradient)

        def explain(batch):
            values, indices, predictions = program(batch.inputs, batch.indices)
            return Part(values, indices, None, num_forward_passes=2 * len(batch.numbers), predictions=predictions)

        return explain


@final
class GradientTimesInput(Located):
    """Gradient times input: the gradient of the score multiplied by the input, entry by entry.

    In a network of affine layers without biases, ReLUs and max poolings the values add up to the score. `convergence_delta` is the
    difference otherwise, due to biases and to activations that are not linear through zero. With a `layer`, the output of the layer is the
    input, and there is no `convergence_delta` if the score also depends on the inputs around the layer.

    One forward and one backward pass.

    Source: [Shrikumar et al., 2016](https://arxiv.org/abs/1605.01713).

    Args:
        model: The model to explain, see `Method`.
        layer: A layer or its path, such as `"backbone/conv5"`. Values then belong to the layer's output, which includes a fused activation.
        unit: A unit of the layer to explain instead of the scores, by the inputs: a channel, whose value is the mean of its map; a tuple
            `(*position, channel)` of integers and slices, whose value is the mean of what they select; or a function that maps the
            layer's output `(n, ...)` to a tensor `(n,)`.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If there is no such layer or unit, the layer has several outputs, or its output does not depend on the samples. When
            called: if the score does not depend on the layer.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False, kernel_initializer="ones")])
    >>> explanation = GradientTimesInput(model)(np.array([[1.0, 2.0, 3.0]]), target=1)
    >>> explanation.values.tolist(), explanation.convergence_delta.tolist()
    ([[1.0, 2.0, 3.0]], [0.0])
    """

    def _prepare(self, target):
        entries = self._entries(target)
        complete = not isinstance(entries, LayerEntries) or entries.carries(target)

        def products(inputs, indices):
            points = entries.points(inputs)
            derivative = entries.derivative(points, inputs, indices, target)
            values = entries.folded([x * gradient for x, gradient in zip(points, derivative.gradients, strict=True)])
            return values, derivative.indices, derivative.score - total(values), derivative.predictions

        program = self._scores.program(target, products)

        def explain(batch):
            values, indices, delta, predictions = program(batch.inputs, batch.indices)
            count = len(batch.numbers)
            delta, base = (delta, np.zeros(count)) if complete else (None, None)
            return Part(values, indices, delta, num_forward_passes=2 * count, base_score=base, predictions=predictions)

        return explain
