"""`Explanation`: the result of an attribution method."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np

from keras_xai.results.base import Rows, taken
from keras_xai.results.pictures import drawn
from keras_xai.results.text import counted, listed, shapes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Explanation(Rows):
    """Attributions: the contribution of each input entry of each sample to a score.

    `explanation[2:5]` is the explanation of three of the samples.

    Attributes:
        values: In the structure of the model's inputs: an array `(n, *input_shape)`, or a list, tuple or dict of them for a model
            of several inputs. The axis of channels has length 1 where the method does not tell channels apart, as those that
            rate places of an image do. Positive values speak for the score, negative ones against it, where the method knows
            signs. The unit is the score's for methods that share it out, and the method's own for others; its page says which.
        target: What is explained: the class of each sample, an integer array `(n,)`; or the callable that was given, as
            `SampleScores` where it scores all samples at once; a dict of these by output name for a model of several outputs. Of a
            single sigmoid, 1 is the class that its score speaks for, and 0 the other one, for which the negated score speaks.
        inputs: The samples that are explained, as the model takes them.
        convergence_delta: `(n,)`: what the values of a sample lack to add up to what they share out, in the unit of the score; `None` for
            methods that share nothing out.
        baseline: What the samples were compared with, as the method used it; `None` where it compares with nothing.
        num_forward_passes: Forward passes of the model that it took for one sample, on average. A gradient counts as one pass more than the
            score that it is of.
        method: Name of the method.
        derivatives: Whether the values are derivatives by the entries, so that one times a small change of its entry is what the
            score changes by, and not what each entry adds to the score.
        feature_names: The names of the columns, where the samples were a `DataFrame` for a model of one input, else `None`.
        shared_baseline: Whether `baseline` is a background that all samples were compared with, and not one for each.
        probability: `(n,)`: what the model predicts, for an output of a single sigmoid: the probability of class 1. A dict of these by
            output name for a model of several outputs; `None` where there is no such output among those that are explained.
        prediction: The same for an output of one score that is no probability, as that of a regression.
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

    _row_axes: ClassVar[Mapping[str, int]] = dict.fromkeys(
        ("values", "target", "inputs", "convergence_delta", "probability", "prediction"), 0
    )

    def _taken(self, rows: np.ndarray) -> Self:
        baseline = self.baseline if self.shared_baseline else taken(self.baseline, rows)
        return dataclasses.replace(super()._taken(rows), baseline=baseline)

    def plot(
        self,
        samples: int | Sequence[int] = 4,
        *,
        show: Callable[[np.ndarray], np.ndarray] | None = None,
        class_names: Sequence[str] | None = None,
        feature_names: Sequence[str] | None = None,
        vocabulary: Sequence[str] | None = None,
        title: str = "",
    ) -> "Figure":
        """Draws the explanation of each sample: an image, a series, a table or a text in the colors of the values.

        Red speaks for the score that is explained, blue against it. An image is drawn beside its values, added up over the channels; a
        series is a line for each channel; of a table the twelve most relevant features have a bar each; tokens are words on a colored
        ground. A model of several inputs has a row for each. The scale of each picture ends at the 99th percentile of the absolute
        values. `keras_xai.report.explanations_plot` draws several explanations side by side.

        Args:
            samples: Indices of the samples to draw, or how many of the first.
            show: Maps an image as the model takes it to one that can be seen, `(height, width)` or `(height, width, 3)`, to undo what
                preprocessing has done. By default values are moved into the range of colors.
            class_names: Names of the classes; two for a single sigmoid, of classes 0 and 1.
            feature_names: Names of the features of a table; by default those of the columns, where the samples were a `DataFrame`.
            vocabulary: The word of each token, such as `TextVectorization.get_vocabulary()`; token 0 is padding and not drawn.
            title: A title.

        Returns:
            A matplotlib figure with a row for each sample.

        Raises:
            ValueError: If there is no such sample, a value is not finite, or a number of names does not fit.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.attribution import GradientTimesInput
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> figure = GradientTimesInput(model)(np.array([[3.0, -1.0]])).plot(feature_names=["age", "income"])
        >>> sorted(text.get_text() for text in figure.axes[0].get_yticklabels())
        ['age = 3', 'income = -1']
        """
        return drawn(
            "explanations",
            "explanations_plot",
            {self.method: self},
            samples=samples,
            show=show,
            class_names=class_names,
            feature_names=feature_names,
            vocabulary=vocabulary,
            title=title,
        )

    def _summary(self) -> str:
        return f"by {self.method}: {counted(len(self), 'sample')} of shape {shapes(self.inputs)}"

    def _facts(self) -> dict[str, Any]:
        names = self.feature_names
        return {
            "target": _target(self.target)
            if self.prediction is None or isinstance(self.prediction, Mapping)
            else "the model's output",
            "values": self.values,
            "largest convergence delta": None
            if self.convergence_delta is None or not self.convergence_delta.size
            else float(np.abs(self.convergence_delta).max()),
            "forward passes per sample": self.num_forward_passes,
            "values are": "derivatives by the entries" if self.derivatives else None,
            "feature_names": None if names is None else listed(names),
        }

    def _picture(self) -> "Figure":
        return self.plot(samples=3)


def _target(target):
    if isinstance(target, Mapping):
        return {name: _target(each) for name, each in target.items()}
    return f"class {listed(target.tolist())}" if isinstance(target, np.ndarray) and target.ndim == 1 else target
