"""`ExplanationReport`: the result of `explain`, a page in a notebook and in a file."""

import dataclasses
import html
import os
import pathlib
from typing import TYPE_CHECKING, final

import numpy as np

from keras_xai.report.page import Page
from keras_xai.results.comparison import Comparison
from keras_xai.results.text import counted, listed

if TYPE_CHECKING:
    import pandas as pd

_HEIGHT = 760  # pixels of the frame in a notebook


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ExplanationReport:
    """What `keras_xai.explain` has found, as numbers and as a page.

    In a notebook it shows itself as the last value of a cell. The page is in a frame of its own, so that its style and that of the notebook
    do not mix.

    Attributes:
        predictions: A pandas data frame with a row for each sample: what the model predicts, with its probability if it has one, and the
            label if there are labels. Its index is that of the samples, if they are a `DataFrame`.
        comparison: The explanations by each method, and how they were rated beside a control of random values; `None` if the time did not
            suffice for any.
        samples: `(n,)`, the positions of the explained samples among all, in the order of `comparison`.
        reasons: For each method, why it was picked.
        left_out: For each thing that is not on the page, why not.
        seconds: Seconds that the call took.
        page: The page.
    """

    predictions: "pd.DataFrame"
    comparison: Comparison | None
    samples: np.ndarray
    reasons: dict[str, str]
    left_out: dict[str, str]
    seconds: float
    page: Page

    def save(self, path: str | os.PathLike) -> pathlib.Path:
        """Writes the page to one HTML file without external parts; an existing file is replaced at once.

        Args:
            path: Name of the file; its folder must exist.

        Returns:
            The path.

        Raises:
            IsADirectoryError: If it is the path of a folder.
            FileNotFoundError: If the folder of the file does not exist.
        """
        return self.page.save(path)

    def html(self) -> str:
        """The page as HTML."""
        return self.page.html()

    def __repr__(self) -> str:
        methods = listed(self.reasons, 4)
        return f"<ExplanationReport of {counted(len(self.predictions), 'sample')} by {methods or 'no method'}>"

    def _repr_html_(self) -> str:
        source = html.escape(self.html(), quote=True)
        style = f"width: 100%; height: {_HEIGHT}px; border: 1px solid #d9dde1; border-radius: 8px; background: #fff;"
        return f'<iframe srcdoc="{source}" style="{style}" title="Explanation"></iframe>'
