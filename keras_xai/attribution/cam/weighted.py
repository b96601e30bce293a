"""CAM methods that weight feature maps by functions of the maps and the score's gradient."""

import abc
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_xai.attribution.cam.heat import Heat, Maps, explained_by
from keras_xai.attribution.cam.maps import LayerMethod
from keras_xai.graph.target import Target
from keras_xai.network.scores import Scores


class Weighted(LayerMethod):
    """Base class: explanations by the sum of a layer's feature maps, each weighted by what a subclass computes from gradients.

    Arguments as in `LayerMethod`.
    """

    def _prepare(self, target):
        maps = self._maps(target)
        return explained_by(self._scores, target, maps, weighted(self._scores, target, maps, self._weights))

    @staticmethod
    @abc.abstractmethod
    def _weights(features: Any, gradients: Any) -> Any:
        """The weights of feature maps.

        Args:
            features: Tensor `(rows, *places, channels)`, see `Maps.channels_last`.
            gradients: The score's derivative with respect to it.

        Returns:
            A tensor that broadcasts to their shape.
        """


def weighted(scores: Scores, target: Target, maps: Maps, weights: Callable[[Any, Any], Any]) -> Callable[..., Heat]:
    """The weighted sum of feature maps as a function of inputs and classes, by one forward and one backward pass.

    Args:
        scores: The scores of the model.
        target: The target to explain.
        maps: The feature maps.
        weights: As `Weighted._weights`.
    """

    def heat(inputs, indices):
        values = scores.run(inputs, until=[maps.identifier])
        tensor = values[maps.identifier]
        found = scores.derivative({maps.identifier: tensor}, inputs, indices, target, known=values)
        features, gradients = (maps.channels_last(each) for each in (tensor, *found.gradients))
        rows = ops.sum(weights(features, gradients) * features, axis=-1)
        return Heat(rows, found.score, found.indices, 2 * ops.shape(found.score)[0], found.predictions)

    return heat


def mean_gradients(features: Any, gradients: Any) -> Any:
    """The weights of Grad-CAM; arguments as in `Weighted._weights`."""
    return ops.mean(gradients, axis=places(gradients), keepdims=True)


def places(tensor: Any) -> tuple[int, ...]:
    """The spatial axes of a tensor `(rows, *places, channels)`."""
    return tuple(range(1, len(tensor.shape) - 1))
