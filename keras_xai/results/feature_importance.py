"""`FeatureImportance`: importance of the features of a dataset."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from keras_xai.results.base import Rows
from keras_xai.results.html import frame_table
from keras_xai.results.pictures import drawn
from keras_xai.results.text import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class FeatureImportance(Rows):
    """Importance of features, or groups of entries, for a metric on a dataset, see `PermutationImportance`.

    Attributes:
        importances: `(features, repeats)`, in the unit of the metric: how much worse it is in each repeat, negative if it is better.
        score: The metric of the samples as they are.
        metric: Its name.
        higher_is_better: Whether the metric drops with importance; a loss rises.
        feature_names: Name of each feature.
    """

    importances: np.ndarray
    score: float
    metric: str
    higher_is_better: bool
    feature_names: list[str]

    _row_axes: ClassVar[Mapping[str, int]] = {"importances": 0}
    _row_lists: ClassVar[tuple[str, ...]] = ("feature_names",)

    @property
    def mean(self) -> np.ndarray:
        """The mean over the repeats, `(features,)`."""
        return self.importances.mean(axis=1)

    @property
    def std(self) -> np.ndarray:
        """The standard deviation over the repeats, `(features,)`: the error of one permutation, not of another dataset."""
        return self.importances.std(axis=1)

    @property
    def table(self) -> "pd.DataFrame":
        """A pandas data frame of mean and standard deviation, with a row for each feature, the most important first."""
        import pandas as pd

        index = pd.Index(self.feature_names, name="feature")
        return pd.DataFrame({"mean": self.mean, "std": self.std}, index=index).sort_values(
            "mean", ascending=False, kind="stable"
        )

    def plot(
        self,
        *,
        top: int = 20,
        feature_names: Sequence[str] | None = None,
        title: str = "",
        path: str | os.PathLike[str] | None = None,
    ) -> "Figure":
        """Plots a bar for each feature, the most important first, with the standard deviation over the repeats.

        Args:
            top: Number of features to draw.
            feature_names: Names of the features; by default those of the result.
            title: A title; the metric by default.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure.

        Raises:
            ValueError: If there is not a name for each feature, or `top` is not positive.

        Example:

        >>> import numpy as np
        >>> from keras_xai.results import FeatureImportance
        >>> found = FeatureImportance(np.array([[0.1, 0.3], [0.5, 0.6]]), 0.9, "accuracy", True, ["age", "height"])
        >>> [label.get_text() for label in found.plot().axes[0].get_yticklabels()]
        ['height', 'age']
        """
        return drawn("importance", "importance_plot", self, top=top, feature_names=feature_names, title=title, path=path)

    def _summary(self) -> str:
        return f"of {counted(len(self), 'feature')} for {self.metric}, {self.score:.4g} on the samples"

    def _facts(self) -> dict[str, Any]:
        return {"repeats": self.importances.shape[1], "higher is better": self.higher_is_better}

    def _table_html(self) -> str:
        return frame_table(self.table)

    def _picture(self) -> "Figure":
        return self.plot()
