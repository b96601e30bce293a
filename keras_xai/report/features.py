"""Pictures of decision features and boundary features."""

import os
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.data.checks import check_names, real_array
from keras_xai.data.layout import Layout
from keras_xai.report.heatmap import COLOR_MAP, draw_heatmap, flat_image, shared_limit
from keras_xai.report.plots import draw_picture, shown_image
from keras_xai.report.samples import in_picture_order
from keras_xai.results.pictures import saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from keras_xai.results import Facets

_SIDE = 2.1  # inches
_COLUMNS = 5


@saved
def decision_plot(
    features: np.ndarray,
    images: np.ndarray,
    *,
    titles: Sequence[str] | None = None,
    layout: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> "Figure":
    """Plots decision features below their images on one color scale.

    Args:
        features: `(n, height, width)` or `(n, height, width, channels)`, `LinearPieces.decision_features()`; summed over channels.
        images: `(n, height, width)` or `(n, height, width, 1 or 3)`.
        titles: A title for each image.
        layout: What the axes of arrays with as many are, such as `"NCHW"` for a model with channels first; `None` for channels last.
        path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

    Returns:
        A matplotlib figure: red where a larger input raises the score of the class, blue where it lowers it.

    Raises:
        ValueError: If shapes or numbers are inconsistent.

    Example:

    >>> import numpy as np
    >>> from keras_xai.report import decision_plot
    >>> figure = decision_plot(np.ones((3, 8, 8)), np.zeros((3, 8, 8)), titles=["0", "1", "2"])
    >>> len(figure.axes)
    7
    """
    features, images = (
        Layout(layout).channels_last(each) if layout is not None and each.ndim == Layout(layout).rank else each
        for each in (real_array("features", features), real_array("images", images))
    )
    if features.shape[:3] != images.shape[:3] or not len(features):
        raise ValueError(
            "Expected `features` and `images` with the same number, height and width. "
            f"Received: features of shape {features.shape} and images of shape {images.shape}."
        )
    if titles is not None:
        titles = check_names("titles", titles, len(images), "image")
    flat = np.array([flat_image(each, "features") for each in features])
    limit = shared_limit([flat])
    rows, columns = _arranged(len(images))
    figure, axes = _grid(2 * rows, columns)
    for i, (values, image) in enumerate(zip(flat, images, strict=True)):
        above, below = (axes[2 * (i // columns) + row][i % columns] for row in range(2))
        _prepared(above, image.shape)
        draw_picture(above, image)
        above.set_title("" if titles is None else titles[i], fontsize=9)
        _prepared(below, image.shape)
        draw_heatmap(below, values, limit, outline=shown_image(image))
    _add_scale(figure, axes, limit, "change of the score difference for a change of the input by 1")
    return figure


def boundary_plot(facets: "Facets", image: np.ndarray) -> "Figure":
    """The facets of one image's polytope, for `Facets.plot`."""
    image = np.asarray(in_picture_order(real_array("image", image, "an image"), facets.layout))
    normals = np.asarray(facets.normal)
    if len(facets) and normals.ndim in (3, 4):
        normals = np.stack([in_picture_order(normal, facets.layout) for normal in normals])
    if not len(facets) or normals.shape[1:3] != image.shape[:2] or normals.ndim not in (3, 4):
        raise ValueError(
            f"Expected at least one facet of the polytope of `image`, of height and width {image.shape[:2]}. "
            f"Received: normals of shape {normals.shape}."
        )
    rows, columns = _arranged(len(facets) + 1)
    figure, axes = _grid(rows, columns, caption=0.55)
    places = [place for row in axes for place in row]
    _prepared(places[0], image.shape)
    draw_picture(places[0], image)
    places[0].set_title("the sample", fontsize=9)
    for place, normal, distance, reason in zip(places[1:], normals, facets.distance, facets.reason, strict=False):
        values = flat_image(normal, "normals")
        _prepared(place, image.shape)
        draw_heatmap(place, values / (np.abs(values).max() or 1.0), 1.0, outline=shown_image(image))
        place.set_title(f"distance {distance:.2g}", fontsize=9)
        place.set_xlabel(textwrap.fill(reason, 34), fontsize=7.5)
    _add_scale(figure, axes, 1.0, "gradient of the constraint, largest entry 1")
    return figure


def _arranged(count):
    """Rows and columns for a number of pictures, with about equally full rows."""
    rows = -(-count // _COLUMNS)
    return rows, -(-count // rows)


def _grid(rows, columns, caption=0.0):
    """A figure with a grid of axes that are not drawn until they are prepared."""
    from keras_xai.report.figure import new_figure

    figure = new_figure(figsize=(_SIDE * max(columns, 2), (_SIDE + caption) * rows + 0.8), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for place in axes.flat:
        place.set_axis_off()
    return figure, axes


def _prepared(axes: "Axes", shape):
    """Shows the axes with a thin frame and the aspect ratio of an image."""
    height, width = shape[:2]
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
    for spine in axes.spines.values():
        spine.set(color="#c4cad0", linewidth=0.8)


def _add_scale(figure, axes, limit, label):
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    mappable = ScalarMappable(Normalize(-limit, limit), COLOR_MAP)
    bar = figure.colorbar(mappable, ax=list(axes.flat), location="bottom", shrink=0.6, aspect=45, pad=0.03)
    bar.ax.tick_params(labelsize=8)
    bar.set_label(label, fontsize=8)
