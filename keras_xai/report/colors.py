"""Colors of values: which are drawn, on which scale."""

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, final

import numpy as np

from keras_xai.report.heatmap import COLOR_MAP
from keras_xai.results.explanation import Explanation
from keras_xai.results.plot_options import PlotOptions, Sign

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True)
class Colors:
    """A color scale of values.

    Attributes:
        cmap: Name of a color map of matplotlib; `None` for blue, white and red, and for the half of it from white to red if there are no
            negative values.
        sign: Which values are drawn.
        percentile: Percentile of the absolute values that limits the scale, so that a few pixels of a noisy gradient do not wash out all
            others.
        sequential: Whether the scale begins at zero instead of being symmetric about it.
    """

    cmap: str | None = None
    sign: Sign = "both"
    percentile: float = 99.0
    sequential: bool = False

    def shown(self, values: Any) -> np.ndarray:
        """The values that are drawn, of those that an explanation has."""
        values = np.asarray(values, "float64")
        return np.maximum(values, 0) if self.sign == "positive" else np.abs(values) if self.sign == "absolute" else values

    def limit(self, values: Any) -> float:
        """The end of the scale: a percentile of the absolute values."""
        sizes = np.abs(values)
        return float(np.percentile(sizes, self.percentile) or sizes.max() or 1.0)

    def of(self, values: Any, limit: float) -> np.ndarray:
        """The colors of values, RGBA, on a scale that ends at `limit`."""
        return self.scale(limit).to_rgba(values)

    def scale(self, limit: float) -> "ScalarMappable":
        """The scale for a color bar."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        return ScalarMappable(Normalize(0 if self.sequential else -limit, limit, clip=True), self._colormap())

    def _colormap(self) -> "Colormap":
        from matplotlib.colors import LinearSegmentedColormap

        found = color_map(COLOR_MAP if self.cmap is None else self.cmap)
        if self.cmap is not None or not self.sequential:
            return found
        return LinearSegmentedColormap.from_list("positive", found(np.linspace(0.5, 1, 129)))


SIGNED = Colors()


def color_map(cmap: str) -> "Colormap":
    """A color map of matplotlib.

    Raises:
        ValueError: If there is none of this name.
    """
    from matplotlib import colormaps

    if not isinstance(cmap, str) or cmap not in colormaps:
        raise ValueError(
            f"Expected `cmap` to be the name of a color map of matplotlib, such as 'viridis'. Received: cmap={cmap!r}"
        )
    return colormaps[cmap]


def colors_for(explanations: Iterable[Explanation], options: PlotOptions) -> Colors:
    """The scale of explanations that are drawn together: from zero if none of their values is negative.

    Args:
        explanations: The explanations.
        options: Options of the plot.
    """
    sequential = options.sign != "both" or all(each.nonnegative for each in explanations)
    return Colors(options.cmap, options.sign, options.percentile, sequential)


def add_scale(figure: "Figure", colors: Colors = SIGNED, limit: float | None = None) -> None:
    """Adds a color bar below all axes.

    Args:
        figure: The figure.
        colors: The scale.
        limit: Its end, if all pictures share one: the bar has numbers then, otherwise words.
    """
    width, height = figure.get_size_inches()
    bar = figure.colorbar(
        colors.scale(limit or 1.0), ax=figure.axes, location="bottom", shrink=min(1.0, 4 / width), aspect=30, pad=0.1 / height
    )
    end = limit or 1.0
    large = "large" if colors.sign == "absolute" else "positive"
    ticks, words = ([0, end], ["0", large]) if colors.sequential else ([-end, 0, end], ["negative", "0", large])
    bar.set_ticks(ticks, labels=words if limit is None else [f"{tick:.3g}" for tick in ticks])
    bar.ax.tick_params(labelsize=8, length=2)
    bar.outline.set_visible(False)
