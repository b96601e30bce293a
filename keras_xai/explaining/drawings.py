"""Explanations of a sample as a picture, or as colored words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from keras import tree

from keras_xai.attribution import Explanation
from keras_xai.explaining.subject import Subject
from keras_xai.report.colors import SIGNED
from keras_xai.report.explanations import explanations_plot
from keras_xai.report.words import words_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture_of(subject: Subject, named: Mapping[str, Explanation], row: int) -> "Figure | None":
    """The picture of a sample by several methods; `None` for texts, which are better as `colored` words.

    Args:
        subject: The model and the samples.
        named: Explanations by the names of the methods.
        row: Index of the sample in the explanations.
    """
    if is_text(subject):
        return None
    return explanations_plot(
        named,
        samples=[row],
        show=subject.show,
        class_names=subject.class_names,
        feature_names=subject.feature_names,
    )


def colored(subject: Subject, named: Mapping[str, Explanation], row: int) -> list[tuple[str, list[tuple[str, float]]]]:
    """For each method its name, and the words of a text with their values from -1 to 1; nothing for other data."""
    if not is_text(subject):
        return []
    found = []
    for name, explanation in named.items():
        (tokens,), (values,) = tree.flatten(explanation.inputs), tree.flatten(explanation.values)
        scaled = values[row] / SIGNED.limit(values[row])
        words = words_of(tokens[row], subject.vocabulary)
        found.append((name, [(word, float(np.clip(scaled[i], -1, 1))) for i, word in words]))
    return found


def is_text(subject: Subject) -> bool:
    """Whether the samples are texts and nothing else."""
    return subject.kinds == ["text"] and subject.arrays[0].ndim == 2
