"""The work of `explain` in the order of its importance, as far as the time suffices."""

import dataclasses
import io
from collections.abc import Callable
from typing import Any, final

import numpy as np
from keras import tree

from keras_xai.attribution import Explanation, Method
from keras_xai.explaining import budget as clock
from keras_xai.explaining.answers import Answers, ask
from keras_xai.explaining.budget import Budget
from keras_xai.explaining.candidates import Candidate, places
from keras_xai.explaining.diagnosing import diagnosis_of
from keras_xai.explaining.drawings import is_text, picture_of
from keras_xai.explaining.pieces import explained_in_pieces, in_pieces
from keras_xai.explaining.ratings import CONTROL, STEPS, Trust, is_better, metrics_for, random_values, trust_in
from keras_xai.explaining.reasons import first_sentences, too_long
from keras_xai.explaining.region import Region, region_of
from keras_xai.explaining.selection import spread
from keras_xai.explaining.subject import Subject
from keras_xai.metrics import Metric
from keras_xai.report.figure import new_figure
from keras_xai.results.comparison import Comparison, comparison_table
from keras_xai.results.diagnosis import Diagnosis

_MOST = {"image": 6, "volume": 3, "series": 8, "text": 12, "table": 50, "mixed": 8}  # samples that are explained
_SHOWN = {"image": 6, "volume": 3, "series": 6, "text": 8, "table": 5, "mixed": 5}  # samples with a picture
_DPI = 192
# What methods raise that a model is not for; TypeErrors come from layers that cannot be compiled with what they are given.
_REFUSALS = (ValueError, TypeError, NotImplementedError)
_APPLIES_NOT = "It does not apply to this model."
_ALL_ZERO = "It marks nothing here: all its values are zero."
_CONTROLS = 2  # explanations by random values
_MISTAKES = 3  # that are explained
_SHARE = 0.5  # of the seconds left that preparing and running a method may take


@final
@dataclasses.dataclass
class Picked:
    """A method with its explanation.

    Attributes:
        candidate: The method.
        method: The same, made for the model.
        explanation: Its explanation.
        seconds: Seconds for each sample.
        values: Its values of the two metrics, `(2, n)`, if it was rated: with what is most, and with what is least relevant hidden first.
        trust: What they say.
    """

    candidate: Candidate
    method: Method
    explanation: Explanation
    seconds: float
    values: np.ndarray | None = None
    trust: Trust | None = None


