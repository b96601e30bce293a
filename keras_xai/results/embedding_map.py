"""`EmbeddingMap`: samples as points in the plane."""

import dataclasses
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

    def plot(
        self,
        *,
        images: Any = None,
        labels: Sequence[Any] | None = None,
        show: Callable[[Any], Any] | None = None,
        cells: int = 24,
        title: str = "",
    ) -> "Figure":
        """Draws the map: points in the colors of their labels, or thumbnails in frames of these colors.

        Thumbnails do not overlap: the map is divided into square cells, and each shows the image of the sample nearest to its middle, of
        those in it.

        Args:
            images: `(n, height, width)` or `(n, height, width, 1 or 3)`: an image of each sample; points are drawn without.
            labels: A label for each sample, of at most ten different ones.
            show: Maps an image as the model takes it to one that can be seen.
            cells: Number of cells along the longer side of the map.
            title: A title; the layer by default.

        Returns:
            A matplotlib figure.

        Raises:
            ValueError: If there are not as many images or labels as points, there are more than ten different labels, or `cells` is
                not positive.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.features import tsne_map
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="hidden")])
        >>> x = np.random.default_rng(0).normal(size=(40, 3))
        >>> found = tsne_map(model, x, layer="hidden", perplexity=5, seed=0)
        >>> [text.get_text() for text in found.plot(labels=["a", "b"] * 20).legends[0].get_texts()]
        ['a', 'b']
        """
        return drawn("embedding", "embedding_plot", self, images=images, labels=labels, show=show, cells=cells, title=title)

    def _summary(self) -> str:
        return f"of '{self.layer}': {counted(len(self), 'sample')}"

    def _facts(self) -> dict[str, Any]:
        return {"perplexity": self.perplexity, "variance kept": self.explained, "Kullback-Leibler divergence": self.divergence}

    def _picture(self) -> "Figure":
        return self.plot()
