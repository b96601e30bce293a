"""`Comparison`: several methods rated by several metrics."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np

from keras_xai.data.imagenet import ClassNames
from keras_xai.data.preprocessing import Preprocessing, PreprocessingName
from keras_xai.results.base import Rows, taken
from keras_xai.results.explanation import Explanation
from keras_xai.results.html import frame_table
from keras_xai.results.pictures import drawn
from keras_xai.results.plot_options import PlotOptions, Show, Sign
from keras_xai.results.text import counted, listed
from keras_xai.statistics.intervals import interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Comparison(Rows):
    """Several attribution methods rated by several metrics.

    `comparison[2:5]` is the comparison on three of the samples: means and intervals are of these samples, costs of all.

    Attributes:
        table: A pandas data frame with a row per method. For each metric the columns `mean`, `low` and `high`: the mean over the samples
            and its 95 % confidence interval, by Student's t distribution; NaN values are left out. Under `cost`, the forward passes of the
            model and the `seconds` per sample.
        explanations: The explanation by each method.
        values: For each metric name and method name, an array `(n,)`, one value per sample.
        higher_is_better: Whether larger values are better, for each metric name.
    """

    table: "pd.DataFrame"
    explanations: dict[str, Explanation]
    values: dict[str, dict[str, np.ndarray]]
    higher_is_better: dict[str, bool]

    _row_axes: ClassVar[Mapping[str, int]] = {"values": 0}

    def __len__(self) -> int:
        """The number of samples."""
        return len(next(iter(self.explanations.values())))

    def _taken(self, rows: np.ndarray) -> Self:
        explanations = {name: each[rows] for name, each in self.explanations.items()}
        values = taken(self.values, rows)
        seconds = {name: float(self.table["cost"]["seconds"][name]) for name in explanations}
        return dataclasses.replace(
            self, table=comparison_table(explanations, values, seconds), explanations=explanations, values=values
        )

    def to_fields(self) -> dict[str, Any]:
        """Returns the contents as dicts, lists and tuples of arrays, strings and numbers."""
        return {
            "seconds": self.table["cost"]["seconds"].to_dict(),
            "explanations": {name: each.to_fields() for name, each in self.explanations.items()},
            "values": self.values,
            "higher_is_better": self.higher_is_better,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Creates a comparison from the fields returned by `to_fields`."""
        explanations = {name: Explanation.from_fields(each) for name, each in fields["explanations"].items()}
        table = comparison_table(explanations, fields["values"], fields["seconds"])
        return cls(table, explanations, fields["values"], fields["higher_is_better"])

    def plot(
        self,
        samples: int | Sequence[int] = 4,
        *,
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
        """Plots the explanations side by side, with the mean of each metric and half its 95 % confidence interval below.

        Explanations are drawn as by `Explanation.plot`. The best mean of each metric is bold; an arrow indicates whether larger or smaller
        values are better.

        Args:
            samples: Indices of the samples to draw, or the number of first samples.
            show: Maps an image `(height, width, channels)` that the model takes to a displayable image, `(height, width)` or
                `(height, width, 3)`, instead of `preprocessing`.
            preprocessing: How the images were preprocessed, which is undone: `"caffe"`, `"tf"` or `"torch"`, as in `keras.applications`;
                `"unit"` for colors from 0 to 1, `"raw"` for 0 to 255. By default what the model tells; if that is nothing, values are
                scaled to the color range.
            class_names: Names of the classes, or `"imagenet"`; two for a single sigmoid, of classes 0 and 1.
            feature_names: Names of the features of a table; by default the column names, if the samples were a `DataFrame`.
            vocabulary: The word of each token, such as `TextVectorization.get_vocabulary()`; token 0 is padding and not drawn.
            labels: The true class of each explained sample, or its name, to be named as well.
            title: A title.
            alpha: Opacity of the largest values over an image, from 0 to 1; smaller values are more transparent.
            cmap: Name of a color map of matplotlib; by default blue, white and red.
            sign: `"both"`, `"positive"` for positive contributions only, or `"absolute"` for absolute values.
            percentile: Percentile of the absolute values at which the color scale of a picture ends.
            columns: The number of methods side by side, in several lines if there are more; by default all.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure with a row per sample and a column per method.

        Raises:
            ValueError: As in `Explanation.plot`.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.attribution import GradientTimesInput, Saliency
        >>> from keras_xai.metrics import Sparseness, compare_methods
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        >>> methods = [Saliency(model), GradientTimesInput(model)]
        >>> found = compare_methods(model, np.ones((5, 3)), methods, [Sparseness()], verbose=0)
        >>> [axes.get_title() for axes in found.plot(samples=[3]).axes[:2]]
        ['Saliency', 'GradientTimesInput']
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
        return drawn("comparison", "comparison_plot", self.explanations, self.table, self.higher_is_better, options, path=path)

    def _summary(self) -> str:
        return (
            f"of {counted(len(self.explanations), 'method')} ({listed(self.explanations, 4)}) by "
            f"{counted(len(self.higher_is_better), 'metric')} ({listed(self.higher_is_better, 4)}) on {counted(len(self), 'sample')}"
        )

    def _table_html(self) -> str:
        return frame_table(self.table)

    def _picture(self) -> "Figure":
        return self.plot(samples=2)


def comparison_table(
    explanations: Mapping[str, Explanation], values: Mapping[str, Mapping[str, np.ndarray]], seconds: Mapping[str, float]
) -> "pd.DataFrame":
    """The table of a `Comparison`.

    Args:
        explanations: Explanations by method.
        values: For each metric and method, an array `(n,)`.
        seconds: Seconds per sample, by method.
    """
    import pandas as pd

    columns: dict[tuple[str, str], Any] = {}
    for metric, by_method in values.items():
        intervals = np.array([_interval(each) for each in by_method.values()])
        columns |= {(metric, part): intervals[:, i] for i, part in enumerate(("mean", "low", "high"))}
    columns["cost", "num_forward_passes"] = [explanation.num_forward_passes for explanation in explanations.values()]
    columns["cost", "seconds"] = [seconds[name] for name in explanations]
    return pd.DataFrame(columns, index=pd.Index(list(explanations), name="method"))


def _interval(values):
    """Mean of the values other than NaN, with the ends of its 95 % confidence interval."""
    values = values[~np.isnan(values)]
    return interval(values) if values.size else [np.nan] * 3
