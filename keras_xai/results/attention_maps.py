"""`AttentionMaps`: the attention weights of layers and heads."""

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
class AttentionMaps(Rows):
    """The attention maps of layers, see `attention_maps`.

    Attributes:
        maps: For the path of each layer, an array `(n, heads, queries, keys)`, whose rows sum to 1: how strongly each query attends to each
            key. For attention within windows or time steps, the heads of each follow one another.
        inputs: `(n, ...)`: the images, series, tokens or words that the keys are; `None` if they are tokens of no one input.
        patches: For each path, `(start, *sizes)` if keys are patches of an image: the index of the first patch and the size of their grid,
            row by row. `None` if they are not.
        model: The model's name.
        layout: The layout of `inputs`, such as `"NHWC"`; channels last if `None`.
    """

    maps: dict[str, np.ndarray]
    inputs: np.ndarray | None
    patches: dict[str, tuple[int, ...] | None]
    model: str
    layout: str | None = None

    _row_axes: ClassVar[Mapping[str, int]] = {"maps": 0, "inputs": 0}

    def plot(
        self,
        sample: int = 0,
        *,
        layer: str | None = None,
        query: int | None = None,
        labels: Sequence[str] | None = None,
        vocabulary: Sequence[str] | None = None,
        show: Callable[[Any], Any] | None = None,
        title: str = "",
        path: str | os.PathLike[str] | None = None,
    ) -> "Figure":
        """Plots the attention of one layer: the mean over its heads, and each head.

        If the keys are patches of an image, each picture is the image with the attention of one query to its patches over it. Otherwise
        it is the matrix of queries and keys, with a row for each query. Each picture has its own scale from 0 to its largest value.

        Args:
            sample: Index of the sample.
            layer: Path of the layer; the last one by default.
            query: Index of a query. By default all rows of a matrix; of an image the class token, or the mean over all queries if there is
                none.
            labels: A label for each key, and each query if there are as many, or for each token that is not 0, which is padding; by default
                words, token ids, or numbers.
            vocabulary: The word of each token id, such as `TextVectorization.get_vocabulary()`; token 0 is padding and not drawn.
            show: Maps an image `(height, width, channels)` from the model's preprocessing to a displayable one.
            title: A title; the path of the layer by default.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure.

        Raises:
            ValueError: If there is no such sample, layer or query, or a number of labels does not fit.

        Example:

        >>> import numpy as np
        >>> from keras_xai.features import AttentionMaps
        >>> maps = np.random.default_rng(0).dirichlet(np.ones(4), size=(1, 3, 4))
        >>> figure = AttentionMaps({"attention": maps}, None, {"attention": None}, "model").plot(labels=["a", "b", "c", "d"])
        >>> [axes.get_title() for axes in figure.axes[:4]]
        ['mean of heads', 'head 0', 'head 1', 'head 2']
        """
        return drawn(
            "attention",
            "attention_plot",
            self,
            sample,
            layer=layer,
            query=query,
            labels=labels,
            vocabulary=vocabulary,
            show=show,
            title=title,
            path=path,
        )

    def _summary(self) -> str:
        return f"of '{self.model}': {counted(len(self.maps), 'layer')}, {counted(len(self), 'sample')}"

    def _facts(self) -> dict[str, Any]:
        return {
            path: f"{each.shape[1]} heads, {each.shape[2]} queries, {each.shape[3]} keys" for path, each in self.maps.items()
        }

    def _picture(self) -> "Figure":
        return self.plot()
