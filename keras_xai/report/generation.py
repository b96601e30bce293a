"""Pictures of generated text: tokens in the colors of their contributions, and the matrix of all contributions."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.data.checks import check_names, chosen_indices
from keras_xai.report.colors import SIGNED, add_scale
from keras_xai.report.heatmap import COLOR_MAP
from keras_xai.report.words import draw_words, laid_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from keras_xai.results import Generation

_WIDTH = 5.5
_CELL = 0.24
_MOST_INCHES = 40.0


def generation_plot(
    generation: "Generation", tokens: int | Sequence[int] | None, *, vocabulary: Sequence[str] | None, title: str
) -> "Figure":
    """Plots a generated text once for each of several tokens.

    Args:
        generation: The result.
        tokens: Indices of generated tokens, the number of first ones, or `None` for the mean over all.
        vocabulary: The word of each token id, or `None` for the texts of the result.
        title: A title.
    """
    from keras_xai.report.figure import new_figure

    words = _words(generation, vocabulary)
    if tokens is None:
        rows = [_mean(generation, words)]
    else:
        rows = [_row(generation, words, i) for i in chosen_indices("tokens", tokens, len(generation.generated))]
    heights = [0.24 * (1 + max((line for _, line, _, _ in laid_out(shown)), default=0)) + 0.2 for shown, _, _, _ in rows]
    figure = new_figure(figsize=(_WIDTH + 1.2, sum(heights) + 0.8 + 0.3 * bool(title)), layout="constrained")
    grid = figure.add_gridspec(len(rows), 1, height_ratios=heights)
    for number, (shown, values, outlined, label) in enumerate(rows):
        axes = figure.add_subplot(grid[number, 0])
        draw_words(axes, shown, values, outlined=outlined)
        axes.set_ylabel(label, fontsize=9, rotation=0, ha="right", va="center")
    add_scale(figure)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def matrix_plot(generation: "Generation", *, vocabulary: Sequence[str] | None, title: str) -> "Figure":
    """Plots the contributions of all tokens to all generated ones.

    Args:
        generation: The result.
        vocabulary: The word of each token id, or `None` for the texts of the result.
        title: A title.
    """
    from keras_xai.report.figure import new_figure

    values = generation.values[:, :-1]  # none contributes after the last
    words = _words(generation, vocabulary)
    longest = 0.09 * max(map(len, words))
    size = [min(count * _CELL + longest + 1.2, _MOST_INCHES) for count in values.shape[::-1]]
    figure = new_figure(figsize=(size[0], size[1]), layout="constrained")
    axes = figure.add_subplot()
    limit = SIGNED.limit(values[np.isfinite(values)])
    image = axes.imshow(values, cmap=COLOR_MAP, vmin=-limit, vmax=limit, aspect="auto")
    axes.set_facecolor("#e8ebee")
    axes.set_xticks(range(values.shape[1]), words[:-1], rotation=90, fontsize=8)
    axes.set_yticks(range(len(values)), words[generation.num_prompt :], fontsize=8)
    axes.axvline(generation.num_prompt - 0.5, color="#1c2024", linewidth=0.8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="earlier token", ylabel="generated token")
    bar = figure.colorbar(image, ax=axes, fraction=0.05, aspect=15)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def _words(generation, vocabulary):
    """The word of each token to be drawn."""
    texts = generation.tokens
    if vocabulary is not None:
        names = check_names("vocabulary", vocabulary)
        largest = int(np.max(generation.token_ids))
        if largest >= len(names):
            raise ValueError(
                f"Expected a `vocabulary` with a word for each token. Received: {len(names)} words, and the token {largest}."
            )
        texts = [names[i] for i in generation.token_ids]
    # Without the spaces around words, and with signs for those that are only space.
    return [text.strip(" ").replace("\n", "⏎") or "␣" for text in texts]


def _row(generation, words, index):
    """Words, values, the outlined position and the label of one generated token."""
    position = generation.num_prompt + index
    return list(enumerate(words[: position + 1])), generation.values[index], position, f"token {index}"


def _mean(generation, words):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the last token, which contributes to none
        values = np.nanmean(generation.values, axis=0)
    return list(enumerate(words[:-1])), values, None, "all tokens"
