"""Explanations as pictures: images, series, tables and texts, by one method or by several side by side."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.data.checks import check_named, check_names, chosen_indices
from keras_xai.data.imagenet import ClassNames
from keras_xai.data.preprocessing import Preprocessing, PreprocessingName
from keras_xai.report.colors import add_scale, colors_for
from keras_xai.report.explained import explained_by_all
from keras_xai.report.kinds import kind_of, num_shown, strongest_features, tabled
from keras_xai.report.labels import INCHES_PER_LETTER, feature_label, shortened, wrapped_label
from keras_xai.report.layers import draw_bars, layers_figure, wrapped
from keras_xai.report.overlays import draw_over, flat
from keras_xai.report.plots import draw_picture
from keras_xai.report.samples import arrays_of, displayed, shown_images
from keras_xai.report.series import draw_series, series_height, series_width, strongest_channels
from keras_xai.report.words import draw_words, laid_out, words_of
from keras_xai.results.explanation import Explanation
from keras_xai.results.pictures import saved
from keras_xai.results.plot_options import PlotOptions, Show, Sign

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_FEATURES = 12
_VALUE = 12  # characters of a usual value of a feature
_LABEL = 22  # characters of a line of the label of a row

# Width of a column, in inches; that of a series depends on its length.
_WIDTHS = {"image": 1.9, "table": 2.6, "text": 3.8}


@saved
def explanations_plot(
    named: Mapping[str, Explanation],
    *,
    samples: int | Sequence[int] = 4,
    show: Show | None = None,
    preprocessing: Preprocessing | PreprocessingName | None = None,
    class_names: ClassNames | None = None,
    feature_names: Sequence[str] | None = None,
    vocabulary: Sequence[str] | None = None,
    labels: Sequence[Any] | None = None,
    title: str = "",
    alpha: float = 1.0,
    cmap: str | None = None,
    sign: Sign = "both",
    percentile: float = 99.0,
    columns: int | None = None,
    path: str | os.PathLike[str] | None = None,
) -> "Figure":
    """Plots explanations of the same samples side by side, with a row per sample and a column per method.

    Red is a positive contribution to the explained score, blue a negative one; methods that give no negative values have a scale from
    zero. Each picture has its own scale, limited by the 99th percentile of its absolute values, because methods have different units and a
    single bright pixel would hide the rest.

    Rows name the explained class with its probability, and the predicted class if it is another one; if the explanations are of different
    classes, the predicted one only. Explanations know the layout of
    their inputs, so that channels first are drawn as channels last. An image is shown in its colors as far as the model tells how they were
    preprocessed, and for each method in gray below the colors of the values, summed over the channels. A series is a line per channel
    in these colors, of its eight strongest channels if there are more; of more than three, each has a lane of its own scale. A square array
    of more than eight channels is drawn as an image, which it usually is. Features are bars, the most relevant to all methods first. Tokens
    are words on a background in these colors. A model of several inputs has a row per input.

    Values of a layer are drawn without the samples: feature maps as a picture per channel, the strongest channels first, and vectors as
    bars.

    Args:
        named: Maps the name of each method to its explanation, all of the same samples.
        samples: Indices of the samples to draw, or the number of first samples.
        show: Maps an image `(height, width, channels)` that the model takes to a displayable image, `(height, width)` or
            `(height, width, 3)`, instead of `preprocessing`.
        preprocessing: How the images were preprocessed, which is undone: `"caffe"`, `"tf"` or `"torch"`, as in `keras.applications`;
            `"unit"` for colors from 0 to 1, `"raw"` for 0 to 255. By default what the model tells; if that is nothing, values are scaled to
            the color range.
        class_names: Names of the classes, or `"imagenet"`; two for a single sigmoid, of classes 0 and 1.
        feature_names: Names of the features of a table, by default the column names, if the samples were a `DataFrame`; or of the channels
            of a series.
        vocabulary: The word of each token, such as `TextVectorization.get_vocabulary()`; token 0 is padding and not drawn.
        labels: The true class of each explained sample, or its name, to be named as well.
        title: A title.
        alpha: Opacity of the largest values over an image, from 0 to 1; smaller values are more transparent.
        cmap: Name of a color map of matplotlib; by default blue, white and red.
        sign: `"both"`, `"positive"` for positive contributions only, or `"absolute"` for absolute values.
        percentile: Percentile of the absolute values at which the color scale of a picture ends.
        columns: The number of methods side by side, the others below; of a single explanation, the number of samples. By default all
            methods, and one sample.
        path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: If there is no explanation, they are not of the same samples, there is no such sample, an option is none of the allowed
            values, or a number of names does not fit.

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
    options = PlotOptions(
        samples=samples,
        show=show,
        preprocessing=preprocessing,
        class_names=class_names,
        feature_names=feature_names,
        vocabulary=vocabulary,
        labels=labels,
        title=title,
        alpha=alpha,
        cmap=cmap,
        sign=sign,
        percentile=percentile,
        columns=columns,
    )
    return draw_explanations(named, options)


