"""Explanations as pictures: images, series, tables and texts, by one method or by several side by side."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.data.checks import check_named, check_names, chosen_indices
from keras_xai.report.explained import explained
from keras_xai.report.labels import INCHES_PER_LETTER, feature_label, shortened
from keras_xai.report.layers import draw_bars, layers_figure, wrapped
from keras_xai.report.plots import draw_picture
from keras_xai.report.samples import arrays_of, displayed
from keras_xai.report.series import draw_series, series_height, series_width, strongest_channels
from keras_xai.report.words import LUMINANCE, add_scale, color_limit, colors_of, draw_words, laid_out
from keras_xai.results.explanation import Explanation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_FEATURES = 12

# Width of a column, in inches; that of a series depends on its length.
_WIDTHS = {"image": 1.9, "table": 2.6, "text": 3.8}
# A square array of more channels is an image of a network of dense layers, which do not tell that it is one.
_SQUARE = 8


def explanations_plot(
    named: Mapping[str, Explanation],
    *,
    samples: int | Sequence[int] = 4,
    show: Callable[[np.ndarray], np.ndarray] | None = None,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    vocabulary: Sequence[str] | None = None,
    title: str = "",
) -> "Figure":
    """Plots explanations of the same samples side by side, with a row per sample and a column per method.

    Red is a positive contribution to the explained score, blue a negative one. Each picture has its own scale, centered at zero and limited
    by the 99th percentile of its absolute values, because methods have different units and a single bright pixel would hide the rest.

    Explanations know the layout of their inputs, so that channels first are drawn as channels last. An image is shown unchanged, and for
    each method in gray below the colors of the values, summed over the channels. A series is a line per channel in these colors, of its
    eight strongest channels if there are more; of more than three, each has a lane of its own scale. A square array of more than eight
    channels is drawn as an image, which it usually is. Features are bars, the most relevant to all methods first. Tokens are words on a
    background in these colors. A model of several inputs has a row per input.

    Values of a layer are drawn without the samples: feature maps as a picture per channel, the strongest channels first, and vectors as
    bars.

    Args:
        named: Maps the name of each method to its explanation, all of the same samples.
        samples: Indices of the samples to draw, or the number of first samples.
        show: Maps an image `(height, width, channels)` from the model's preprocessing to a displayable image, `(height, width)` or
            `(height, width, 3)`. By default values are scaled to the color range.
        class_names: Names of the classes; two for a single sigmoid, of classes 0 and 1.
        feature_names: Names of the features of a table, by default the column names, if the samples were a `DataFrame`; or of the channels
            of a series.
        vocabulary: The word of each token, such as `TextVectorization.get_vocabulary()`; token 0 is padding and not drawn.
        title: A title.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: If there is no explanation, they are not of the same samples, there is no such sample, or a number of names does not
            fit.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput, Saliency
    >>> from keras_xai.report import explanations_plot
    >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    >>> model, x = keras.Sequential(layers), np.random.default_rng(0).random((5, 8, 8, 1))
    >>> figure = explanations_plot({method.label: method(x) for method in (Saliency(model), GradientTimesInput(model))})
    >>> [axes.get_title() for axes in figure.axes[:3]]
    ['input', 'Saliency', 'GradientTimesInput']
    """
    check_named("named", named, Explanation, "explanation")
    if any(each.layer is not None for each in named.values()):
        unused = {"show": show, "feature_names": feature_names, "vocabulary": vocabulary}
        return layers_figure(named, samples, class_names, title, unused)
    grid = Grid(named, samples, show, class_names, feature_names, vocabulary)
    return grid.figure(title)


class Grid:
    """The pictures of `explanations_plot` and their layout, with the same arguments."""

    def __init__(self, named, samples, show, class_names, feature_names, vocabulary):
        check_named("named", named, Explanation, "explanation")
        self.names = list(named)
        self._explanations = list(named.values())
        self._inputs, columns = _tabled(arrays_of(self._explanations[0], "inputs"))
        self._values = [_tabled(arrays_of(each, "values"), columns)[0] for each in self._explanations]
        for name, explanation in named.items():
            shapes = [x.shape for x in _tabled(arrays_of(explanation, "inputs"), columns)[0].values()]
            if shapes != [x.shape for x in self._inputs.values()]:
                raise ValueError(
                    f"Expected explanations of the same samples. Received: samples of shape {shapes} for '{name}', and of shape "
                    f"{[x.shape for x in self._inputs.values()]} for '{self.names[0]}'."
                )
        # An input that no method explains, such as a mask, has no picture.
        self._inputs = {name: x for name, x in self._inputs.items() if any(each[name].ndim for each in self._values)}
        layouts = dict(zip(arrays_of(self._explanations[0], "inputs"), self._explanations[0].layouts, strict=True))
        self._kinds = {name: _kind(x, layouts.get(name)) for name, x in self._inputs.items()}
        self._samples = chosen_indices("samples", samples, len(next(iter(self._inputs.values()))))
        self._show = show
        self._class_names = None if class_names is None else check_names("class_names", class_names)
        self._vocabulary = None if vocabulary is None else check_names("vocabulary", vocabulary)
        named_columns = [each.feature_names for each in self._explanations if each.feature_names is not None]
        feature_names = next(iter([*named_columns, columns]), None) if feature_names is None else feature_names
        self._feature_names = None if feature_names is None else check_names("feature_names", feature_names)
        for name, x in self._inputs.items():
            if self._kinds[name] == "table" and feature_names is not None:
                check_names("feature_names", feature_names, x.shape[1], "feature")
            if self._kinds[name] == "series" and feature_names is not None and len(self._inputs) == 1:
                check_names("feature_names", feature_names, x.shape[-1], "channel")
        self.first = int("image" in self._kinds.values())  # the first column of a method

    def figure(self, title: str, footer: float = 0.0) -> "Figure":
        """The figure, with an empty row of `footer` inches below the methods if that is not 0."""
        from keras_xai.report.figure import new_figure

        rows = [(sample, name) for sample in self._samples for name in self._inputs]
        heights = [self._height(sample, name) for sample, name in rows]
        width = max(
            series_width(self._inputs[name].shape[1]) if kind == "series" else _WIDTHS[kind]
            for name, kind in self._kinds.items()
        )
        columns = self.first + len(self.names)
        left = 0.6 if {"table", "text"}.isdisjoint(self._kinds.values()) else 1.5
        if "table" in self._kinds.values() and self._feature_names is not None:
            left = max(left, INCHES_PER_LETTER * (15 + max(len(shortened(name)) for name in self._feature_names)))
        figure = new_figure(
            figsize=(max(left + width * columns, 3.6), sum(heights) + footer + 0.95 + 0.3 * bool(title)), layout="constrained"
        )
        grid = figure.add_gridspec(len(rows) + bool(footer), columns, height_ratios=heights + [footer] * bool(footer))
        for row, (sample, name) in enumerate(rows):
            axes = [figure.add_subplot(grid[row, column]) for column in range(columns)]
            self._draw_row(axes, sample, name)
            if row == 0:
                for each, column in zip(axes, ["input"] * self.first + self.names, strict=True):
                    each.set_title(wrapped(column, width), fontsize=10)
        add_scale(figure)
        if footer:
            for column in range(columns):
                figure.add_subplot(grid[len(rows), column]).axis("off")
        if title:
            figure.suptitle(title, fontsize=11)
        return figure

    def _height(self, sample, name):
        """The height of a row in inches."""
        kind, x = self._kinds[name], self._inputs[name]
        if kind == "image":
            height, width = _flat(x[sample]).shape[:2]
            return _WIDTHS["image"] * float(np.clip(height / width, 0.2, 3))
        if kind == "table":
            return 0.24 * min(x.shape[1], _FEATURES) + 0.3
        if kind == "text":
            return 0.19 * (1 + max((line for _, line, _, _ in laid_out(self._words(x[sample]))), default=0)) + 0.15
        return series_height(x.shape[-1]) + 0.3

    def _draw_row(self, axes, sample, name):
        x, kind = self._inputs[name][sample], self._kinds[name]
        values = [np.asarray(each[name][sample], "float64") for each in self._values]
        if not all(np.isfinite(each).all() for each in values):
            raise ValueError(f"Expected explanations of finite values. Received: NaN or infinity for sample {sample}.")
        # Placed next to the first picture: features and words have no picture in the input column, since the methods' pictures name them.
        labeled = axes[0 if kind in ("image", "series") else self.first]
        # A row of words is too low for a label along its side.
        upright = {"rotation": 0, "ha": "right", "va": "center"} if kind == "text" else {}
        labeled.set_ylabel(self._label(sample, name).replace(" (", "\n(" if upright else " ("), fontsize=9, **upright)
        if self.first:
            self._draw_input(axes[0], x, kind)
        if kind == "table":
            shown = _strongest(values)
            names = range(len(x)) if self._feature_names is None else self._feature_names
            labels = [feature_label(str(names[i]), x[i]) for i in shown]
            for number, (each, found) in enumerate(zip(axes[self.first :], values, strict=True)):
                draw_bars(each, found[shown], labels if number == 0 else None)
        for each, found in zip(axes[self.first :], values, strict=True):
            if kind == "image":
                _draw_over(each, _flat(found), self._picture(x))
            elif kind == "series":
                draw_series(each, x, found, strongest_channels(values, x.shape[1]), self._channel_names)
            elif kind == "text":
                draw_words(each, self._words(x), found)
            if not found.any():  # as of Grad-CAM, if all weighted maps are negative: without a word it looks like a fault
                each.set_xlabel("all values are zero", fontsize=8)

    def _draw_input(self, axes, x, kind):
        if kind != "series":
            axes.set(xticks=[], yticks=[])
        if kind == "image":
            draw_picture(axes, self._picture(x))
            axes.spines[:].set_color("#c4cad0")
            axes.spines[:].set_linewidth(0.8)
        elif kind == "series":
            draw_series(axes, x, None, strongest_channels([np.ptp(x, axis=0, keepdims=True)], x.shape[1]), self._channel_names)
        else:
            axes.spines[:].set_visible(False)

    @property
    def _channel_names(self):
        return self._feature_names if len(self._inputs) == 1 else None

    def _picture(self, x):
        return displayed(self._show, x if x.ndim == 3 and x.shape[-1] in (1, 3) else _flat(x))

    def _words(self, tokens):
        """Positions and words of all tokens that are not padding."""
        if tokens.dtype.kind == "U":
            return [(i, str(word)) for i, word in enumerate(tokens) if word]
        used = [(i, int(token)) for i, token in enumerate(tokens) if token]
        if self._vocabulary is None:
            return [(i, str(token)) for i, token in used]
        if used and max(token for _, token in used) >= len(self._vocabulary):
            raise ValueError(
                f"Expected a `vocabulary` with a word for each token. Received: {len(self._vocabulary)} words, and the token "
                f"{max(token for _, token in used)}."
            )
        return [(i, self._vocabulary[token] or "[UNK]") for i, token in used]

    def _label(self, sample, name):
        """The explained class of a sample, at its first input, and the name of one of several inputs."""
        lines = [name] if len(self._inputs) > 1 else []
        if name == next(iter(self._inputs)):
            lines = explained(self._explanations[0], sample, self._class_names) + lines
        return "\n".join(lines)


def _tabled(arrays: dict[str, np.ndarray], columns: Sequence[str] | None = None) -> tuple[dict, list[str] | None]:
    """Arrays in which several columns `(n, 1)` are one table, and the names of its columns, or `None` if there are not several.

    Args:
        arrays: An array for each input.
        columns: The names, if they are known.
    """
    if columns is None:
        columns = [name for name, x in arrays.items() if x.ndim == 1 or x.shape[1:] == (1,)]
        if len(columns) < 2:
            return arrays, None
    found = {name: x for name, x in arrays.items() if name not in columns}
    count = max(len(arrays[name]) if arrays[name].ndim else 0 for name in columns)
    # Values of a column that was held fixed are 0; numbers and strings stay what they are.
    parts = [arrays[name].reshape(count) if arrays[name].ndim else np.zeros(count) for name in columns]
    same = len({part.dtype.kind in "fiub" for part in parts}) == 1
    table = np.stack([part if same else part.astype(object) for part in parts], axis=1)
    return {"columns": table, **found}, list(columns)


def _kind(x, layout):
    if layout is None:  # columns of several inputs
        return "table"
    if x.dtype.kind in "OU":
        return "text" if x.dtype.kind == "U" and x.ndim == 2 and x.shape[1] > 1 else "table"
    if layout.is_apart:
        return "table" if not layout.is_tokens else "text" if x.ndim == 2 else "image"
    return "series" if x.ndim == 3 and (x.shape[-1] <= _SQUARE or x.shape[1] != x.shape[2]) else "image"


def _flat(values):
    """An image with one value per pixel; for a volume, the mean over all but the last two spatial axes."""
    if values.ndim == 2:
        return values
    values = values.sum(axis=-1)
    return values.mean(axis=tuple(range(values.ndim - 2)))


def _strongest(values):
    """The features to draw: those with the largest relative relevance by any method."""
    strength = np.max([np.abs(each) / (np.abs(each).max() or 1.0) for each in values], axis=0)
    return np.argsort(-strength, kind="stable")[:_FEATURES]


def _draw_over(axes: "Axes", values, picture):
    """Colors over a gray picture, more opaque for larger absolute values."""
    gray = picture if picture.ndim == 2 else picture @ LUMINANCE
    gray = (gray - gray.min()) / (np.ptp(gray) or 1)
    limit = color_limit(values)
    strength = np.clip(np.abs(values) / limit, 0, 1)[..., None] ** 0.6
    # Blended here instead of by transparency, so that a picture larger than its axes is downsampled as a whole.
    axes.imshow(strength * colors_of(values, limit)[..., :3] + (1 - strength) * (0.55 + 0.45 * gray[..., None]))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("#c4cad0")
    axes.spines[:].set_linewidth(0.8)
