"""Cosine similarity of nearest-neighbor explanations."""

from typing import final

import numpy as np
from keras import tree

from keras_xai.metrics.metric import Metric
from keras_xai.metrics.places import Places
from keras_xai.metrics.similarity import cosine


@final
class NeighborSimilarity(Metric):
    """Cosine similarity between the explanations of each sample and its nearest neighbor.

    Neighbors are nearest by the Euclidean distance of the inputs. The metric is meaningless if neighbors are far apart, so provide many
    samples. Each sample keeps its explained class: if predicted classes are explained and neighbors differ in them, their explanations may
    differ as well. Two explanations that are all zero count as 1, one of them as 0.

    No forward pass; scikit-learn searches the neighbors.

    Source: [Chu et al., 2018](https://arxiv.org/abs/1802.06259), section 4.3, cosine similarity (CS).

    Raises:
        ValueError: When called, if there is only one sample, or if an input takes integers, such as tokens, which have no distance.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import Saliency
    >>> from keras_xai.metrics import NeighborSimilarity
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> NeighborSimilarity()(Saliency(model)(np.random.default_rng(0).normal(size=(3, 4)))).round(6).tolist()
    [1.0, 1.0, 1.0]
    """

    higher_is_better = True

    def _rate(self, explanation):
        inputs = [np.asarray(x) for x in tree.flatten(explanation.inputs)]
        if any(x.dtype.kind != "f" for x in inputs) or len(explanation) < 2:
            raise ValueError(
                f"Expected at least two samples of real numbers, so that each has a nearest neighbor. Received: {len(explanation)} samples"
                f" of dtype {[x.dtype.name for x in inputs]}."
            )
        from sklearn.neighbors import NearestNeighbors

        places = Places(explanation)
        points = np.concatenate([x.reshape(len(x), -1) for x in places.inputs], axis=1)
        (nearest,) = NearestNeighbors(n_neighbors=1).fit(points).kneighbors(return_distance=False).T
        values = places.values
        return cosine(values, values[nearest])
