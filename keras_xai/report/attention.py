"""Pictures of attention: matrices of queries and keys, and attention to the patches of an image."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import check_choice, check_index, check_names, check_text
from keras_xai.report.samples import displayed, figure_of, frame, in_picture_order
from keras_xai.report.words import LUMINANCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from keras_xai.results.attention_maps import AttentionMaps

_COLOR_MAP = "viridis"
_SIDE, _COLUMNS = 2.0, 6
_CELL, _SMALLEST, _LARGEST = 0.2, 1.8, 6.0  # inches of a cell, and of a matrix
_MOST_LABELS = 40


def attention_plot(
    found: "AttentionMaps",
    sample: int,
    *,
    layer: str | None,
    query: int | None,
    labels: Sequence[str] | None,
    vocabulary: Sequence[str] | None,
    show: Callable[[Any], Any] | None,
    title: str,
) -> "Figure":
    """The attention of one layer, for `AttentionMaps.plot`."""
    check_index("sample", sample, len(found))
    path = list(found.maps)[-1] if layer is None else check_choice("layer", layer, found.maps)
    check_text("title", title)
    heads = np.asarray(found.maps[path][sample], "float64")
    if query is not None:
        check_index("query", query, heads.shape[1])
    words = _labels(found, sample, heads.shape[2], labels, vocabulary)
    maps = {"mean of heads": heads.mean(axis=0)} if len(heads) > 1 else {}
    maps |= {f"head {number}": each for number, each in enumerate(heads)}
    patches = found.patches[path]
    if patches is not None and found.inputs is not None:
        image = in_picture_order(found.inputs[sample], found.layout)
        image = displayed(show, _flat(image) if show is None else image)
        figure = _over_image(maps, image, patches, query)
    else:
        figure = _matrices(maps, words, query)
    figure.suptitle(title or path, fontsize=11)
    return figure


def _labels(found, sample, count, labels, vocabulary):
    """For each key that is drawn, its index and its label."""
    names = None if vocabulary is None else check_names("vocabulary", vocabulary)
    tokens = None if found.inputs is None else found.inputs[sample]
    if tokens is not None and (tokens.ndim != 1 or len(tokens) != count or tokens.dtype.kind not in "iuU"):
        tokens = None
    if labels is not None:
        present = [i for i, token in enumerate(tokens) if token] if tokens is not None else []
        if len(given := check_names("labels", labels)) == len(present):  # the words of a text, without padding
            return list(zip(present, given, strict=True))
        return list(enumerate(check_names("labels", labels, count, "key")))
    if tokens is None:
        return [(i, str(i)) for i in range(count)]
    if tokens.dtype.kind == "U":
        return [(i, str(word)) for i, word in enumerate(tokens) if word]
    if names is None:
        return [(i, str(token)) for i, token in enumerate(tokens)]
    if tokens.max() >= len(names):
        raise ValueError(
            f"Expected `vocabulary` to have a word for each token, up to {tokens.max()}. Received: {len(names)} words."
        )
    return [(i, names[token]) for i, token in enumerate(tokens) if token]


def _matrices(maps, words, query) -> "Figure":
    """A matrix of queries and keys for each head."""
    from keras_xai.report.figure import new_figure

    keys = [i for i, _ in words]
    count = next(iter(maps.values())).shape
    both = count[0] == count[1]
    rows = [query] if query is not None else keys if both else list(range(count[0]))
    names = dict(words) if both else {}
    longest = 0.07 * max((len(word) for _, word in words), default=1)
    width, height = (
        float(np.clip(_CELL * len(each), _SMALLEST if len(each) > 1 else 0.3, _LARGEST)) + longest for each in (keys, rows)
    )
    columns = min(len(maps), max(1, int(16 // width)), _COLUMNS)
    lines = -(-len(maps) // columns)
    figure = new_figure(figsize=(max(columns * width, 3.2) + 0.3, lines * (height + 0.3) + 0.8), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (name, each) in zip(grid.flat, maps.items(), strict=False):
        axes.set_axis_on()
        shown = each[np.ix_(rows, keys)]
        axes.imshow(shown, cmap=_COLOR_MAP, vmin=0, vmax=shown.max(initial=0) or 1, aspect="auto", interpolation="nearest")
        axes.set_title(name, fontsize=9)
        axes.set_title(f"max {shown.max(initial=0):.2g}", fontsize=6.5, loc="right")  # each has its own scale
        _ticks(axes.set_xticks, [word for _, word in words], rotation=90)
        _ticks(axes.set_yticks, [names.get(row, str(row)) for row in rows])
        axes.tick_params(length=0, pad=1)
    figure.supxlabel("key: what is attended to", fontsize=8)
    figure.supylabel("query", fontsize=8)
    return figure


def _ticks(set_ticks, names, **options):
    step = -(-len(names) // _MOST_LABELS)
    set_ticks(range(0, len(names), step), [name.replace("$", r"\$") for name in names[::step]], fontsize=6.5, **options)


def _over_image(maps, image, patches, query) -> "Figure":
    """The image, and the attention of one query to its patches for each head."""
    start, *sizes = patches
    queries, keys = next(iter(maps.values())).shape
    count = int(np.prod(sizes))
    # Queries that are fewer or more than the keys are other tokens.
    others = [i for i in range(keys) if queries == keys and not start <= i < start + count]
    chosen = query if query is not None else others[0] if others else None
    named = f"query {chosen}" if query is not None else f"the class token (query {chosen})"
    of = "all queries, their mean," if chosen is None else named
    columns = min(1 + len(maps), _COLUMNS)
    lines = -(-(1 + len(maps)) // columns)
    height, width = image.shape[:2]
    figure, grid = figure_of(lines, columns, side=_SIDE * min(1.6, max(0.6, height / width)), extra=0.4 * lines + 0.5)
    figure.set_figwidth(_SIDE * columns)
    for axes in grid.flat[: 1 + len(maps)]:
        axes.set_axis_on()
        frame(axes)
    grid.flat[0].imshow(image, cmap="gray")
    grid.flat[0].set_title("image", fontsize=9)
    gray = image if image.ndim == 2 else image @ LUMINANCE
    for axes, (name, each) in zip(grid.flat[1:], maps.items(), strict=False):
        row = each.mean(axis=0) if chosen is None else each[chosen]
        _draw_patches(axes, row[start : start + count].reshape(sizes), gray)
        axes.set_title(name, fontsize=9)
    if query is not None and queries == keys and start <= query < start + count:
        _outline(grid.flat[0], (query - start) // sizes[1], (query - start) % sizes[1], sizes, (height, width))
    figure.supxlabel(f"attention of {of} to the patches", fontsize=8)
    return figure


def _draw_patches(axes: "Axes", grid, gray):
    """Attention to patches in colors, darker where the image is."""
    from matplotlib import colormaps

    places = (np.arange(size) * count // size for size, count in zip(gray.shape, grid.shape, strict=True))
    values = grid[np.ix_(*places)]
    shade = (gray - gray.min()) / (np.ptp(gray) or 1)
    colors = colormaps[_COLOR_MAP](values / (values.max() or 1))[..., :3]
    axes.imshow(colors * (0.45 + 0.55 * shade[..., None]), interpolation="nearest")


def _outline(axes: "Axes", row, column, sizes, shape):
    """A frame around a patch of the image."""
    from matplotlib.patches import Rectangle

    height, width = shape[0] / sizes[0], shape[1] / sizes[1]
    corner = (column * width - 0.5, row * height - 0.5)
    axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="#d55e00", linewidth=1.5))


def _flat(image):
    """An image of one or three channels as it is, others as the mean of their channels."""
    return image if image.ndim == 2 or image.shape[-1] in (1, 3) else image.mean(axis=-1)
