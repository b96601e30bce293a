"""Reconstructions from feature maps: sheets of tiles, of layers and networks beside each other."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.report.samples import draw_sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from keras_xai.results import Reconstructions

# Inches.
_SHEET = 5.6
_IMAGE = 1.9
# The narrowest tile that has room for a number.
_NUMBERED = 0.5

# Along a side of a sheet. What is finer is averaged before it gets its scale: drawn at another size, the neighbors of opposite signs
# that reconstructions are full of would cancel to gray.
_PIXELS = 1000

_ZERO = 0.5
# Of the absolute values of a tile: what exceeds it is drawn as if it were this, so that one pixel does not wash out the others.
_PERCENTILE = 99.5
# Values are raised to it, as most of what can be recognized is much weaker than the strongest pixels.
_POWER = 0.6
_CHANNELS = (1, 3)


def deconvnet_plot(
    found: "Reconstructions | Sequence[Reconstructions] | Mapping[str, Reconstructions | Sequence[Reconstructions]]",
    *,
    sample: int = 0,
    show: Callable[[Any], Any] | None = None,
    bgr: bool | Mapping[str, bool] = False,
    title: str = "",
) -> "Figure":
    """Draws what the feature maps of layers send back to one image: a sheet of tiles for each layer, and the image beside them.

    Each tile is on a scale of its own, on which gray is zero, what is brighter positive and what is darker negative: its values
    are divided by the 99.5th percentile of their size and that is raised to the power 0.6, which leaves their signs and brings
    out what is weak. A map that is zero everywhere is a tile of plain gray, and counted as empty. Tiles of single activations
    (`keep="largest"`) are cut out where they are not zero, all of a sheet in the size that the largest one takes.

    Source: Wang & Liu, "Refining Deep Neural Networks via Interpretability Using Transfer Learning", figure 3.

    Args:
        found: What `keras_xai.features.reconstruct` returned for a layer, or a list of these, one for each row; or a mapping from
            the name of a network to these, one for each column.
        sample: Index of the image.
        show: Maps an image as the model takes it, the first one where there are several networks, to one that can be seen.
        bgr: Whether the channels of inputs are blue, green and red; a mapping from the networks' names where they differ.
        title: A title; by default the name of the model where there is only one.

    Returns:
        A matplotlib figure. Tiles that are wide enough have the numbers of their channels.

    Raises:
        ValueError: If there is nothing to draw, there is no such sample, or the reconstructions are not those of images of one or
            three channels, or not finite.

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

    columns = _by_network(found)
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
    figure.supxlabel("each tile on a scale of its own, on which weak values are raised; gray is zero", fontsize=9)
    return figure


def _by_network(found) -> dict[str, list]:
    """The results in rows, by network; the name of the only network is empty."""
    named = found if isinstance(found, Mapping) else {"": found}
    columns = {str(name): list(each) if isinstance(each, (list, tuple)) else [each] for name, each in named.items()}
    if not columns or not all(columns.values()):
        raise ValueError(f"Expected reconstructions of at least one layer of each network. Received: {found!r}")
    return columns


def _check(found, sample) -> None:
    values = found.values
    if values.ndim != 5 or values.shape[-1] not in _CHANNELS:
        raise ValueError(
            f"Expected reconstructions of images (height, width, channels) of one or three channels. Received: those of inputs of "
            f"shape {found.inputs.shape[1:]} from '{found.layer}'."
        )
    if not 0 <= sample < len(values):
        raise ValueError(f"Expected `sample` to be from 0 to {len(values) - 1}. Received: sample={sample!r}")
    if not np.isfinite(values[sample]).all():
        raise ValueError(f"Expected finite reconstructions. Received: NaN or infinity from '{found.layer}'.")


def _is_bgr(bgr, name) -> bool:
    return bool(bgr.get(name, False) if isinstance(bgr, Mapping) else bgr)


def _colored(values, bgr):
    """Channels in the order of red, green and blue."""
    return values[..., ::-1] if bgr else values


class _Sheet:
    """The tiles of one layer as one image.

    Attributes:
        aspect: Its height as a part of its width.
        title: What it shows.
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
    """Tiles `(maps, height, width, channels)` cut to one size, around what is not zero in each."""
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
    """One reconstruction as an image, gray where it is zero, its longer side no longer than `side` and not much shorter."""
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
    """Tiles row by row in one image with white gaps, and how far apart they are: `(rows, columns)`."""
    height, width, channels = tiles[0].shape
    gap = max(1, round(0.03 * max(height, width)))
    step = (height + gap, width + gap)
    rows = -(-len(tiles) // columns)
    sheet = np.ones((rows * step[0] - gap, columns * step[1] - gap, channels))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet[row * step[0] : row * step[0] + height, column * step[1] : column * step[1] + width] = tile
    return (sheet if channels == 3 else sheet[..., 0]), step
