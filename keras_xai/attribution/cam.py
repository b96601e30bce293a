"""Class activation maps (CAM) of models that end in global average pooling."""

from typing import final

from keras import ops

from keras_xai.attribution.maps import explained_outputs, maps_before
from keras_xai.attribution.method import Method, Part
from keras_xai.kinds.expansion import kind_of


@final
class CAM(Method):
    r"""CAM: the feature maps before the final global average pooling, weighted by the classifier's weights.

    $$L(p) = \mathrm{ReLU}\Bigl(\sum_k w_k A_k(p)\Bigr)$$

    A_k(p) is channel k of what goes into the pooling, at place p, and w_k its weight in the score: that of the `Dense` layer, or of
    several affine layers at once, or one for the class's own channel where no layer follows. Values are not scaled: before the
    ReLU, the average of a map is the score without its bias.

    One forward pass.

    Source: [Zhou et al., 2016](https://arxiv.org/abs/1512.04150), section 2. Negative values, which the source keeps, are cut off
    as in `GradCAM`, which gives the same map divided by its number of places. The map is brought to the size of the input by linear
    interpolation.

    Args:
        model: As for every method, see `Method`. It must end in global average pooling of maps and, after it, at most affine layers
            such as one `Dense`.
        batch_size: Samples in the model at a time; `None` to choose it by the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 for it at once, 2 for one line at the end, 0 for silence.

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

    def _prepare(self, target):
        scores, graph = self._scores, self._scores.graph
        pooling = self._pooling(explained_outputs(graph, target))
        maps = maps_before(graph, pooling)
        if maps is None:
            raise ValueError(
                f"Expected maps of an input to be averaged. Received: '{pooling.path}', which averages a tensor of shape "
                f"{pooling.input_specs[0].shape}, in a model of inputs {[spec.shape for spec in graph.input_specs]}."
            )

        def activation(inputs, indices):
            values = scores.run(inputs, until=pooling.outputs)
            averages = {identifier: values[identifier] for identifier in pooling.outputs}
            # What follows the pooling is affine, so that its derivative is its weights.
            found = scores.derivative(averages, inputs, indices, target, known=values)
            (weights,) = found.gradients
            features = maps.channels_last(values[maps.identifier])
            weights = ops.reshape(weights, (-1, *[1] * (len(features.shape) - 2), features.shape[-1]))
            return maps.values(ops.relu(ops.sum(weights * features, axis=-1)), inputs), found.indices

        program = scores.program(target, activation)

        def explain(batch):
            values, indices = program(batch.inputs, batch.indices)
            return Part(values, indices, convergence_delta=None, num_forward_passes=len(batch.numbers))

        return explain

    def _pooling(self, outputs):
        """The global average pooling from which outputs are affine."""
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
                if len(step.inputs) != 1 or kind.role not in ("affine", "shape"):
                    self._refuse(last)
                identifier = step.inputs[0]
            else:
                self._refuse(last)
        if len(found) != 1:
            raise ValueError(
                f"CAM needs one global average pooling for all outputs that are explained. Received: {list(found)}. Explain the "
                "outputs one by one, or use `GradCAM` with the layer to look at."
            )
        return next(iter(found.values()))

    def _refuse(self, last):
        raise ValueError(
            "CAM needs a model that ends in global average pooling and, after it, at most affine layers such as one `Dense`. "
            f"Received: '{self._scores.name}', whose scores come from {' after '.join(last[:3])}. Use `GradCAM`, which takes any "
            "layer that has maps."
        )
