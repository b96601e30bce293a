"""`Reconstructions`: inputs reconstructed from feature maps."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from keras_xai.results.base import Rows
from keras_xai.results.pictures import drawn
from keras_xai.results.text import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Reconstructions(Rows):
    """Reconstructions of inputs from feature maps, see `reconstruct`.

    Attributes:
        values: `(n, maps, *input_shape)`: for each input a reconstruction from each map, in the unit of the input times that of the
            activation. Zero for a map that is zero everywhere.
        maps: Integer array `(n, maps)`: the channel of each map in the layer.
        activations: `(n, maps)`: the largest activation in each map.
        inputs: `(n, *input_shape)`.
        layer: The layer's path.
        model: The model's name.
        num_maps: Number of maps that the layer has.
        keep: The kept part of a map, `"map"` or `"largest"`.
        layout: The layout of `inputs`, such as `"NHWC"`; channels last if `None`.
    """

    values: np.ndarray
    maps: np.ndarray
    activations: np.ndarray
    inputs: np.ndarray
    layer: str
    model: str
    num_maps: int
    keep: str
    layout: str | None = None

    _row_axes: ClassVar[Mapping[str, int]] = {"values": 0, "maps": 0, "activations": 0, "inputs": 0}

    def plot(
        self,
        *,
        sample: int = 0,
        show: Callable[[Any], Any] | None = None,
        bgr: bool = False,
        title: str = "",
        path: str | os.PathLike[str] | None = None,
    ) -> "Figure":
        """Plots the reconstructions of one image as a sheet of tiles, next to the image.

        Each tile has its own scale: gray is zero, brighter is positive and darker is negative; weak values are amplified. A map that is
        zero everywhere is a plain gray tile and counted as empty. Tiles of single activations (`keep="largest"`) are cropped to their
        nonzero part, all to the size of the largest. `keras_xai.report.deconvnet_plot` draws the sheets of several layers and networks.

        Args:
            sample: Index of the image.
            show: Maps an image from the model's preprocessing to a displayable one.
            bgr: Whether the input channels are in the order blue, green, red.
            title: A title; the name of the model by default.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure. Tiles that are wide enough are labeled with their channel numbers.

        Raises:
            ValueError: If there is no such sample, or the reconstructions are not finite or not of images with one or three channels.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.features import reconstruct
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(6, 3, activation="relu", name="conv")])
        >>> x = np.random.default_rng(0).uniform(size=(2, 8, 8, 3))
        >>> reconstruct(model, x, layer="conv", top=4).plot(sample=1).axes[1].get_title()
        'conv: 4 strongest of 6 maps'
        """
        return drawn("reconstructions", "deconvnet_plot", self, sample=sample, show=show, bgr=bgr, title=title, path=path)

    def _summary(self) -> str:
        return (
            f"from '{self.layer}' of '{self.model}': {counted(len(self), 'input')} of shape {self.inputs.shape[1:]}, "
            f"{counted(self.values.shape[1], 'map')} each"
        )

    def _facts(self) -> dict[str, Any]:
        kept = "its largest activation" if self.keep == "largest" else "all of it"
        return {"maps of the layer": self.num_maps, "kept of a map": kept, "largest activations": self.activations}

    def _picture(self) -> "Figure":
        return self.plot()