def draw_explanations(named: Mapping[str, Explanation], options: PlotOptions) -> "Figure":
    """Draws `explanations_plot`.

    Args:
        named: Maps the name of each method to its explanation, all of the same samples.
        options: The other arguments.
    """
    check_named("named", named, Explanation, "explanation")
    if any(each.layer is not None for each in named.values()):
        return layers_figure(named, options)
    return Grid(named, options).figure()


class Grid:
    """The pictures of `explanations_plot` and their layout, with the same arguments as `draw_explanations`.

    Attributes:
        names: Names of the methods.
        first: The first column of a method, 1 if there is one for the input.
        footers: After `figure`: for each method the axes below its pictures, if there are any.
        footer_labels: The axes of the first column there, by the number of its line.
    """

    def __init__(self, named: Mapping[str, Explanation], options: PlotOptions):
        self.names = list(named)
        self.footers: dict[str, Axes] = {}
        self.footer_labels: list[Axes] = []
        self._options = options
        self._explanations = list(named.values())
        self._inputs, columns = tabled(arrays_of(self._explanations[0], "inputs"))
        self._values = [tabled(arrays_of(each, "values"), columns)[0] for each in self._explanations]
        for name, explanation in named.items():
            shapes = [x.shape for x in tabled(arrays_of(explanation, "inputs"), columns)[0].values()]
            if shapes != [x.shape for x in self._inputs.values()]:
                raise ValueError(
                    f"Expected explanations of the same samples. Received: samples of shape {shapes} for '{name}', and of shape "
                    f"{[x.shape for x in self._inputs.values()]} for '{self.names[0]}'."
                )
        # An input that no method explains, such as a mask, has no picture.
        self._inputs = {name: x for name, x in self._inputs.items() if any(each[name].ndim for each in self._values)}
        layouts = dict(zip(arrays_of(self._explanations[0], "inputs"), self._explanations[0].layouts, strict=True))
        self._kinds = {name: kind_of(x, layouts.get(name)) for name, x in self._inputs.items()}
        count = len(next(iter(self._inputs.values())))
        self._samples = chosen_indices("samples", options.samples, count)
        options.check_labels(count)
        self._vocabulary = None if options.vocabulary is None else check_names("vocabulary", options.vocabulary)
        named_columns = [each.feature_names for each in self._explanations if each.feature_names is not None]
        feature_names = options.feature_names
        feature_names = next(iter([*named_columns, columns]), None) if feature_names is None else feature_names
        self._feature_names = None if feature_names is None else check_names("feature_names", feature_names)
        for name, x in self._inputs.items():
            if self._kinds[name] == "table" and feature_names is not None:
                check_names("feature_names", feature_names, x.shape[1], "feature")
            if self._kinds[name] == "series" and feature_names is not None and len(self._inputs) == 1:
                check_names("feature_names", feature_names, x.shape[-1], "channel")
        self._colors = colors_for(self._explanations, options)
        self._limits: list[float] = []
        self._shown_by = shown_images(self._images(), self._explanations, options)
        self.first = int("image" in self._kinds.values())

    def figure(self, footer: float = 0.0) -> "Figure":
        """The figure, with an empty row of `footer` inches below the methods if that is not 0."""
        from keras_xai.report.figure import new_figure

        title, across = self._options.title, self._options.columns or len(self.names)
        # Lines of blocks, which are a sample and an input each, for some of the methods.
        single = len(self.names) == 1 and self._options.columns is not None
        if single:
            parts = [self._samples[i : i + across] for i in range(0, len(self._samples), across)]
            bands = [(range(1), [[(sample, name) for sample in part] for part in parts for name in self._inputs])]
            title = title or self.names[0]
        else:
            rows = [[(sample, name)] for sample in self._samples for name in self._inputs]
            bands = [(range(i, min(i + across, len(self.names))), rows) for i in range(0, len(self.names), across)]
        heights = [self._heights(rows, single) + [footer] * bool(footer) for _, rows in bands]
        width = max(
            series_width(self._inputs[name].shape[1]) if kind == "series" else _WIDTHS[kind]
            for name, kind in self._kinds.items()
        )
        per_block = self.first + len(bands[0][0])
        blocks = max(len(line) for line in bands[0][1])
        columns = per_block * blocks
        left = (0.2 if single else 1.3) + blocks * self._label_width()
        inches = sum(map(sum, heights))
        size = (max(left + width * columns, 3.6), inches + 0.3 * len(bands) + 0.65 + 0.3 * bool(title))
        figure = new_figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(sum(map(len, heights)), columns, height_ratios=[each for band in heights for each in band])
        places, row = [], 0
        for methods, lines in bands:
            for number, line in enumerate(lines):
                for block, (sample, name) in enumerate(line):
                    start = block * per_block
                    axes = [figure.add_subplot(grid[row, start + i]) for i in range(self.first + len(methods))]
                    self._draw_row(axes, sample, name, methods, above=single)
                    if number == 0 and not single:
                        titles = ["input"] * self.first + [self.names[i] for i in methods]
                        for each, column in zip(axes, titles, strict=True):
                            each.set_title(wrapped(column, width), fontsize=10)
                row += 1
            if footer:
                places.append((row, methods))
                row += 1
        add_scale(figure, self._colors, self._limits[0] if len(self._limits) == 1 else None)
        for row, methods in places:
            below = [figure.add_subplot(grid[row, column]) for column in range(self.first + len(methods))]
            for each in below:
                each.axis("off")
            self.footer_labels.append(below[0])
            self.footers.update({self.names[i]: each for i, each in zip(methods, below[self.first :], strict=True)})
        if title:
            figure.suptitle(title, fontsize=11)
        return figure

    def _label_width(self):
        """The width of the labels of features in inches."""
        if "table" in self._kinds.values():
            longest = max(map(len, map(shortened, self._feature_names or [""])))
            return max(0.9, INCHES_PER_LETTER * (longest + _VALUE))
        return 0.9 * ("text" in self._kinds.values())

    def _images(self):
        """The images among the inputs, by name."""
        return {name: x for name, x in self._inputs.items() if self._kinds[name] == "image"}

    def _heights(self, rows, above):
        """The heights of rows in inches, with labels above the pictures or beside them."""
        found = []
        for line in rows:
            labels = 0.16 * max(self._label(sample, name).count("\n") + 1 for sample, name in line)
            height = max(self._height(sample, name) for sample, name in line)
            found.append(height + labels if above else max(height, labels + 0.1))
        return found

    def _height(self, sample, name):
        """The height of a row in inches."""
        kind, x = self._kinds[name], self._inputs[name]
        if kind == "image":
            height, width = flat(x[sample]).shape[:2]
            return _WIDTHS["image"] * float(np.clip(height / width, 0.2, 3))
        if kind == "table":
            return 0.24 * num_shown(x.shape[1], _FEATURES) + 0.3
        if kind == "text":
            return 0.19 * (1 + max((line for _, line, _, _ in laid_out(self._words(x[sample]))), default=0)) + 0.15
        return series_height(x.shape[-1]) + 0.3

    def _draw_row(self, axes, sample, name, methods, *, above):
        x, kind = self._inputs[name][sample], self._kinds[name]
        values = [np.asarray(self._values[i][name][sample], "float64") for i in methods]
        if not all(np.isfinite(each).all() for each in values):
            raise ValueError(f"Expected explanations of finite values. Received: NaN or infinity for sample {sample}.")
        label = self._label(sample, name)
        if above:
            axes[0].set_title(label, fontsize=8.5, loc="left")
        else:
            # Placed next to the first picture: features and words have no picture in the input column, since the methods' pictures name
            # them.
            labeled = axes[0 if kind in ("image", "series") else self.first]
            labeled.set_ylabel(label, fontsize=9, rotation=0, ha="right", va="center")
        if self.first:
            self._draw_input(axes[0], x, name)
        places = axes[self.first :]
        if kind == "table":
            self._draw_features(places, x, [self._colors.shown(each) for each in values])
        elif kind == "series":
            channels = strongest_channels([self._colors.shown(each) for each in values], x.shape[1])
            for each, found in zip(places, values, strict=True):
                self._limits.append(draw_series(each, x, found, channels, self._channel_names, self._colors))
        else:
            for each, found in zip(places, values, strict=True):
                self._limits.append(
                    draw_over(each, flat(found), self._picture(x, name), self._colors, self._options.alpha)
                    if kind == "image"
                    else draw_words(each, self._words(x), found, colors=self._colors)
                )
        for each, found in zip(places, values, strict=True):
            if not found.any():  # as of Grad-CAM, if all weighted maps are negative: without a word it looks like a fault
                each.set_xlabel("all values are zero", fontsize=8)

    def _draw_features(self, axes, x, values):
        shown = strongest_features(values, _FEATURES)
        names = range(len(x)) if self._feature_names is None else self._feature_names
        labels = [feature_label(str(names[i]), x[i]) for i in shown]
        for number, (each, found) in enumerate(zip(axes, values, strict=True)):
            self._limits.append(draw_bars(each, found[shown], labels if number == 0 else None, self._colors))

    def _draw_input(self, axes, x, name):
        kind = self._kinds[name]
        if kind != "series":
            axes.set(xticks=[], yticks=[])
        if kind == "image":
            draw_picture(axes, self._picture(x, name))
            axes.spines[:].set_color("#c4cad0")
            axes.spines[:].set_linewidth(0.8)
        elif kind == "series":
            draw_series(axes, x, None, strongest_channels([np.ptp(x, axis=0, keepdims=True)], x.shape[1]), self._channel_names)
        else:
            axes.spines[:].set_visible(False)

    @property
    def _channel_names(self):
        return self._feature_names if len(self._inputs) == 1 else None

    def _picture(self, x, name):
        return displayed(self._shown_by[name], x if x.ndim == 3 and x.shape[-1] in (1, 3) else flat(x))

    def _words(self, tokens):
        return words_of(tokens, self._vocabulary)

    def _label(self, sample, name):
        """What is explained of a sample, at its first input, and the name of one of several inputs."""
        lines = [name] if len(self._inputs) > 1 else []
        if name == next(iter(self._inputs)):
            lines = explained_by_all(self._explanations, sample, self._options.class_names, self._options.labels) + lines
        longest = _LABEL if self._options.columns is None or len(self.names) > 1 else 2 * _LABEL
        return "\n".join(wrapped_label(line, longest) for line in lines)
