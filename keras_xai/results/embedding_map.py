"""`EmbeddingMap`: samples as points in the plane."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
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
        points: `(n, 2)`, one per sample. Only neighborhoods are meaningful: axes have no unit, and distances between groups say little.
        layer: The layer's path.
        perplexity: Effective number of neighbors of each sample.
        explained: Fraction of the activations' variance retained by the principal component analysis; 1 without one.
        divergence: The Kullback-Leibler divergence between the neighborhoods in the layer and on the map, which t-SNE minimizes.
    """

    points: np.ndarray
    layer: str
    perplexity: float
    explained: float
    divergence: float

    _row_axes: ClassVar[Mapping[str, int]] = {"points": 0}

    def plot(
        self,
        *,
        images: Any = None,
        labels: Sequence[Any] | None = None,
        show: Callable[[Any], Any] | None = None,
        cells: int = 24,
        title: str = "",
        path: str | os.PathLike[str] | None = None,
    ) -> "Figure":
        """Plots the map: points colored by label, or thumbnails with colored frames.

        Thumbnails do not overlap: the map is divided into square cells, and each shows the image of the sample nearest to its center.

        Args:
            images: `(n, height, width)` or `(n, height, width, 1 or 3)`: an image of each sample; points are drawn by default.
            labels: A label for each sample, with at most ten distinct labels.
            show: Maps an image from the model's preprocessing to a displayable one.
            cells: Number of cells along the longer side of the map.
            title: A title; the layer by default.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure.

        Raises:
            ValueError: If the number of images or labels is not the number of points, there are more than ten distinct labels, or `cells`
                is not positive.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.features import tsne_map
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="hidden")])
        >>> x = np.random.default_rng(0).normal(size=(40, 3))
        >>> found = tsne_map(model, x, layer="hidden", perplexity=5, seed=0)
        >>> [text.get_text() for text in found.plot(labels=["a", "b"] * 20).legends[0].get_texts()]
        ['a', 'b']
        """
        return drawn(
            "embedding", "embedding_plot", self, images=images, labels=labels, show=show, cells=cells, title=title, path=path
        )

    def _summary(self) -> str:
        return f"of '{self.layer}': {counted(len(self), 'sample')}"

    def _facts(self) -> dict[str, Any]:
        return {"perplexity": self.perplexity, "variance kept": self.explained, "Kullback-Leibler divergence": self.divergence}

    def _picture(self) -> "Figure":
        return self.plot()
