"""Plots of images and histograms, built without pyplot's global state."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.data.checks import real_array
from keras_xai.results.pictures import saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES = 1.6


def bare_figure(shape: Sequence[int]) -> tuple["Figure", "Axes"]:
    """A new figure filled by axes for an image of `(height, width)`, with a thin frame and no ticks."""
    from keras_xai.report.figure import new_figure

    height, width = shape
    longest = max(height, width)
    # The larger side is fixed, so that pictures of the same shape have the same size on a page.
    figure = new_figure(figsize=(_INCHES * width / longest, _INCHES * height / longest))
    axes = figure.add_axes((0.005, 0.005, 0.99, 0.99))
    axes.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="auto")
    for spine in axes.spines.values():
        spine.set(color="#c4cad0", linewidth=0.8)
    return figure, axes


@saved
def picture(image: np.ndarray, *, path: str | os.PathLike[str] | None = None) -> "Figure":
    """Plots an image: in gray from its minimum to its maximum, or in its colors.

    Args:
        image: `(height, width)` or `(height, width, 1)`; or `(height, width, 3)`, red, green and blue, scaled to the range from 0 to 1 if
            it exceeds it.
        path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

    Returns:
        A matplotlib figure without axes.

    Raises:
        ValueError: If the shape is wrong.

    Example:

    >>> import numpy as np
    >>> from keras_xai.report import picture
    >>> picture(np.eye(8)).axes[0].images[0].get_array().shape
    (8, 8)
    """
    image = shown_image(image)
    figure, axes = bare_figure(image.shape[:2])
    draw_picture(axes, image)
    return figure


def draw_picture(axes: "Axes", image: np.ndarray) -> None:
    """Draws a `picture` into axes, with the same arguments and errors."""
    axes.imshow(shown_image(image), cmap="gray", interpolation="nearest")


def shown_image(image: np.ndarray, name: str = "image") -> np.ndarray:
    """Converts an image for `picture` to the drawn form: gray, or colors from 0 to 1."""
    image = real_array(name, image, "an image").astype("float64")
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim != 2 and not (image.ndim == 3 and image.shape[2] == 3):
        raise ValueError(
            f"Expected `{name}` to have shape (height, width), (height, width, 1) or (height, width, 3). "
            f"Received: shape {image.shape}. Draw one image at a time, and select channels if there are more."
        )
    if not image.size:
        raise ValueError(f"Expected `{name}` to have at least one pixel. Received: shape {image.shape}.")
    low, high = image.min(), image.max()
    if image.ndim == 3 and (low < 0 or high > 1):
        image = (image - low) / (high - low or 1)
    return image


def histogram(values: np.ndarray, label: str) -> "Figure":
    """A histogram on a logarithmic scale, which omits values that are not positive and finite."""
    from matplotlib.ticker import MaxNLocator

    from keras_xai.report.figure import new_figure

    values = np.asarray(values, dtype="float64").ravel()
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        raise ValueError(
            "Expected at least one positive, finite value for a histogram on a logarithmic scale. Received: no such value."
        )
    figure = new_figure(figsize=(7.0, 2.6), layout="constrained")
    axes = figure.add_subplot()
    low, high = np.log10(values.min()), np.log10(values.max())
    # Five bars per factor of ten, the same width in every report; at least one bar if all values are equal.
    edges = 10.0 ** (np.arange(np.floor(low * 5), np.floor(high * 5) + 2) / 5)
    axes.hist(values, bins=edges.tolist(), color="#5b7fa6", edgecolor="white", linewidth=0.6)
    axes.axvline(np.median(values), color="#1c2024", linewidth=1.2, linestyle="--", label=f"median {np.median(values):.2g}")
    axes.set_xscale("log")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlabel(label, fontsize=10)
    axes.set_ylabel("samples", fontsize=10)
    axes.tick_params(labelsize=9)
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
