"""The page of `explain`."""

import numpy as np

from keras_xai.explaining.work import Picked, Work
from keras_xai.report.explanations import explanations_plot
from keras_xai.report.page import Card, Case, Page
from keras_xai.results.text import counted

_SHOWN = 8  # samples with a picture
_CHANCES = 3  # classes of a sample that are listed
_LEVELS = ("poor", "fair", "good")
_NOUNS = {"image": "image", "volume": "volume", "series": "series", "text": "text", "table": "row", "mixed": "sample"}


def page_of(work: Work) -> Page:
    """The page of what was found."""
    page = Page(f"What the model {work.subject.model.name} looks at")
    page.cases(_case(work, sample) for sample in range(min(work.count, _SHOWN)))
    if work.picked:
        page.heading("How far to trust this")
        page.cards(_trust_card(work, each) for each in work.picked)
    return page


def _case(work, sample):
    answers, subject = work.answers, work.subject
    bars = []
    if answers.has_classes:
        bars = [(answers.name(i), chance, f"{chance:.1%}") for i, chance in answers.chances(sample)[:_CHANCES]]
    named = {each.candidate.name: each.explanation for each in work.picked}
    figure = None
    if named:
        figure = explanations_plot(
            named,
            samples=[sample],
            show=subject.show,
            class_names=subject.class_names,
            feature_names=subject.feature_names,
            vocabulary=subject.vocabulary,
        )
    title = f"{_NOUNS[subject.kind].capitalize()} {sample + 1}"
    return Case(title, figure, bars)


def _trust_card(work, found: Picked):
    if found.trust is None or found.values is None:
        return Card(found.candidate.name, "Not rated")
    mean, other = float(np.nanmean(found.values)), float(np.nanmean(work.controls))
    note = f"{work.metric}: {mean:.3g}, random values {other:.3g}, on {counted(work.count, 'sample')}."
    return Card(found.candidate.name, found.trust.word, note, _LEVELS[found.trust.level])
