"""Texts as HTML, with each word on a background in the color of its value."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_xai.data.checks import check_instance, check_names, chosen_indices
from keras_xai.data.imagenet import ClassNames
from keras_xai.report.colors import colors_for
from keras_xai.report.explained import explained
from keras_xai.report.samples import arrays_of
from keras_xai.report.words import word_html, words_of
from keras_xai.results.explanation import Explanation
from keras_xai.results.plot_options import PlotOptions
from keras_xai.results.text import encodable

_TEXT = "line-height: 1.9; max-width: 60em; margin: 2px 0 10px 0; text-align: left;"


def words_html(
    explanation: Explanation,
    *,
    samples: int | Sequence[int] = 4,
    class_names: ClassNames | None = None,
    vocabulary: Sequence[str] | None = None,
    labels: Sequence[Any] | None = None,
) -> str:
    """The words of texts as HTML, each on a background in the color of its value; the value is shown when the pointer is on the word.

    Args:
        explanation: An explanation of texts or tokens.
        samples: Indices of the samples to show, or the number of first samples.
        class_names: Names of the classes.
        vocabulary: The word of each token, such as `TextVectorization.get_vocabulary()`; token 0 is padding and not shown.
        labels: The true class of each explained sample, or its name, to be named as well.

    Returns:
        HTML without scripts and style sheets. What is HTML in words and names is escaped.

    Raises:
        ValueError: If the samples are no texts, there is no such sample, a value is not finite, or a number of names does not fit.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.report import words_html
    >>> embedding = keras.layers.Embedding(4, 2, mask_zero=True)
    >>> model = keras.Sequential([keras.Input((3,)), embedding, keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2)])
    >>> explanation = GradientTimesInput(model)(np.array([[2, 3, 0]]))
    >>> text = words_html(explanation, vocabulary=["", "[UNK]", "good", "<b>"])
    >>> "&lt;b&gt;" in text, text.count("<span")
    (True, 2)
    """
    check_instance("explanation", explanation, Explanation, "an `Explanation`")
    options = PlotOptions(samples=samples, class_names=class_names, vocabulary=vocabulary, labels=labels)
    options.check_labels(len(explanation))
    words = None if vocabulary is None else check_names("vocabulary", vocabulary)
    texts = _texts(explanation)
    if texts is None:
        raise ValueError(
            "Expected an explanation of texts or tokens (n, tokens). Received: one of other samples. Use `plot()`, which draws them."
        )
    colors = colors_for([explanation], options)
    rows = []
    for sample in chosen_indices("samples", samples, len(explanation)):
        title = ", ".join(explained(explanation, sample, options.class_names, labels))
        rows.append(f'<div style="font-weight: 600;">{_escaped(title)}</div>' if title else "")
        for tokens, values in texts:
            if not np.isfinite(values[sample]).all():
                raise ValueError(f"Expected explanations of finite values. Received: NaN or infinity for sample {sample}.")
            shown = colors.shown(values[sample])
            found = words_of(tokens[sample], words)
            limit = colors.limit([shown[i] for i, _ in found] or [0.0])
            spans = [word_html(word, values[sample][i], colors.of(shown[i], limit)) for i, word in found]
            rows.append(f'<div style="{_TEXT}">{" ".join(spans)}</div>')
    return "\n".join(row for row in rows if row)


def texts_html(explanation: Explanation) -> str:
    """The first texts of an explanation of texts for a notebook, empty if it is of something else.

    Args:
        explanation: The explanation.
    """
    return "" if explanation.layer is not None or _texts(explanation) is None else words_html(explanation)


def _texts(explanation):
    """Tokens and values of each input, `None` if one is no text; an input that is held fixed is left out."""
    found = []
    inputs, values = (arrays_of(explanation, field) for field in ("inputs", "values"))
    for (name, tokens), layout in zip(inputs.items(), explanation.layouts, strict=True):
        if not values[name].ndim:
            continue
        words = tokens.dtype.kind == "U" and tokens.ndim == 2 and tokens.shape[1] > 1
        if not words and not (layout.is_tokens and tokens.ndim == 2):
            return None
        found.append((tokens, np.asarray(values[name], "float64").reshape(tokens.shape)))
    return found or None


def _escaped(text):
    return html.escape(encodable(text))
