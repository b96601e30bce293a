"""The page of `explain`, in words for people who have not read a paper."""

import dataclasses

import numpy as np

from keras_xai.explaining.story import answered, cost, diagnosed, hidden, measured, noun, pieces, reading, summary
from keras_xai.explaining.work import Picked, Work
from keras_xai.report.explanations import explanations_plot
from keras_xai.report.page import Card, Case, Page

SHOWN = 8  # samples with a picture
_CHANCES = 3  # classes of a sample that are listed
_ROWS = 20  # answers in the table of those without a picture
_LEVELS = ("poor", "fair", "good")


def page_of(work: Work) -> Page:
    """The page of what was found."""
    page = Page(f"Why {work.subject.model.name} answers as it does")
    page.text(summary(work, SHOWN))
    page.cards(_first_cards(work))
    _add_answers(page, work)
    if work.picked:
        _add_trust(page, work)
        page.heading("The methods, and why these")
        page.cards(
            Card(_numbered(number, work), each.candidate.name, f"It {each.candidate.does} {each.candidate.why}")
            for number, each in enumerate(work.picked)
        )
    if work.mistakes is not None:
        _add_mistakes(page, work)
    if work.region is not None:
        _add_region(page, work)
    if work.diagnosis is not None:
        _add_diagnosis(page, work)
    _add_end(page, work)
    return page


def _first_cards(work):
    cards = [Card("Answers", *answered(work))]
    if work.picked:
        best = work.best
        if best.trust is not None:
            cards.append(Card("Read this first", best.candidate.name, hidden(work, best), _LEVELS[best.trust.level]))
        else:
            cards.append(Card("Read this first", best.candidate.name, f"It {best.candidate.does}"))
    if work.region is not None and work.region.radius is not None:
        cards.append(Card("Linear piece", *pieces(work)))
    return cards


def _numbered(number, work):
    return f"Method {number + 1} of {len(work.picked)}"


def _add_answers(page, work):
    page.heading("What speaks for the answers")
    if work.picked:
        page.text(reading(work))
    named = {each.candidate.name: each.explanation for each in work.picked}
    page.cases(_case(work, named, sample, sample) for sample in range(min(work.count, SHOWN)))
    shown, count = min(work.count, SHOWN), len(work.answers)
    if count > shown:
        table = work.answers.table().iloc[shown : shown + _ROWS]
        rows = [
            (f"{noun(work).capitalize()} {sample + 1}", *map(_cell, row))
            for sample, row in zip(table.index, table.values, strict=True)
        ]
        more = f" {count - shown - len(rows):,} more are in `report.predictions`." if count > shown + len(rows) else ""
        page.heading("Further answers", 3)
        page.table(rows, header=("", *table.columns), caption=f"Without pictures.{more}")


def _cell(value):
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, (float, np.floating)) else str(value)


def _case(work, named, sample, row):
    """The answer for a sample, and its explanations, which are in a row of `named`."""
    answers = work.answers
    title, note = f"{noun(work).capitalize()} {sample + 1}", ""
    labels = work.subject.labels
    bars: list[tuple[str, float, str]] = []
    if answers.has_classes:
        chances = answers.chances(sample)
        title += f": {answers.name(int(answers.predicted[sample]))}"
        if answers.are_probabilities:
            bars = [(answers.name(i), chance, f"{chance:.1%}") for i, chance in chances[:_CHANCES]]
        else:
            highest = max(abs(chance) for _, chance in chances) or 1.0
            bars = [(answers.name(i), max(chance, 0) / highest, f"{chance:.3g}") for i, chance in chances[:_CHANCES]]
        if labels is not None:
            right = labels[sample] == answers.predicted[sample]
            note = "Right." if right else f"Wrong: it is {answers.name(labels[sample])}."
    else:
        title += f": {answers.outputs[sample, 0]:.4g}"
        note = "" if labels is None else f"The true value is {labels[sample]:.4g}."
    return Case(title, _figure(work, named, row) if named else None, bars, note)


def _figure(work, named, row):
    subject = work.subject
    return explanations_plot(
        named,
        samples=[row],
        show=subject.show,
        class_names=subject.class_names,
        feature_names=subject.feature_names,
        vocabulary=subject.vocabulary,
    )


def _add_trust(page, work):
    page.heading("How far to trust this")
    page.text(measured(work))
    page.cards(_trust_card(work, each) for each in work.picked)


def _trust_card(work, found: Picked):
    name = found.candidate.name
    if found.trust is None:
        return Card(name, "Not rated", work.left_out.get(f"How far to trust {name}", ""))
    return Card(name, found.trust.words, hidden(work, found), _LEVELS[found.trust.level])


def _add_mistakes(page, work):
    explanation, wrong = work.mistakes
    page.heading("The most confident mistakes")
    page.text(
        f"The model is wrong about {len(work.answers.wrong):,} of {len(work.answers):,}. These are the mistakes that it was most sure of, "
        f"explained by {work.best.candidate.name}: what is red speaks for the wrong answer."
    )
    named = {work.best.candidate.name: explanation}
    page.cases(_case(work, named, int(sample), row) for row, sample in enumerate(wrong))


def _add_region(page, work):
    region = work.region
    page.heading("The linear piece")
    value, note = pieces(work)
    page.text(f"{note} {value}." if region.radius is not None else note)
    count = min(3, work.count, len(region.features))
    if work.picked and count:
        explanation = work.picked[0].explanation[:count]
        features = np.asarray(region.features)[:count].astype("float64")
        shown = dataclasses.replace(
            explanation, values=features, derivatives=True, baseline=None, convergence_delta=None, method="Decision features"
        )
        for row in range(count):
            against = "" if region.against is None else f", against {work.answers.name(int(region.against[row]))}"
            radius = "" if region.radius is None else f" Exact within a distance of {region.radius[row]:.2g}."
            page.figure(
                _figure(work, {"Decision features": shown}, row), f"{noun(work).capitalize()} {row + 1}{against}.{radius}"
            )


def _add_diagnosis(page, work):
    page.heading("Where the classes come apart")
    page.text(diagnosed(work))
    page.figure(work.diagnosis.plot_depth())


def _add_end(page, work):
    page.heading("What it cost")
    rows = [(each.candidate.name, f"{each.explanation.num_forward_passes:.4g}", f"{each.seconds:.2g}") for each in work.picked]
    if rows:
        page.table(rows, header=("method", f"passes for one {noun(work)}", "seconds"), caption=cost(work))
    if work.left_out:
        page.heading("What was left out")
        page.table(list(work.left_out.items()), header=("", "why"))
