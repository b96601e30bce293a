"""`Generation`: the attribution of each generated token to the tokens before it."""

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

from keras_xai.results.base import Result
from keras_xai.results.pictures import drawn
from keras_xai.results.text import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Generation(Result):
    """A generated text: the contribution of each earlier token to the log-probability of each generated one.

    Attributes:
        values: `(generated, tokens)`: for each generated token the contribution of each token before it, NaN for itself and later ones. The
            unit is that of the log-probability for methods that distribute it.
        token_ids: `(tokens,)`: the tokens of the prompt and the generated ones.
        tokens: The text of each token.
        num_prompt: The number of tokens of the prompt, which come first.
        log_probability: `(generated,)`: the log-probability of each generated token, given those before it.
        convergence_delta: `(generated,)`: the completeness error of each row of `values`; `None` for methods that do not distribute a
            score.
        method: Name of the method.
        derivatives: Whether the values are derivatives instead of contributions, see `Explanation`.
    """

    values: np.ndarray
    token_ids: np.ndarray
    tokens: list[str]
    num_prompt: int
    log_probability: np.ndarray
    convergence_delta: np.ndarray | None
    method: str
    derivatives: bool = False

    @property
    def prompt(self) -> list[str]:
        """The texts of the prompt's tokens."""
        return self.tokens[: self.num_prompt]

    @property
    def generated(self) -> list[str]:
        """The texts of the generated tokens."""
        return self.tokens[self.num_prompt :]

    def plot(
        self,
        tokens: int | Sequence[int] | None = 4,
        *,
        vocabulary: Sequence[str] | None = None,
        title: str = "",
        path: str | os.PathLike[str] | None = None,
    ) -> "Figure":
        """Plots the text once for each of several generated tokens, colored by their contributions.

        Red raises the log-probability of the token, which has an outline, blue lowers it. The color scale of each row ends at the 99th
        percentile of its absolute values.

        Args:
            tokens: Indices of the generated tokens to explain, or the number of first ones; `None` for one picture of the mean contribution
                to all generated tokens that come later.
            vocabulary: The word of each token, such as `TextVectorization.get_vocabulary()`; by default the texts in `tokens`.
            title: A title.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure with a row per token.

        Raises:
            ValueError: If there is no such token, or the vocabulary has too few words.
        """
        return drawn("generation", "generation_plot", self, tokens, vocabulary=vocabulary, title=title, path=path)

    def plot_matrix(
        self,
        *,
        vocabulary: Sequence[str] | None = None,
        title: str = "",
        path: str | os.PathLike[str] | None = None,
    ) -> "Figure":
        """Plots all values as a matrix: a row for each generated token, a column for each token before the last one.

        Args:
            vocabulary: The word of each token, such as `TextVectorization.get_vocabulary()`; by default the texts in `tokens`.
            title: A title.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure.
        """
        return drawn("generation", "matrix_plot", self, vocabulary=vocabulary, title=title, path=path)

    def _summary(self) -> str:
        return f"by {self.method}: {counted(len(self.generated), 'token')} after {self.num_prompt}"

    def _facts(self) -> dict[str, Any]:
        delta = self.convergence_delta
        return {
            "prompt": "".join(self.prompt),
            "generated": "".join(self.generated),
            "log-probability": float(self.log_probability.sum()),
            "largest convergence delta": None if delta is None or not delta.size else float(np.abs(delta).max()),
            "values are": "derivatives by the entries" if self.derivatives else None,
        }

    def _picture(self) -> "Figure":
        return self.plot(3)
