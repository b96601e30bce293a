"""The page of `explain`, in words for people who have not read a paper."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, final

import numpy as np
from keras import tree

from keras_xai.attribution import Explanation
from keras_xai.explaining.drawings import colored, picture_of
from keras_xai.explaining.story import (
    answered,
    cost,
    diagnosed,
    hidden,
    measured,
    named,
    noun,
    numbered,
    piece,
    ranked,
    reading,
    summary,
    title,
    two_classes,
    unknown_colors,
    weights,
)
from keras_xai.explaining.work import Picked, Work
from keras_xai.report.blocks import Card, Case
from keras_xai.report.kinds import num_shown
from keras_xai.report.page import Page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LARGER = 2.0  # how much more pictures of several methods take than one of the first method
_CHANCES = 3  # classes of a sample that are listed
_ROWS = 20  # answers in the table of those without a picture
_COLUMNS = 12  # columns of a table that are compared over all rows
_LEVELS = ("poor", "fair", "good")


@final
class Pen:
    """Draws pictures as long as there is time.

    Args:
        work: What was found.
    """

    def __init__(self, work: Work):
        self._work = work
        self._cost = _LARGER * work.figure_seconds  # of the most expensive picture so far
        self._start: float | None = None

    def has_time(self) -> bool:
        """Whether there is time for another picture; the last one is in the page by then."""
        budget = self._work.budget
        if self._start is not None:
            self._cost = max(self._cost, budget.used - self._start)
        self._start = None
        return budget.seconds - budget.used > 1.5 * self._cost + 0.03 * budget.seconds

    def drawn(self, named: Mapping[str, Explanation], row: int) -> "Figure | None":
        """The picture of a sample, see `drawings.drawn`; `None` if there is no time."""
        if not self.has_time():
            return None
        self._start = self._work.budget.used
        return picture_of(self._work.subject, named, row)


def page_of(work: Work) -> Page:
    """The page of what was found."""
    page = Page(title(work))
    page.text(summary(work))
    page.cards(_first_cards(work))
    pen = Pen(work)
    _add_answers(page, work, pen)
    if work.picked:
        page.heading("How far to trust this")
        page.text(measured(work))
        page.cards(_trust_card(work, each) for each in work.picked)
        page.heading("The methods, and why these")
        page.cards(
            Card(
                f"Method {number + 1} of {len(work.picked)}",
                each.candidate.name,
                f"It {each.candidate.does} {each.candidate.why}",
            )
            for number, each in enumerate(work.picked)
        )
    if work.mistakes is not None:
        _add_mistakes(page, work, pen)
    if work.region is not None:
        _add_region(page, work, pen)
    if work.diagnosis is not None:
        page.heading("Where the classes come apart")
        page.text(diagnosed(work))
        if pen.has_time():
            page.figure(work.diagnosis.plot_depth())
    _add_end(page, work)
    return page


def _first_cards(work):
    cards = [Card("Answers", *answered(work))]
    if work.picked:
        best = work.best
        if best.trust is None:
            cards.append(Card("Read this first", best.candidate.name, f"It {best.candidate.does}"))
        else:
            level = _LEVELS[best.trust.level]
            cards.append(Card("Read this first", best.candidate.name, ranked(work), level))
            cards.append(Card("Can it be trusted?", best.trust.words, hidden(work, best), level))
    return cards


def _add_answers(page, work, pen):
    page.heading("What speaks for the answers")
    if work.picked:
        page.text(reading(work))
        for note in filter(None, (two_classes(work), unknown_colors(work))):
            page.text(note)
    explained = {each.candidate.name: each.explanation for each in work.picked}
    page.cases(_case(work, pen, explained, int(sample), row) for row, sample in enumerate(work.order[: work.shown]))
    if work.picked and work.subject.kinds == ["table"] and work.count > 1:
        best = work.best
        (values,) = tree.flatten(best.explanation.values)
        sizes = np.abs(values).mean(axis=0)
        names = work.subject.feature_names or [f"column {i}" for i in range(len(sizes))]
        order = np.argsort(-sizes, kind="stable")[: num_shown(len(sizes), _COLUMNS)]
        page.heading("The columns that matter most", 3)
        page.text(
            f"The mean size of the values by {best.candidate.name} over {numbered(work.count, noun(work))}, in the unit of the score."
        )
        page.bars((names[i], sizes[i] / (sizes.max() or 1), f"{sizes[i]:.3g}") for i in order)


def _case(work, pen, explained, sample, row):
    """The answer for a sample, and its explanations, which are in a row of `explained`."""
    answers, labels = work.answers, work.subject.labels
    heading, note, level = named(work, sample), "", ""
    bars: list[tuple[str, float, str]] = []
    if answers.has_classes:
        chances = answers.chances(sample)
        heading += f": {answers.name(int(answers.predicted[sample]))}"
        if answers.are_probabilities:
            bars = [(answers.name(i), chance, f"{chance:.1%}") for i, chance in chances[:_CHANCES]]
        else:
            highest = max(abs(chance) for _, chance in chances) or 1.0
            bars = [(answers.name(i), max(chance, 0) / highest, f"{chance:.3g}") for i, chance in chances[:_CHANCES]]
        if labels is not None:
            right = labels[sample] == answers.predicted[sample]
            note, level = ("Right.", "good") if right else (f"Wrong: it is {answers.name(labels[sample])}.", "poor")
    else:
        heading += f": {answers.outputs[sample, 0]:.4g}"
        note = "" if labels is None else f"The true value is {labels[sample]:.4g}."
    if not explained:
        return Case(heading, None, bars, note=note, level=level)
    words = colored(work.subject, explained, row)
    figure = None if words else pen.drawn(explained, row)
    if not words and figure is None:
        note += " There was no time for its picture."
    return Case(heading, figure, bars, words, note.strip(), level)


def _trust_card(work, found: Picked):
    name = found.candidate.name
    if found.trust is None:
        return Card(name, "Not rated", work.left_out.get(f"How far to trust {name}", ""))
    return Card(name, found.trust.words, hidden(work, found), _LEVELS[found.trust.level])


def _add_mistakes(page, work, pen):
    explanation, wrong = work.mistakes
    page.heading("The most confident mistakes")
    page.text(
        f"The model is wrong about {len(work.answers.wrong):,} of {len(work.answers):,}. It was most sure of these mistakes, explained by "
        f"{work.best.candidate.name}: what is red speaks for the wrong answer."
    )
    explained = {work.best.candidate.name: explanation}
    page.cases(_case(work, pen, explained, int(sample), row) for row, sample in enumerate(wrong))


def _add_region(page, work, pen):
    region = work.region
    page.heading("The exact formula")
    page.text(piece(work))
    page.text(weights(work))
    count = min(3 if region.radius is not None else 1, work.count, len(region.features))
    if not work.picked:
        return
    # The weights are those of the predicted class, whatever is explained elsewhere.
    chosen = work.order[:count]
    explained = work.picked[0].explanation[:count]
    own = (
        {"target": work.answers.predicted[chosen], "probability": explained.predicted_probability}
        if work.answers.has_classes
        else {}
    )
    shown = dataclasses.replace(
        explained,
        **own,
        values=np.asarray(region.features)[:count].astype("float64"),
        derivatives=True,
        baseline=None,
        convergence_delta=None,
        method="weights",
    )
    for row, sample in enumerate(chosen):
        against = (
            "" if region.against is None else f": for {work.answers.name(int(work.answers.predicted[sample]))} and against "
        )
        against += "" if region.against is None else work.answers.name(int(region.against[row]))
        note = "" if region.radius is None else f"Holds within a distance of {region.radius[row]:.2g}."
        page.cases([Case(f"{named(work, int(sample))}{against}", pen.drawn({"weights": shown}, row), note=note)])


def _add_end(page, work):
    shown, count = work.shown, len(work.answers)
    if count > shown:
        others = np.setdiff1d(np.arange(count), work.order[:shown])[:_ROWS]
        table = work.answers.table().iloc[others]
        rows = [(named(work, int(sample)), *map(_cell, row)) for sample, row in zip(others, table.values, strict=True)]
        more = count - shown - len(rows)
        page.heading("Further answers")
        caption = f"{more:,} more are in the `predictions` of the report." if more else None
        page.table(rows, header=("", *table.columns), caption=caption)
    page.heading("What it cost")
    rows = [(each.candidate.name, f"{each.explanation.num_forward_passes:.3g}", f"{each.seconds:.2g}") for each in work.picked]
    if rows:
        page.table(rows, header=("method", f"passes for one {noun(work)}", "seconds"), caption=cost(work))
    if work.left_out:
        page.heading("What was left out")
        page.cases(Case(name, note=why) for name, why in work.left_out.items())


def _cell(value):
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, (float, np.floating)) else str(value)