@final
class Work:
    """What is found, stage by stage.

    Args:
        subject: The model and the samples.
        budget: The seconds.
        seed: Seed of all that is drawn.

    Attributes:
        answers: The answers of the model.
        order: The samples in the order in which they are explained.
        picked: The methods that were picked.
        metrics: The two metrics.
        controls: Their values for random values, `(draws, 2, n)`.
        region: The linear pieces of the first of them, for a piecewise-linear network.
        mistakes: The explanation of the most confident mistakes, and their indices.
        diagnosis: The layer diagnosis.
        unknown_words: Whether hidden words become unknown words instead of padding.
        left_out: What is missing, and why.
        figure_seconds: Seconds that a picture takes.
    """

    def __init__(self, subject: Subject, budget: Budget, seed: int):
        self.subject = subject
        self.budget = budget
        self.seed = seed
        self.answers: Answers
        self.order = np.arange(len(subject))
        self.picked: list[Picked] = []
        self.metrics: list[Metric] = []
        self.control: Explanation | None = None
        self.controls: np.ndarray | None = None
        self.region: Region | None = None
        self.mistakes: tuple[Explanation, np.ndarray] | None = None
        self.diagnosis: Diagnosis | None = None
        self.left_out: dict[str, str] = {}
        self._count = min(len(subject), _MOST[subject.kind])
        self._rate: Callable[[Explanation], np.ndarray] | None = None
        self._passes = 0  # that rating a sample takes
        self._is_prepared = False
        self.unknown_words = False
        self.figure_seconds = 0.0
        budget.reserved = 0.02 * budget.seconds

    @property
    def count(self) -> int:
        """The number of samples that are explained, the first ones of `order`."""
        return self._count

    def stages(self) -> list[Callable[[], None]]:
        """The stages, the most important first."""
        of_places: list[Callable[[], None]] = []
        for number, place in enumerate(places(self.subject)):
            of_places.append(lambda place=place, number=number: self._explain(place, number))  # type: ignore[misc]
            of_places.append(self._prepare)
        return [self._ask, *of_places, self._find_region, self._explain_mistakes, self._diagnose]

    @property
    def shown(self) -> int:
        """The number of samples with a picture, the first ones of `order`."""
        return min(self._count, _SHOWN[self.subject.kind])

    def _prepare(self):
        """Draws and rates once there is a method, which is not always one for the first place."""
        if self.picked and not self._is_prepared:
            self._is_prepared = True
            self._draw_one()
            self._control()

    def _draw_one(self):
        """Measures what a picture costs, and reserves the time for all of them."""
        found = self.picked[0]
        if not is_text(self.subject):
            # The first figure of a process loads matplotlib and its fonts.
            new_figure(figsize=(1, 1)).savefig(io.BytesIO(), format="png")
        start = clock.now()
        figure = picture_of(self.subject, {found.candidate.name: found.explanation}, 0)
        if figure is not None:
            figure.savefig(io.BytesIO(), format="png", dpi=_DPI)
            self.figure_seconds = clock.now() - start
        # Those of all methods, of mistakes and of linear pieces, of which the last are left out first.
        pictures = 2 * self.shown + 3
        self.budget.reserved = min(self.budget.reserved + self.figure_seconds * pictures, 0.5 * self.budget.seconds)

    def _ask(self):
        self.answers = ask(self.subject, self.budget)
        if len(self.answers) < len(self.subject):
            self.left_out["Some predictions"] = (
                f"The time sufficed for the predictions for the first {len(self.answers):,} of {len(self.subject):,} samples."
            )
        self._count = min(self._count, len(self.answers))
        self.order = self._ordered()
        self.answers.table()  # loads pandas, whose time is known by then

    def _ordered(self):
        """The samples as they are if all are shown, and otherwise spread over the classes."""
        answers, labels = self.answers, self.subject.labels
        if len(answers) <= self.shown or not answers.has_classes:
            return np.arange(len(answers))
        return spread(answers.predicted if labels is None else labels[: len(answers)])

    def _explain(self, place, number):
        """Takes the first of some methods that applies to the model and fits into the time."""
        taken = {each.candidate.name for each in self.picked}
        share = _SHARE if number < len(places(self.subject)) - 1 else 1.0
        left_out: dict[str, str] = {}
        # Rather all samples by a cheaper method than a part of them.
        for count in dict.fromkeys((self._count, 1)):
            for candidate in place:
                if candidate.name in taken or (candidate.name in left_out and _APPLIES_NOT in left_out[candidate.name]):
                    continue
                why_not = self._tried(candidate, count, share)
                if why_not is None:
                    left_out.pop(candidate.name, None)
                    self.left_out.update(left_out)
                    return
                left_out[candidate.name] = why_not
        self.left_out.update(left_out)

    def _tried(self, candidate: Candidate, count: int, share: float) -> str | None:
        """Explains by a method if it is expected to explain a number of samples in time; why not, if it does not."""
        subject, budget = self.subject, self.budget
        passes = candidate.passes(subject)
        programs = candidate.num_programs(subject)
        if not budget.fits(passes * count, programs, share=share):
            return too_long(budget.expected(passes * count, programs), budget)
        start = clock.now()
        try:
            method = candidate.make(subject, self.seed)
            chosen = self.order[: count if candidate.draws else self._count]
            explanation, seconds = self._explanation(method, chosen, passes, share, whole=candidate.draws)
        except _REFUSALS as error:
            return f"{_APPLIES_NOT} {first_sentences(str(error))}"
        budget.learn(clock.now() - start - seconds * (len(explanation) - 1), passes, programs)
        budget.learn(seconds, passes)
        if not any(np.any(values) for values in tree.flatten(explanation.values) if values is not None):
            return _ALL_ZERO
        self._cut(len(explanation))
        names = subject.feature_names if len(subject.arrays) == 1 else None
        explanation = dataclasses.replace(explanation[: self._count], feature_names=names)
        found = Picked(candidate, method, explanation, seconds)
        self.picked.append(found)
        self._rated(found)
        return None

    def _explanation(self, method, chosen, passes, share, whole=False):
        """The explanation of some samples, as far as the time suffices, and the seconds for each."""
        subject, answers = self.subject, self.answers
        functions = callable(subject.target) or (
            isinstance(subject.target, dict) and any(map(callable, subject.target.values()))
        )

        def baseline(part):
            rows = chosen[part]
            if method.shares_baseline:
                return None if subject.background is None else subject.packed(subject.background)
            return subject.typical(rows)

        if whole or functions:
            part = slice(None)
            start = clock.now()
            given = baseline(part) if method.takes_baseline else None
            return method(subject.x(chosen), answers.explained(chosen), given), (clock.now() - start) / len(chosen)
        return explained_in_pieces(
            method,
            lambda part: subject.x(chosen[part]),
            lambda part: answers.explained(chosen[part]),
            baseline,
            count=len(chosen),
            budget=self.budget,
            passes=passes,
            share=min(1.5 * share, 1.0),  # what has begun is better finished
        )

    def _cut(self, count):
        """All methods explain the same samples: as many as the slowest has explained."""
        if count >= self._count:
            return
        self.left_out["Some samples"] = f"The time sufficed to explain {count:,} of {len(self.subject):,} samples."
        self._count = count
        for each in self.picked:
            each.explanation = each.explanation[:count]
            each.values = None if each.values is None else each.values[:, :count]
            each.trust = None
        self.controls = None if self.controls is None else self.controls[..., :count]
        self.control = None if self.control is None else self.control[:count]
        self._judge()

    def _control(self):
        """Rates random values, and with them the first method."""
        count = self._count
        for steps, draws in ((STEPS, _CONTROLS), (STEPS // 2, _CONTROLS), (STEPS // 2, 1)):
            metrics, passes = metrics_for(self.subject, self.answers, steps)
            needed = (draws + 1) * passes * count, 4
            if self.budget.fits(*needed, share=_SHARE):
                break
        else:
            self.left_out["How far to trust the methods"] = too_long(self.budget.expected(*needed), self.budget)
            return
        explanation = self.picked[0].explanation
        try:
            try:
                metrics[0](explanation[:1])
            except _REFUSALS:
                # Without any word a model may have no score, as the mean of nothing has no value.
                if "text" not in self.subject.kinds:
                    raise
                metrics, passes = metrics_for(self.subject, self.answers, steps, token=1)
                metrics[0](explanation[:1])
                self.unknown_words = True
        except _REFUSALS as error:
            self.left_out["How far to trust the methods"] = first_sentences(str(error))
            return
        self.metrics = metrics

        def rate(explanation):
            found, _ = in_pieces(
                lambda part: np.stack([metric(explanation[part]) for metric in metrics]), len(explanation), self.budget, passes
            )
            return np.concatenate(found, axis=1)

        self._rate = rate
        self._passes = passes
        explanation = self.picked[0].explanation
        controls = []
        for draw in range(draws):
            drawn = random_values(explanation, self.subject, self.seed + draw)
            self.control = drawn if self.control is None else self.control
            controls.append(rate(drawn))
        least = min(each.shape[1] for each in controls)
        self.controls = np.stack([each[:, :least] for each in controls])
        self._cut(least)
        self._rated(self.picked[0])

    def _rated(self, found: Picked) -> None:
        if self._rate is None:
            return
        if not self.budget.fits(self._passes * self._count):
            self.left_out[f"How far to trust {found.candidate.name}"] = too_long(
                self.budget.expected(self._passes * self._count), self.budget
            )
            return
        values = self._rate(found.explanation)
        if values.shape[1] < self._count:
            self.left_out[f"How far to trust {found.candidate.name}"] = "The time did not suffice to rate it."
            return
        found.values = values
        self._judge()

    def _judge(self):
        for each in self.picked:
            if each.values is not None and self.controls is not None:
                each.trust = trust_in(self.gap(each.values), self.gap(self.controls))

    def _find_region(self):
        found = region_of(self.subject, self.answers, self.order, self.budget)
        if isinstance(found, str):
            self.left_out["The linear region"] = found
        else:
            self.region = found

    def _explain_mistakes(self):
        wrong = self.answers.wrong[:_MISTAKES]
        if not len(wrong) or not self.picked:
            return
        first = self.best
        passes = first.candidate.passes(self.subject)
        if first.candidate.draws or not self.budget.fits(passes * len(wrong)):
            self.left_out["Pictures of the mistakes"] = too_long(self.budget.expected(passes * len(wrong)), self.budget)
            return
        explanation, _ = self._explanation(first.method, wrong, passes, 1.0)
        self.mistakes = (explanation, wrong[: len(explanation)])

    def _diagnose(self):
        if self.subject.labels is None or not self.answers.has_classes:
            return
        found = diagnosis_of(self.subject, self.budget, self.seed)
        if isinstance(found, str):
            self.left_out["Layer diagnosis"] = found
        else:
            self.diagnosis = found

    @property
    def rated(self) -> list[Picked]:
        """The methods that were rated."""
        return [each for each in self.picked if each.values is not None]

    @property
    def _gaps(self) -> dict[str, np.ndarray]:
        """The gaps of the methods that were rated, by their names."""
        return {each.candidate.name: self.gap(each.values) for each in self.picked if each.values is not None}

    @property
    def best(self) -> Picked:
        """The method with the best mean rating, the first one if none is rated."""
        gaps = self._gaps
        return max(self.rated, key=lambda each: float(np.nanmean(gaps[each.candidate.name])), default=self.picked[0])

    @property
    def tied(self) -> list[str]:
        """The names of the methods whose ratings do not differ from those of the best one beyond their spread over the samples."""
        gaps, best = self._gaps, self.best.candidate.name
        return [name for name in gaps if name != best and not is_better(gaps[best], gaps[name])]

    def gap(self, values: np.ndarray) -> np.ndarray:
        """How much faster the answer falls if what is most relevant is hidden first: `(..., n)` of `(..., 2, n)`."""
        sign = 1 if self.metrics[0].higher_is_better else -1
        return sign * (values[..., 0, :] - values[..., 1, :])

    def comparison(self) -> Comparison | None:
        """The methods and the control, with their ratings, samples in the order in which they were given."""
        if not self.picked:
            return None
        named: dict[str, Any] = {each.candidate.name: each for each in self.rated}
        rated = bool(named) and self.control is not None
        shown = named if rated else {each.candidate.name: each for each in self.picked}
        explanations = {name: each.explanation for name, each in shown.items()}
        seconds = {name: each.seconds for name, each in shown.items()}
        values: dict[str, dict[str, np.ndarray]] = {}
        if rated and self.controls is not None:
            explanations[CONTROL], seconds[CONTROL] = self.control, 0.0
            for number, metric in enumerate(self.metrics):
                values[metric.label] = {name: each.values[number] for name, each in named.items()}
                values[metric.label][CONTROL] = self.controls[:, number].mean(axis=0)
        better = {metric.label: metric.higher_is_better for metric in self.metrics} if rated else {}
        found = Comparison(comparison_table(explanations, values, seconds), explanations, values, better)
        rows = np.argsort(self.order[: self._count])
        return found if (np.diff(rows) == 1).all() else found[rows]
