"""Sheets of tiles of reconstructions from feature maps, for several layers and networks."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import check_flag, check_index, check_instance
from keras_xai.data.layout import Layout
from keras_xai.report.samples import draw_sample
from keras_xai.results.pictures import saved
from keras_xai.results.reconstructions import Reconstructions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Inches.
_SHEET = 5.6
_IMAGE = 1.9
# Minimum width of a tile with a number.
_NUMBERED = 0.5

# Resolution of a sheet's side. Finer tiles are averaged before scaling: when resized later, neighbors of opposite signs, of which
# reconstructions are full, would cancel to gray.
_PIXELS = 1000

_ZERO = 0.5
# Percentile of a tile's absolute values at which it is clipped, so that one pixel does not wash out the others.
_PERCENTILE = 99.5
# Exponent of the values, since most recognizable structure is much weaker than the strongest pixels.
_POWER = 0.6
_CHANNELS = (1, 3)


@saved
def deconvnet_plot(
    found: "Reconstructions | Sequence[Reconstructions] | Mapping[str, Reconstructions | Sequence[Reconstructions]]",
    *,
    sample: int = 0,
    show: Callable[[Any], Any] | None = None,
    bgr: bool | Mapping[str, bool] = False,
    title: str = "",
    path: str | os.PathLike[str] | None = None,
) -> "Figure":
    """Plots the reconstructions of one image from feature maps: a sheet of tiles per layer, next to the image.

    Each tile has its own scale, on which gray is zero, brighter is positive and darker is negative: absolute values are divided by their
    99.5th percentile and raised to the power 0.6, which keeps their signs and amplifies weak ones. A map that is zero everywhere is a plain
    gray tile and counted as empty. Tiles of single activations (`keep="largest"`) are cropped to their nonzero part, all of a sheet to the
    size of the largest.

    Source: Wang & Liu, "Refining Deep Neural Networks via Interpretability Using Transfer Learning", figure 3.

    Args:
        found: The result of `keras_xai.features.reconstruct` for a layer, or a list of these, one per row; or a mapping from the name of a
            network to these, one per column.
        sample: Index of the image.
        show: Maps an image from the preprocessing of the model, the first one for several networks, to a displayable one.
        bgr: Whether the input channels are in the order blue, green, red; a mapping by network name if they differ.
        title: A title; by default the name of the model if there is only one.
        path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

    Returns:
        A matplotlib figure. Tiles that are wide enough are labeled with their channel numbers.

    Raises:
        ValueError: If there is nothing to draw, there is no such sample, or the reconstructions are not finite or not of images with one or
            three channels.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.features import reconstruct
    >>> from keras_xai.report import deconvnet_plot
    >>> conv1, conv2 = (keras.layers.Conv2D(6, 3, activation="relu", name=name) for name in ("conv1", "conv2"))
    >>> model = keras.Sequential([keras.Input((12, 12, 3)), conv1, keras.layers.MaxPooling2D(), conv2])
    >>> x = np.random.default_rng(0).uniform(size=(2, 12, 12, 3))
    >>> figure = deconvnet_plot([reconstruct(model, x, layer=layer) for layer in ("conv1", "conv2")], sample=1)
    >>> [axes.get_title().split(",")[0] for axes in figure.axes if axes.get_title()]
    ['conv1: 6 maps', 'conv2: 6 maps']
    """
    from keras_xai.report.figure import new_figure

    columns = {name: [_channels_last(each) for each in column] for name, column in _by_network(found).items()}
    for column in columns.values():
        for each in column:
            _check(each, sample)
    sheets = {name: [_Sheet(each, sample, _is_bgr(bgr, name)) for each in column] for name, column in columns.items()}
    rows = max(map(len, sheets.values()))
    heights = [_SHEET * max(column[row].aspect for column in sheets.values() if row < len(column)) for row in range(rows)]
    figure = new_figure(figsize=(_IMAGE + _SHEET * len(sheets), sum(heights) + 0.2 * rows + 0.5), layout="constrained")
    grid = figure.subplots(
        rows, 1 + len(sheets), squeeze=False, width_ratios=[_IMAGE] + [_SHEET] * len(sheets), height_ratios=heights
    )
    for axes in grid.flat:
        axes.set_axis_off()
        axes.set_anchor("N")
    first_name, (first, *_) = next(iter(columns.items()))
    image = first.inputs[sample]
    grid[0, 0].set_axis_on()
    draw_sample(grid[0, 0], _colored(image, _is_bgr(bgr, first_name)) if show is None else image, show)
    for cells, (name, column) in zip(grid.T[1:], sheets.items(), strict=True):
        for axes, sheet in zip(cells, column, strict=False):
            sheet.draw(axes)
            axes.set_title(f"{name}: " * bool(name) + sheet.title, fontsize=10)
    figure.suptitle(title or ("" if first_name else first.model), fontsize=12)
    figure.supxlabel("each tile has its own scale, with weak values amplified; gray is zero", fontsize=9)
    return figure


def _by_network(found) -> dict[str, list]:
    """The results in rows, by network; the name of the only network is empty."""
    named = found if isinstance(found, Mapping) else {"": found}
    columns = {str(name): list(each) if isinstance(each, (list, tuple)) else [each] for name, each in named.items()}
    if not columns or not all(columns.values()):
        raise ValueError(f"Expected `found` to have reconstructions of a layer of each network. Received: found={found!r}")
    for each in (each for column in columns.values() for each in column):
        check_instance("found", each, Reconstructions, "the result of `reconstruct`, a list of such, or a mapping to such")
    return columns


def _channels_last(found):
    """The reconstructions with channels last."""
    if found.layout is None:
        return found
    layout = Layout(found.layout)
    values = np.asarray(found.values)
    flat = layout.channels_last(values.reshape(-1, *values.shape[2:]))
    values = flat.reshape(*values.shape[:2], *flat.shape[1:])
    return dataclasses.replace(found, values=values, inputs=layout.channels_last(np.asarray(found.inputs)), layout=None)


def _check(found, sample) -> None:
    values = found.values
    if values.ndim != 5 or values.shape[-1] not in _CHANNELS:
        raise ValueError(
            "Expected reconstructions of images (height, width, channels) with one or three channels. Received: reconstructions of inputs"
            f" of shape {found.inputs.shape[1:]} from '{found.layer}'."
        )
    check_index("sample", sample, len(values))
    if not np.isfinite(values[sample]).all():
        raise ValueError(f"Expected finite reconstructions. Received: NaN or infinity from '{found.layer}'.")


def _is_bgr(bgr, name) -> bool:
    return check_flag("bgr", bgr.get(name, False) if isinstance(bgr, Mapping) else bgr)


def _colored(values, bgr):
    """Reorders channels to red, green and blue."""
    return values[..., ::-1] if bgr else values


class _Sheet:
    """The tiles of one layer as one image.

    Attributes:
        aspect: Ratio of its height to its width.
        title: Its title.
    """

    def __init__(self, found, sample, bgr):
        tiles = found.values[sample]
        self.title = _described(found, tiles)
        self._maps = found.maps[sample]
        if found.keep == "largest":
            tiles = _cut_out(tiles)
        count, height, width = tiles.shape[:3]
        self._columns = min(count, int(np.ceil(np.sqrt(count * height / width))))
        side = max(1, _PIXELS // self._columns)
        self._image, self._step = _joined([_tile(_colored(each, bgr), side) for each in tiles], self._columns)
        self.aspect = self._image.shape[0] / self._image.shape[1]

    def draw(self, axes: "Axes") -> None:
        axes.imshow(self._image, vmin=0, vmax=1, cmap="gray")
        if _SHEET / self._columns < _NUMBERED:
            return
        box = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.6}
        for number, channel in enumerate(self._maps):
            row, column = divmod(number, self._columns)
            corner = column * self._step[1] - 0.5, row * self._step[0] - 0.5
            axes.text(*corner, f"{channel}", fontsize=5.5, ha="left", va="top", color="#1c2024", bbox=box)


def _described(found, tiles) -> str:
    """The title of a sheet."""
    count = len(tiles)
    maps = (
        f"{count:,} map{'s' * (count > 1)}" if count == found.num_maps else f"{count:,} strongest of {found.num_maps:,} maps"
    )
    kept = ", largest activation of each" if found.keep == "largest" else ""
    empty = int((~tiles.any(axis=(1, 2, 3))).sum())
    return f"{found.layer}: {maps}{kept}" + (f", {empty:,} empty" if empty else "")


def _cut_out(tiles):
    """Tiles `(maps, height, width, channels)` cropped to one size around their nonzero parts."""
    used = tiles.any(axis=-1)
    for axis in (1, 2):
        along = used.any(axis=3 - axis)
        length = along.shape[1]
        starts, stops = along.argmax(axis=1), length - along[:, ::-1].argmax(axis=1)
        stops = np.where(along.any(axis=1), stops, starts)
        size = max(1, int((stops - starts).max()))
        starts = np.clip((starts + stops - size) // 2, 0, length - size)
        places = starts[:, None] + np.arange(size)
        tiles = np.take_along_axis(tiles, places[:, :, None, None] if axis == 1 else places[:, None, :, None], axis=axis)
    return tiles


def _tile(values, side):
    """One reconstruction as an image, gray for zero, with a longer side of at most, and nearly, `side`."""
    image = np.asarray(values, "float64")
    longest = max(image.shape[:2])
    if longest > side:
        for axis, size in enumerate(image.shape[:2]):
            smaller = max(1, round(size * side / longest))
            edges = np.arange(smaller) * size // smaller
            lengths = np.diff([*edges, size]).reshape([-1 if i == axis else 1 for i in range(3)])
            image = np.add.reduceat(image, edges, axis=axis) / lengths
    strength = np.abs(image).max(axis=-1)
    limit = np.percentile(strength, _PERCENTILE) or strength.max() or 1.0
    drawn = _ZERO + np.sign(image) * np.minimum(np.abs(image) / limit, 1) ** _POWER / 2
    factor = max(1, side // longest)
    return drawn.repeat(factor, axis=0).repeat(factor, axis=1)


def _joined(tiles, columns):
    """Tiles row by row in one image with white gaps, and their distance `(rows, columns)`."""
    height, width, channels = tiles[0].shape
    gap = max(1, round(0.03 * max(height, width)))
    step = (height + gap, width + gap)
    rows = -(-len(tiles) // columns)
    sheet = np.ones((rows * step[0] - gap, columns * step[1] - gap, channels))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet[row * step[0] : row * step[0] + height, column * step[1] : column * step[1] + width] = tile
    return (sheet if channels == 3 else sheet[..., 0]), step
