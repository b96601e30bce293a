"""`LayerDiagnosis`: class separation in one layer."""

import dataclasses
from typing import Any, final

import numpy as np

from keras_xai.results.base import Result
from keras_xai.statistics.intervals import Interval, clipped, interval, share


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LayerDiagnosis(Result):
    """The diagnosis of one layer.

    Attributes:
        path: The layer's path.
        depth: Relative depth: the share of the network's layers with weights up to this layer, from 0 to 1.
        shape: Shape of its output for one sample.
        vectors: Description of the conversion to vectors.
        length: Length of the vectors.
        explained: Fraction of the vectors' variance in the principal components; 1 if all of it was kept, NaN if there is none.
        points: `(repeats, n, 2)`, the maps by t-SNE.
        map_influence: `(repeats, n)`: the contribution of each sample to the neighborhood hit on each map, which is their mean.
        activation_influence: `(n,)`: the same among the vectors themselves.
        trustworthiness: `(repeats,)`: trustworthiness of the maps, from 0 to 1: whether neighbors on the map are neighbors among the
            vectors.
        divergence: `(repeats,)`: the Kullback-Leibler divergence reached by t-SNE.
        probe: Boolean array: whether a cross-validated linear classifier on the components is right about each sample that is not alone in
            its class; empty if there is only one such class.
    """

    path: str
    depth: float
    shape: tuple
    vectors: str
    length: int
    explained: float
    points: np.ndarray
    map_influence: np.ndarray
    activation_influence: np.ndarray
    trustworthiness: np.ndarray
    divergence: np.ndarray
    probe: np.ndarray

    @property
    def neighborhood_hit(self) -> Interval:
        """The mean neighborhood hit on the maps, with its 95 % confidence interval."""
        return clipped(interval(self.map_influence))

    @property
    def activation_hit(self) -> Interval:
        """The mean neighborhood hit among the vectors themselves, without t-SNE, with its 95 % confidence interval."""
        return clipped(interval(self.activation_influence))

    @property
    def probe_accuracy(self) -> Interval:
        """The accuracy of the linear classifier, with its 95 % confidence interval."""
        return share(self.probe)

    def _summary(self) -> str:
        return f"of '{self.path}': neighborhood hit {self.neighborhood_hit.mean:.3f}"

    def _facts(self) -> dict[str, Any]:
        return {
            "depth": self.depth,
            "vectors": f"{self.vectors} of {self.length:,} entries",
            "neighborhood hit": within(self.neighborhood_hit),
            "among the activations": within(self.activation_hit),
            "linear probe": within(self.probe_accuracy) if len(self.probe) else None,
            "trustworthiness": self.trustworthiness,
        }


def within(found: Interval) -> str:
    """A mean with its interval, as text."""
    return f"{found.mean:.3f} (95 % interval {found.low:.3f} to {found.high:.3f})"
