"""Drawing of single samples, or crops of them, in small axes: images, series, features, and texts."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import check_function, real_array
from keras_xai.data.imagenet import check_class_names
from keras_xai.data.layout import Layout
from keras_xai.data.preprocessing import Preprocessing
from keras_xai.report.classes import PALETTE
from keras_xai.report.plots import draw_picture, shown_image
from keras_xai.results.plot_options import PlotOptions, Show
from keras_xai.results.tables import named_arrays

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from keras_xai.results import Explanation

_FRAME = "#c4cad0"
_LINE = PALETTE[1]


def in_picture_order(sample: Any, layout: Any) -> Any:
    """A sample, or a crop of one, channels last; as it is without a layout of its own.

    Args:
        sample: An array without the axis of samples.
        layout: Its layout, with the samples; `None` for channels last.
    """
    if not isinstance(layout, str) or np.ndim(sample) != len(layout) - 1:
        return sample
    return Layout(layout).channels_last(np.asarray(sample)[np.newaxis])[0]


def draw_sample(axes: "Axes", sample: Any, show: Callable[[Any], Any] | None = None) -> None:
    """Draws an image `(height, width, channels)`, a series `(time, channels)` as lines, or features as bars.

    Args:
        axes: The axes to draw into.
        sample: The sample, or a part of one.
        show: Maps it to a displayable form: an image, a series, features, or a text.

    Raises:
        ValueError: If it is none of these.
    """
    drawn = shown_by(show, sample)
    frame(axes)
    if isinstance(drawn, str):
        axes.text(
            0.5, 0.5, textwrap.fill(drawn, 24), transform=axes.transAxes, ha="center", va="center", fontsize=7, wrap=True
        )
        return
    if isinstance(drawn, (dict, list)) or not 1 <= np.ndim(drawn) <= 3 or not np.size(drawn):
        raise ValueError(
            "Expected an image (height, width, channels), a series (time, channels), features or a text to draw. Received: "
            f"{type(drawn).__name__} of shape {np.shape(drawn) if not isinstance(drawn, dict) else list(drawn)}. Give `show`, which "
            "maps a sample to one of these."
        )
    drawn = real_array("show" if show else "sample", drawn, "displayable").astype("float64")
    if drawn.ndim == 3:
        if drawn.shape[2] not in (1, 3):
            drawn = drawn.mean(axis=2)
        draw_picture(axes, drawn)
    elif drawn.ndim == 2:
        axes.plot(drawn, linewidth=1.0, color=_LINE if drawn.shape[1] == 1 else None)
        axes.set_xlim(0, max(len(drawn) - 1, 1))
    else:
        axes.bar(np.arange(len(drawn)), drawn, color=_LINE, width=0.8)


def shown_by(show: Callable[[Any], Any] | None, sample: Any) -> Any:
    """What `show`, a function of the user or `None`, makes of a sample.

    Raises:
        ValueError: If it is no function, or fails.
    """
    check_function("show", show)
    if show is None:
        return sample
    try:
        return show(sample)
    except Exception as error:
        raise ValueError(
            f"Expected `show` to map a sample to what can be drawn. Received: show={show!r}, which failed on a sample of shape "
            f"{np.shape(sample)} ({type(error).__name__}: {error})."
        ) from error


def displayed(show: Callable[[Any], Any] | None, image: np.ndarray) -> np.ndarray:
    """An image as `show` makes it, `(height, width)` or `(height, width, 3)`."""
    return shown_image(shown_by(show, image), "image" if show is None else "show")


def shown_images(
    images: Mapping[str, np.ndarray], explanations: Sequence["Explanation"], options: PlotOptions
) -> dict[str, Show | None]:
    """For each of some images by name, what makes one of them displayable; `None` for the values as they are.

    What the model tells of the preprocessing is used only where the samples fit to it.

    Args:
        images: `(n, height, width, channels)`.
        explanations: Their explanations.
        options: Of the plot.

    Raises:
        ValueError: If a preprocessing is given, and no image has three colors.
    """
    if options.show is not None:
        return dict.fromkeys(images, options.show)
    colored = [name for name, x in images.items() if x.ndim == 4 and x.shape[-1] == 3]
    given = options.preprocessing
    if isinstance(given, Preprocessing):
        if not colored:
            raise ValueError(
                "Expected `preprocessing` for images of three colors only. Received: inputs of the shapes "
                f"{[x.shape for x in images.values()]}. Use `show` for other images."
            )
        return {name: given.undo if name in colored else None for name in images}
    found = next((each.preprocessing for each in explanations if each.preprocessing is not None), None)
    fitting = [name for name in colored if found is not None and found.fits(images[name])]
    return {name: found.undo if found is not None and name in fitting else None for name in images}


def within(value_range: Sequence[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """A `show` that maps a value range, arrays that broadcast to a batch, to the range from 0 to 1."""
    low, high = (np.asarray(end, "float64")[0] for end in value_range)

    def show(sample):
        shown = (np.asarray(sample, "float64") - low) / (high - low)
        return np.clip(shown, 0, 1) if shown.ndim == 3 else np.asarray(sample, "float64")

    return show


def frame(axes: "Axes") -> None:
    """A thin frame without ticks."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=_FRAME, linewidth=0.8)


def figure_of(rows: int, columns: int, *, side: float, extra: float = 0.35) -> tuple["Figure", np.ndarray]:
    """A figure with a grid of axes that are hidden until they are used."""
    from keras_xai.report.figure import new_figure

    figure = new_figure(figsize=(max(side * columns, 3.2), side * rows + extra), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    return figure, grid


def unit_name(unit: Sequence[int], layer: str, class_names: Sequence[str] | None = None) -> str:
    """The name of a unit in a plot."""
    if layer == "score":
        if class_names is None:
            return f"class {unit[-1]}"
        names = check_class_names(class_names) or []
        if unit[-1] >= len(names):
            raise ValueError(
                f"Expected `class_names` to name class {unit[-1]}. Received: {len(names)} names, class_names={class_names!r}"
            )
        return names[unit[-1]]
    return f"channel {unit[0]}" if len(unit) == 1 else f"unit {', '.join(map(str, unit))}"


def in_color(drawn: np.ndarray) -> np.ndarray:
    """An image as `displayed` returns it in color, also if it is gray."""
    if drawn.ndim == 3:
        return drawn
    low, high = drawn.min(), drawn.max()
    return np.repeat(((drawn - low) / (high - low or 1))[..., None], 3, axis=2)


def arrays_of(explanation: "Explanation", field: str) -> dict[str, np.ndarray]:
    """The inputs or values of an explanation by name of the input, channels last."""
    named = named_arrays(getattr(explanation, field))
    return {
        name: layout.channels_last(array) if array.ndim == layout.rank else array
        for (name, array), layout in zip(named.items(), explanation.layouts, strict=True)
    }
