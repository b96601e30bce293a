"""Class activation maps (CAM) of models that end in global average pooling."""

from typing import final

from keras import ops

from keras_xai.attribution.cam.heat import Heat, explained_by
from keras_xai.attribution.cam.maps import maps_before
from keras_xai.attribution.method import Method
from keras_xai.kinds.expansion import kind_of


@final
class CAM(Method):
    r"""CAM: the feature maps before the final global average pooling, weighted by the classifier's weights.

    $$L(p) = \mathrm{ReLU}\Bigl(\sum_k w_k A_k(p)\Bigr)$$

    A_k(p) is channel k of the input of the pooling at position p, and w_k its weight in the score: the weight of the `Dense` layer, the
    combined weight of several affine layers, or one for the class's own channel if no layer follows. Values are not scaled: before the
    ReLU, the mean of the map is the score without its bias.

    One forward pass.

    Source: [Zhou et al., 2016](https://arxiv.org/abs/1512.04150), section 2. Negative values, which the source keeps, are clipped as in
    `GradCAM`, which gives the same map divided by its number of positions. The map is resized to the input by linear interpolation.

    Args:
        model: The model to explain, see `Method`. It must end in global average pooling of feature maps, followed by affine layers only,
            such as one `Dense`.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import CAM
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 3)),
    ...     keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
    ...     keras.layers.GlobalAveragePooling2D(),
    ...     keras.layers.Dense(10, "softmax"),
    ... ])
    >>> CAM(model)(np.ones((2, 8, 8, 3)), target=7).values.shape
    (2, 8, 8, 1)
    """

    nonnegative = True

    def _prepare(self, target):
        scores, graph = self._scores, self._scores.graph
        pooling = self._pooling(scores.explained_outputs(target))
        maps = maps_before(scores, pooling)
        if maps is None:
            raise ValueError(
                f"Expected a model that averages the feature maps of an input. Received: '{pooling.path}', which averages a tensor of "
                f"shape {pooling.input_specs[0].shape}, in a model of inputs {[spec.shape for spec in graph.input_specs]}."
            )

        def heat(inputs, indices):
            values = scores.run(inputs, until=pooling.outputs)
            averages = {identifier: values[identifier] for identifier in pooling.outputs}
            # The layers after the pooling are affine, so their derivative is their weight matrix.
            found = scores.derivative(averages, inputs, indices, target, known=values)
            (weights,) = found.gradients
            features = maps.channels_last(values[maps.identifier])
            weights = ops.reshape(weights, (-1, *[1] * (len(features.shape) - 2), features.shape[-1]))
            rows = ops.sum(weights * features, axis=-1)
            return Heat(rows, found.score, found.indices, ops.shape(found.score)[0], found.predictions)

        return explained_by(scores, target, maps, heat)

    def _pooling(self, outputs):
        """The global average pooling after which the outputs are affine."""
        producers = {identifier: step for step in self._scores.graph.steps for identifier in step.outputs}
        found = {}
        for identifier in outputs:
            last = []
            while identifier in producers:
                step = producers[identifier]
                last.append(f"'{step.path}' ({type(step.operation).__name__})")
                kind = kind_of(step)
                if kind.pools == "global" and kind.averages(step):
                    found[step.path] = step
                    break
                if step.num_varying != 1 or kind.role not in ("affine", "shape"):
                    self._refuse(last)
                identifier = step.inputs[0]
            else:
                self._refuse(last)
        if len(found) != 1:
            raise ValueError(
                f"CAM needs one global average pooling shared by all explained outputs. Received: {list(found)}. Explain the "
                "outputs one by one, or use `GradCAM` with a `layer`."
            )
        return next(iter(found.values()))

    def _refuse(self, last):
        raise ValueError(
            "CAM needs a model that ends in global average pooling, followed by affine layers only, such as one `Dense`. Received: "
            f"'{self._scores.name}', whose scores come from {' after '.join(last[:3])}. Use `GradCAM`, which supports any layer with "
            "feature maps, or `Occlusion`, which supports any model."
        )
