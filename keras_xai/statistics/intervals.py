"""Means with confidence intervals."""

from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A mean with the ends of its 95 % confidence interval, which are NaN for a single value."""

    mean: float
    low: float
    high: float


def interval(influence: np.ndarray) -> Interval:
    """Mean and confidence interval over samples and repeats.

    There are two sources of variation: the drawn samples and the start of each repeat. Their variances, that of the samples' means over
    repeats and that of the repeats' means over samples, are added, and Student's t distribution has the degrees of freedom of the sum by
    Welch and Satterthwaite.

    Args:
        influence: `(n,)`, or `(repeats, n)`.
    """
    return _interval(float(np.mean(influence)), _variances(influence))


def clipped(found: Interval) -> Interval:
    """Clips the interval of a mean of shares to the range from 0 to 1."""
    low, high = np.clip(found[1:], 0, 1)  # NaN stays NaN
    return Interval(found.mean, float(low), float(high))


def share(right: np.ndarray) -> Interval:
    """The share of true values among independent samples, with Wilson's interval; NaN for no samples.

    Args:
        right: Bool `(n,)`.
    """
    from scipy.stats import binomtest

    if not len(right):
        return Interval(np.nan, np.nan, np.nan)
    found = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return Interval(float(right.mean()), float(found.low), float(found.high))


def difference(first: np.ndarray, second: np.ndarray, paired: bool) -> Interval:
    """The difference of two means.

    Args:
        first: `(n,)`, or `(repeats, n)`.
        second: The same number, if they are paired.
        paired: Whether both are for the same samples.
    """
    if paired:
        return interval(np.subtract(first, second))
    return _interval(float(np.mean(first) - np.mean(second)), _variances(first) + _variances(second))


def _variances(influence):
    """The estimable variances of the mean, each with its degrees of freedom."""
    by_repeat = np.atleast_2d(np.asarray(influence, "float64"))
    repeats, count = by_repeat.shape
    found = [(by_repeat.mean(axis=0).var(ddof=1) / count, count - 1)] if count > 1 else []
    if repeats > 1:
        found.append((by_repeat.mean(axis=1).var(ddof=1) / repeats, repeats - 1))
    return found


def _interval(mean, variances):
    from scipy.stats import t

    total = sum(variance for variance, _ in variances)
    if not variances or np.isnan(total):
        return Interval(mean, np.nan, np.nan)
    if not total:
        return Interval(mean, mean, mean)
    freedom = total**2 / sum(variance**2 / degrees for variance, degrees in variances)
    half = float(t.ppf(0.975, freedom) * np.sqrt(total))
    return Interval(mean, mean - half, mean + half)
