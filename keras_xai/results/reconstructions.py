"""`Reconstructions`: what feature maps send back to the inputs."""

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
class Reconstructions(Rows):
    """What feature maps send back to the inputs, see `reconstruct`.

    Attributes:
        values: `(n, maps, *input_shape)`: for each input a reconstruction from each map, in the units of the input, times those
            of the activation. Zero for a map that is zero everywhere.
        maps: Integer array `(n, maps)`: which channel of the layer each is.
        activations: `(n, maps)`: the largest activation in each map.
        inputs: `(n, *input_shape)`.
        layer: The layer's path.
        model: The model's name.
        num_maps: Number of maps that the layer has.
        keep: What of a map was kept, `"map"` or `"largest"`.
    """

    values: np.ndarray
    maps: np.ndarray
    activations: np.ndarray
    inputs: np.ndarray
    layer: str
    model: str
    num_maps: int
    keep: str

    _row_axes: ClassVar[Mapping[str, int]] = {"values": 0, "maps": 0, "activations": 0, "inputs": 0}

    def plot(self, **options: Any) -> "Figure":
        """Draws the reconstructions of one image as a sheet of tiles, see `keras_xai.report.deconvnet_plot`.

        Args:
            **options: Of `deconvnet_plot`.

        Returns:
            A matplotlib figure.
        """
        return drawn("deconvnet_plot", self, **options)

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
