"""Ratings of explanations beside random values, and what they say in words."""

import dataclasses
from typing import final

import numpy as np
from keras import tree

from keras_xai.attribution import Explanation
from keras_xai.explaining.answers import Answers
from keras_xai.explaining.subject import Subject
from keras_xai.metrics import IROF, Deletion, Metric
from keras_xai.statistics.intervals import interval

STEPS = 20  # in which the parts of a sample are hidden
CONTROL = "random values"
# Shares of comparisons with random values that a method wins.
_CLEARLY, _MOSTLY = 0.9, 0.65


@final
class Reversed(Metric):
    """A metric of the explanation whose values are negated: what is least relevant is hidden first.

    Args:
        metric: The metric.
    """

    def __init__(self, metric: Metric):
        self._metric = metric
        self.higher_is_better = not metric.higher_is_better

    @property
    def label(self) -> str:
        """Name of the metric in tables."""
        return f"{self._metric.label}, least relevant first"

    def _rate(self, explanation):
        leaves = [None if each is None else -each for each in tree.flatten(explanation.values)]
        return self._metric(dataclasses.replace(explanation, values=tree.pack_sequence_as(explanation.values, leaves)))


@final
@dataclasses.dataclass(frozen=True)
class Trust:
    """How far an explanation can be trusted.

    Attributes:
        wins: The share of comparisons with random values in which it is better.
        comparisons: Their number.
        level: 2 if it is clearly better than chance, 1 if it is mostly, 0 if it is not.
    """

    wins: float
    comparisons: int
    level: int

    @property
    def words(self) -> str:
        """The level in words."""
        return ("No better than chance", "Better than chance, not everywhere", "Clearly better than chance")[self.level]


def metrics_for(subject: Subject, answers: Answers, steps: int, token: int = 0) -> tuple[list[Metric], int]:
    """The metrics for the kind of data, what is most and what is least relevant hidden first, and the forward passes for each sample."""
    target = subject.target
    functions = any(map(callable, tree.flatten(target))) if target is not None else False
    apart = any(not sizes for sizes, kind in zip(subject.place_sizes.values(), subject.kinds, strict=True) if kind)
    if answers.has_classes and not functions and not apart and "volume" not in subject.kinds:
        metric: Metric = IROF(subject.model, segments=steps, verbose=0)
        return [metric, Reversed(metric)], 2 * (steps + 2)
    steps = min(steps, subject.num_parts(10**9))
    metric = Deletion(subject.model, steps=steps, baseline=subject.typical_of_all(token), verbose=0)
    return [metric, Reversed(metric)], 2 * (steps + 2)


def random_values(explanation: Explanation, subject: Subject, seed: int) -> Explanation:
    """An explanation of the same samples by random values, which are 0 for padding as those of any method."""
    generator = np.random.default_rng(seed)
    padding = subject.scores.padding(subject.scores.typed(tree.flatten(explanation.inputs)))
    leaves: list = []
    for values, padded in zip(tree.flatten(explanation.values), padding, strict=True):
        if values is None:
            leaves.append(None)
            continue
        drawn = generator.uniform(-1, 1, values.shape).astype(values.dtype)
        leaves.append(drawn if padded is None else np.where(padded, 0, drawn).astype(values.dtype))
    return dataclasses.replace(
        explanation,
        values=tree.pack_sequence_as(explanation.values, leaves),
        convergence_delta=None,
        baseline=None,
        num_forward_passes=0.0,
        method=CONTROL,
    )


def is_better(gaps: np.ndarray, others: np.ndarray) -> bool:
    """Whether the gaps of a method are larger on average than those of another for the same samples, beyond their spread.

    That is so if the 95 % confidence interval of the mean difference is above zero. A single sample has no spread, and cannot tell.

    Args:
        gaps: `(n,)`.
        others: `(n,)`.
    """
    differences = gaps - others
    differences = differences[np.isfinite(differences)]
    return bool(len(differences) > 1 and interval(differences).low > 0)


def trust_in(gaps: np.ndarray, controls: np.ndarray) -> Trust:
    """How far the gaps of a method `(n,)` are larger than those of random values `(draws, n)`.

    The negated random values are random values as well, whose gap is the negated one.
    """
    better = np.sign(gaps[None] - np.concatenate([controls, -controls]))
    better = better[~np.isnan(better)]
    wins = float((better.mean() + 1) / 2) if better.size else 0.5
    level = 2 if wins >= _CLEARLY else 1 if wins >= _MOSTLY else 0
    return Trust(wins, int(better.size), level)
