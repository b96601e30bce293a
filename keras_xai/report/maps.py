"""Feature maps of layers for one sample."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import check_flag, is_integer, real_array, short
from keras_xai.data.layout import Layout
from keras_xai.report.activations import activations_plot
from keras_xai.report.samples import draw_sample, in_picture_order
from keras_xai.results.pictures import saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IMAGE = 2.2  # inches


@saved
def maps_plot(
    activations: Mapping[str, np.ndarray],
    images: Any = None,
    *,
    sample: int = 0,
    max_filters: int = 64,
    strongest: bool = False,
    layout: str = "NHWC",
    title: str = "",
    path: str | os.PathLike[str] | None = None,
) -> "Figure":
    """Plots the maps of layers for one sample, with a row per layer and the sample next to them.

    All maps of a layer share one color scale. This is `activations_plot` for one network.

    Args:
        activations: Maps layers to their activations `(n, height, width, channels)`, as returned by `keras_xai.features.activations`.
        images: The samples as images to display, `(n, height, width, channels)`, to draw one next to the maps.
        sample: Index of the sample.
        max_filters: Maximum number of maps to draw per layer.
        strongest: Whether to draw the maps with the largest mean absolute activation, in descending order, instead of the first ones.
        layout: What the axes of activations and images are: `"NCHW"` for a model with channels first.
        title: A title.
        path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

    Returns:
        A matplotlib figure. Positive activations are red, darker for larger values; zero is white, and negative activations are blue.

    Raises:
        ValueError: If the activations are not maps, a drawn value is not finite, there is no such sample, or `max_filters` is not positive.

    Example:

    >>> import numpy as np
    >>> from keras_xai.report import maps_plot
    >>> rng = np.random.default_rng(0)
    >>> figure = maps_plot({"conv1": rng.uniform(size=(5, 6, 6, 16))}, rng.uniform(size=(5, 8, 8, 1)), sample=3)
    >>> len(figure.axes[0].images)
    16
    """
    if not isinstance(activations, Mapping) or not activations:
        raise ValueError(
            f"Expected `activations` to map layers to arrays, as `keras_xai.features.activations` returns. Received: {short(activations)}"
        )
    check_flag("strongest", strongest)
    order = Layout(layout)
    named = {path: real_array("activations", values) for path, values in activations.items()}
    # Others are refused by `activations_plot`.
    named = {path: order.channels_last(values) if values.ndim == order.rank else values for path, values in named.items()}
    if strongest:
        named = dict(_strongest(path, values, sample, max_filters) for path, values in named.items())
    figure = activations_plot({"": named}, sample=sample, max_filters=max_filters, title=title)
    if images is not None:
        images = real_array("images", images)
        if images.ndim < 3 or len(images) <= sample:
            raise ValueError(
                f"Expected `images` of shape (n, height, width, channels). Received: images of shape {images.shape}."
            )
        _add_image(figure, in_picture_order(images[sample], layout))
    return figure


def _strongest(path, values, sample, count) -> tuple[str, np.ndarray]:
    """A layer's name and its strongest maps; invalid values are passed on to the checks of `activations_plot`."""
    if values.ndim != 4 or not is_integer(sample) or not 0 <= sample < len(values) or not is_integer(count) or count < 1:
        return path, values
    order = np.argsort(-np.abs(values[sample]).mean(axis=(0, 1)), kind="stable")
    if len(order) <= count:
        return path, values[..., order]
    return f"{path}\nstrongest of {len(order):,}", values[..., order[:count]]


def _add_image(figure, image):
    """Adds space on the left, and draws the sample there."""
    width, height = figure.get_size_inches()
    figure.set_size_inches(width + _IMAGE, height)
    share = _IMAGE / (width + _IMAGE)
    figure.get_layout_engine().set(rect=(share, 0, 1 - share, 1))
    side = _IMAGE - 0.3
    axes = figure.add_axes((0.15 / (width + _IMAGE), 0.5 - side / 2 / height, side / (width + _IMAGE), side / height))
    draw_sample(axes, image)
