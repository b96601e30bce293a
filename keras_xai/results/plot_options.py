"""How explanations are drawn: the options of `Explanation.plot`, `Comparison.plot` and `explanations_plot`."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal, final

import numpy as np

from keras_xai.data.checks import check_choice, check_count, check_function, check_number, check_text, short
from keras_xai.data.imagenet import ClassNames, check_class_names
from keras_xai.data.preprocessing import Preprocessing, PreprocessingName, check_preprocessing

Sign = Literal["both", "positive", "absolute"]
Kind = Literal["bars", "waterfall", "bar", "beeswarm"]
Show = Callable[[np.ndarray], np.ndarray]


@final
@dataclasses.dataclass(frozen=True, eq=False)
class PlotOptions:
    """Options of `keras_xai.report.explanations_plot`, which describes them.

    `Explanation.plot` draws as many samples as its kind of plot usually has, if `samples` is `None`.

    Raises:
        ValueError: If one is none of the allowed values.
    """

    samples: int | Sequence[int] | None = 4
    show: Show | None = None
    preprocessing: Preprocessing | PreprocessingName | None = None
    class_names: ClassNames | None = None
    feature_names: Sequence[str] | None = None
    vocabulary: Sequence[str] | None = None
    labels: Sequence[Any] | None = None
    title: str = ""
    alpha: float = 1.0
    cmap: str | None = None
    sign: Sign = "both"
    percentile: float = 99.0
    columns: int | None = None

    def __post_init__(self):
        check_text("title", self.title)
        check_function("show", self.show)
        check_number("alpha", self.alpha, least=0, most=1)
        check_number("percentile", self.percentile, least=1, most=100)
        check_choice("sign", self.sign, ("both", "positive", "absolute"))
        if self.columns is not None:
            check_count("columns", self.columns)
        object.__setattr__(self, "preprocessing", check_preprocessing(self.preprocessing))
        object.__setattr__(self, "class_names", check_class_names(self.class_names))

    def check_labels(self, count: int) -> None:
        """Refuses labels that are not one for each of `count` samples, a class or its name."""
        if self.labels is None:
            return
        try:
            labels = np.asarray(self.labels)
        except ValueError:  # of lists of several lengths
            labels = np.zeros(())
        if labels.shape != (count,) or labels.dtype.kind not in "iuU" or isinstance(self.labels, str):
            raise ValueError(
                f"Expected `labels` to be a class index, or the name of a class, for each of {count} explained samples. Received: "
                f"labels={short(self.labels)}"
            )
