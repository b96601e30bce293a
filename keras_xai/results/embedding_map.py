"""`EmbeddingMap`: samples as points in the plane."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from keras_xai.results.base import Rows
from keras_xai.results.pictures import drawn
from keras_xai.results.text import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class EmbeddingMap(Rows):
    """A map of samples, see `tsne_map`.

    Attributes:
        points: `(n, 2)`, one for each sample. Only who is whose neighbor has a meaning: axes have no unit, and distances between
            groups say little.
        layer: The layer's path.
        perplexity: About how many neighbors of each sample were to be kept.
        explained: The part of the variance of the activations that was left after the principal component analysis; 1 without one.
        divergence: The Kullback-Leibler divergence between the neighborhoods in the layer and on the map, which t-SNE makes small.
    """

    points: np.ndarray
    layer: str
    perplexity: float
    explained: float
    divergence: float

    _row_axes: ClassVar[Mapping[str, int]] = {"points": 0}

    def plot(self, **options: Any) -> "Figure":
        """Draws the map, see `keras_xai.report.embedding_plot`.

        Args:
            **options: Of `embedding_plot`: `images` for thumbnails, `labels` for colors.

        Returns:
            A matplotlib figure.
        """
        return drawn("embedding_plot", self, **options)

    def _summary(self) -> str:
        return f"of '{self.layer}': {counted(len(self), 'sample')}"

    def _facts(self) -> dict[str, Any]:
        return {"perplexity": self.perplexity, "variance kept": self.explained, "Kullback-Leibler divergence": self.divergence}

    def _picture(self) -> "Figure":
        return self.plot()
