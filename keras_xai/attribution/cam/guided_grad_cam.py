"""Guided Grad-CAM: Grad-CAM times guided backpropagation."""

from collections.abc import Sequence
from typing import final

import keras

from keras_xai.attribution.cam.maps import LayerMethod
from keras_xai.attribution.cam.weighted import mean_gradients, weighted
from keras_xai.attribution.gradient.rectified import RectifiedGradient
from keras_xai.attribution.parts import Part
from keras_xai.data.checks import Verbose
from keras_xai.rules.rectifiers import Guided


@final
class GuidedGradCAM(LayerMethod):
    r"""Guided Grad-CAM: Grad-CAM times guided backpropagation.

    The map of `GradCAM` tells where a class is, and the values of `GuidedBackprop` which details there excite the network. Their product,
    entry by entry, has the details of the class only. Values have the shape of the input, unlike those of other CAM methods.

    Two forward passes, a backward pass to the layer, and one to the input.

    Source: [Selvaraju et al., 2017](https://arxiv.org/abs/1610.02391), section 3.2.

    Args:
        model: The model to explain, see `Method`.
        layer: Path of the layer, see `GradCAM`.
        places: See `GradCAM`.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If there is no such layer, or its output has no positions of an input, or if the model has no rectifier.
        UnsupportedLayerError: If the model has an activation other than a rectifier, or a layer that is not piecewise linear.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GuidedGradCAM
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 3)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(10, "softmax"),
    ... ])
    >>> GuidedGradCAM(model)(np.ones((2, 8, 8, 3)), target=7).values.shape
    (2, 8, 8, 3)
    """

    gives_derivatives = True

    nonnegative = False

    def __init__(
        self,
        model: keras.Model,
        *,
        layer: str | keras.Layer | None = None,
        places: Sequence[int] | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, layer=layer, places=places, batch_size=batch_size, verbose=verbose)
        self._details = RectifiedGradient(self._scores, self.label, Guided())

    def _prepare(self, target):
        maps = self._maps(target)
        heat = weighted(self._scores, target, maps, mean_gradients)

        def product(inputs, indices):
            found = heat(inputs, indices)
            details, _ = self._details.values(inputs, found.indices, target)
            both = zip(found.values(maps, inputs), details, strict=True)
            return [None if where is None or what is None else where * what for where, what in both], found.indices

        program = self._scores.program(target, product)

        def explain(batch):
            values, indices = program(batch.inputs, batch.indices)
            return Part(values, indices, convergence_delta=None, num_forward_passes=4 * len(batch.numbers))

        return explain
