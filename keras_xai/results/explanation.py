"""`Explanation`: the result of an attribution method."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np
from keras import tree

from keras_xai import targets
from keras_xai.data.checks import check_choice
from keras_xai.data.imagenet import ClassNames
from keras_xai.data.layout import Layout
from keras_xai.data.preprocessing import Preprocessing, PreprocessingName
from keras_xai.results import tables
from keras_xai.results.base import Rows, taken
from keras_xai.results.pictures import drawn, html
from keras_xai.results.plot_options import Kind, PlotOptions, Show, Sign
from keras_xai.results.text import counted, listed, shapes

if TYPE_CHECKING:
    import pandas as pd
    import shap
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Explanation(Rows):
    """Attributions: the contribution of each input entry of each sample to a score.

    `explanation[2:5]` is the explanation of three samples.

    Attributes:
        values: In the structure of the model's inputs: an array `(n, *input_shape)`, or a list, tuple or dict of them for a model of
            several inputs, with `None` for an input that was held fixed, see `held_fixed`. The channel axis has length 1 if the method
            does not distinguish channels, like methods that rate image
            positions. Positive values are positive contributions to the score, negative values negative contributions, if the method has
            signs. The unit is that of the score for methods that distribute it; otherwise the method's page gives the unit.
        target: The explained target: the class of each sample, an integer array `(n,)`; or the given callable, as `SampleScores` if it
            scores all samples at once, and a target of `keras_xai.targets` with the classes and regions that it has found for each
            sample; a dict of these by output name for a model of several outputs. For a single sigmoid, class 1 is
            the one of its score, and class 0 the other one, of the negated score.
        inputs: The explained samples, in the form that the model takes.
        convergence_delta: `(n,)`: the completeness error of each sample's values, in the unit of the score; `None` for methods that do not
            distribute a score.
        baseline: The baseline as used by the method; `None` if it takes none.
        num_forward_passes: Average number of forward passes of the model per sample. A gradient counts as one pass more than the score that
            it differentiates.
        method: Name of the method.
        derivatives: Whether the values are derivatives with respect to the entries, so that a value times a small change of its entry is
            the change of the score, instead of contributions to the score.
        feature_names: The column names, if the samples were a `DataFrame` for a model of one input, otherwise `None`.
        shared_baseline: Whether `baseline` is a background shared by all samples instead of one baseline per sample.
        probability: `(n,)`: the probability that the model gives the explained class, if it ends in a softmax or sigmoid. A dict of these
            by output name for a model of several outputs; `None` if no explained output is of this kind.
        prediction: The same for an output of one score that is not a probability, such as that of a regression.
        predicted_class: `(n,)`: the class of the highest probability, of a softmax or a single sigmoid; as `probability`.
        predicted_probability: `(n,)`: the probability of this class; as `probability`.
        layout: What each axis of the inputs is, such as `"NHWC"` or `"NCHW"`, in the structure of the inputs; see
            `keras_xai.layers.DeclaredLayout` for the letters. `None` for channels last. Metrics and pictures read it.
        layer: Path of the layer to whose output the values belong, by methods with `layer`; `values` is then an array of its shape.
            `None` for values of the inputs.
        channel_axis: The axis of the channels in values of a layer; `None` for values of the inputs.
        base_score: `(n,)`, by methods with a `convergence_delta`: the score that the values are added to. `base_score` plus the sum of the
            values plus `convergence_delta` is the score of the sample. It is the score of the baseline, the mean score of a shared
            background, zero for LRP and gradient times input, and for LIME the constant of its linear model, in which a segment
            counts once.
        nonnegative: Whether the method gives no values below zero, as Grad-CAM. Pictures then have a scale from zero.
        preprocessing: How the images that the model takes were preprocessed, as far as the model tells: pictures undo it. `None` if it is
            not known.
    """

    values: Any
    target: Any
    inputs: Any
    convergence_delta: np.ndarray | None
    baseline: Any
    num_forward_passes: float
    method: str
    derivatives: bool = False
    feature_names: list[str] | None = None
    shared_baseline: bool = False
    probability: Any = None
    prediction: Any = None
    predicted_class: Any = None
    predicted_probability: Any = None
    layout: Any = None
    layer: str | None = None
    channel_axis: int | None = None
    base_score: np.ndarray | None = None
    nonnegative: bool = False
    preprocessing: Preprocessing | None = None

    _row_axes: ClassVar[Mapping[str, int]] = dict.fromkeys(
        (
            *("values", "target", "inputs", "convergence_delta", "base_score"),
            *("probability", "prediction", "predicted_class", "predicted_probability"),
        ),
        0,
    )

    @property
    def held_fixed(self) -> list:
        """The inputs that are not explained but kept as they are: the keys of `values`, or positions in it.

        Masks, segments and positions of tokens; and, for methods that need derivatives, codes and texts.
        """
        named = (
            self.values.items()
            if isinstance(self.values, Mapping)
            else enumerate(self.values if _several(self.values) else [])
        )
        return [name for name, each in named if each is None]

    def to_fields(self) -> dict[str, Any]:
        """Returns the contents as dicts, lists and tuples of arrays, strings and numbers; ready-made targets as dicts."""
        preprocessing = None if self.preprocessing is None else self.preprocessing.to_fields()
        return {**super().to_fields(), "target": targets.to_fields(self.target), "preprocessing": preprocessing}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Creates an explanation from the fields returned by `to_fields`."""
        preprocessing = fields.get("preprocessing")
        restored = None if preprocessing is None else Preprocessing.from_fields(preprocessing)
        return cls(**{**fields, "target": targets.from_fields(fields["target"]), "preprocessing": restored})

    def _taken(self, rows: np.ndarray) -> Self:
        baseline = self.baseline if self.shared_baseline else taken(self.baseline, rows)
        return dataclasses.replace(super()._taken(rows), baseline=baseline)

    @property
    def layouts(self) -> list[Layout]:
        """The layout of each input, in a flat list."""
        inputs = tree.flatten(self.inputs)
        given = [None] * len(inputs) if self.layout is None else tree.flatten(self.layout)
        return [
            Layout.of_shape(np.shape(x), np.asarray(x).dtype) if each is None else Layout(each)
            for x, each in zip(inputs, given, strict=True)
        ]

    def plot(
        self,
        samples: int | Sequence[int] | None = None,
        *,
        kind: Kind | None = None,
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
        """Plots the explanation of each sample: an image, a series, a table or a text, colored by the values.

        Red is a positive contribution to the explained score, blue a negative one; a method that gives no negative values has a scale from
        zero. Rows name the explained class with its probability, and the predicted class if it is another one. An image is drawn in its
        colors, as far as the model tells how it was preprocessed, next to its values, summed over the channels; a series has a line for
        each of its eight strongest channels; a table has a bar for each of its twelve most relevant features; tokens are words on a colored
        background. A model of several inputs has a row per input. `keras_xai.report.explanations_plot` draws several explanations side by
        side.

        Tables have further kinds of plots, which take columns of several inputs as one table. Of more than twelve features the others are
        added up or left out, as the picture says. An option that a kind does not have is refused.

        Args:
            samples: Indices of the samples to draw, or the number of first samples. By default the first four; the first one for a
                waterfall, all for `"bar"` and `"beeswarm"`.
            kind: For tables. `"bars"`: bars of each sample. `"waterfall"`: from the base score to the score of a sample, with the
                convergence delta as the last step, for methods whose values add up to a score. `"bar"`: mean absolute values over samples.
                `"beeswarm"`: the values of all samples, a dot each, colored by the value of the feature. By default bars, or what the data
                are drawn as.
            show: Maps an image `(height, width, channels)` that the model takes to a displayable image, `(height, width)` or
                `(height, width, 3)`, instead of `preprocessing`.
            preprocessing: How the images were preprocessed, which is undone: `"caffe"`, `"tf"` or `"torch"`, as in `keras.applications`;
                `"unit"` for colors from 0 to 1, `"raw"` for 0 to 255. By default what the model tells; if that is nothing, values are
                scaled to the color range.
            class_names: Names of the classes, or `"imagenet"`; two for a single sigmoid, of classes 0 and 1.
            feature_names: Names of the features of a table, by default the column names, if the samples were a `DataFrame`; or of the
                channels of a series.
            vocabulary: The word of each token, such as `TextVectorization.get_vocabulary()`; token 0 is padding and not drawn.
            labels: The true class of each explained sample, or its name, to be named as well.
            title: A title.
            alpha: Opacity of the largest values over an image, from 0 to 1; smaller values are more transparent.
            cmap: Name of a color map of matplotlib; by default blue, white and red, and for the features of a beeswarm viridis.
            sign: `"both"`, `"positive"` for positive contributions only, or `"absolute"` for absolute values.
            percentile: Percentile of the absolute values at which the color scale of a picture ends.
            columns: The number of samples side by side, in several lines if there are more; by default one.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure with a row per sample.

        Raises:
            ValueError: If there is no such sample, a value is not finite, a number of names does not fit, or a `kind` is given for samples
                that are no table.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.attribution import GradientTimesInput
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> figure = GradientTimesInput(model)(np.array([[3.0, -1.0]])).plot(feature_names=["age", "income"])
        >>> sorted(text.get_text() for text in figure.axes[0].get_yticklabels())
        ['age = 3', 'income = -1']
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
        return drawn("tables", "explanation_plot", self, kind, options, path=path)

    def to_dataframe(self, form: Literal["wide", "long"] = "wide") -> "pd.DataFrame":
        """Returns the values as a pandas `DataFrame`.

        Args:
            form: `"wide"` for tables: a row per sample and a column per feature, by name; columns of several inputs are beside each
                other. `"long"` for all data: a row per entry of each sample, with its sample, its feature or position (such as row,
                column and channel), the entry itself as `data`, and its `value`. Inputs that are held fixed have no values and are left
                out.

        Raises:
            ValueError: If the form is `"wide"` and the samples are no table.

        Example:

        >>> import keras, pandas as pd
        >>> from keras_xai.attribution import GradientTimesInput
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> explanation = GradientTimesInput(model)(pd.DataFrame({"age": [3.0, 1.0], "income": [-1.0, 2.0]}))
        >>> frame = explanation.to_dataframe()
        >>> list(frame.columns), frame.loc[0].tolist()
        (['age', 'income'], [3.0, -1.0])
        """
        check_choice("form", form, ("wide", "long"))
        return tables.wide_frame(self) if form == "wide" else tables.long_frame(self)

    def to_shap(self) -> "shap.Explanation":
        """Returns a `shap.Explanation`, which the plots of the shap library take: `shap.plots.beeswarm(explanation.to_shap())`.

        Its `values` are those of a table, or of the one input; `base_values` the `base_score`, by methods that have one; `data` the
        samples, and `feature_names` the names of the features.

        Raises:
            ValueError: If the model has several inputs that are no table.
            ImportError: If the shap library is not installed.

        Example:

        >>> import keras, pandas as pd
        >>> from keras_xai.attribution import DeepLIFT
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> x = pd.DataFrame({"age": [3.0, 1.0], "income": [-1.0, 2.0]})
        >>> found = DeepLIFT(model)(x, baseline=[1.0, 1.0]).to_shap()
        >>> found.feature_names, found.base_values.tolist(), found.values.tolist()
        (['age', 'income'], [2.0, 2.0], [[2.0, -2.0], [0.0, 1.0]])
        """
        return tables.shap_explanation(self)

    def _summary(self) -> str:
        return f"by {self.method}: {counted(len(self), 'sample')} of shape {shapes(self.inputs)}"

    def _facts(self) -> dict[str, Any]:
        names = self.feature_names
        return {
            "values of": None if self.layer is None else f"the layer {self.layer}",
            "target": _target(self.target)
            if self.prediction is None or isinstance(self.prediction, Mapping)
            else "the model's output",
            "values": self.values,
            "held fixed": listed(map(str, self.held_fixed)) if self.held_fixed else None,
            "largest convergence delta": None
            if self.convergence_delta is None or not self.convergence_delta.size
            else float(np.abs(self.convergence_delta).max()),
            "forward passes per sample": self.num_forward_passes,
            "axes of the inputs": None if self.layout is None else ", ".join(each.letters for each in self.layouts),
            "values are": "derivatives by the entries" if self.derivatives else None,
            "feature_names": None if names is None else listed(names),
        }

    def _table_html(self) -> str:
        return html("tokens", "texts_html", self)

    def _picture(self) -> "Figure | None":
        return None if self._table_html() else self.plot(samples=3)


def _several(values):
    return isinstance(values, (list, tuple))


def _target(target):
    if isinstance(target, Mapping):
        return {name: _target(each) for name, each in target.items()}
    return f"class {listed(target.tolist())}" if isinstance(target, np.ndarray) and target.ndim == 1 else target
