"""Neighborhood hit."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_xai.data.checks import is_integer, real_array

_EUCLIDEAN = ("euclidean", "l2")
# Distances that change by no more than the sum of the changes of all coordinates.
_NORMS = ("l1", "manhattan", "cityblock", "chebyshev", "minkowski")


def neighborhood_hit(
    points: Any, labels: Any, k: int | Sequence[int] = 6, *, metric: str | Callable = "euclidean"
) -> float | np.ndarray:
    """Neighborhood hit: the mean share of each point's k nearest neighbors with the same label.

    A point is not its own neighbor, but another point at the same position is. Ties at the k-th distance share the remaining places
    equally, so the value does not depend on the order of the points. Distances are equal if they differ by no more than the rounding
    of the points to their type, so that a grid with steps of 0.1 in float32, or far from zero, has the ties of one with steps of 1. A
    hit of 1 means that the classes are separated, and `chance_hit` is the expected value for shuffled labels.

    Time and memory grow with the square of the number of points; distances are held in chunks of at most
    `sklearn.get_config()["working_memory"]` MiB.

    Source: [Paulovich et al., 2008](https://doi.org/10.1109/TVCG.2007.70443), equations 2 and 3 of Wang & Liu, "Refining Deep Neural
    Networks via Interpretability Using Transfer Learning" (2024), which do not specify ties and k.

    Args:
        points: `(n, d)`, or the `(n, n)` distances if `metric` is `"precomputed"`.
        labels: `(n,)` or `(n, 1)`, numbers or strings of at least two classes.
        k: Number of neighbors, from 1 to `n - 1`, or several.
        metric: Any metric of `sklearn.metrics.pairwise_distances`.

    Returns:
        A number from 0 to 1; for several k an array with one value for each.

    Raises:
        ValueError: If shapes do not fit, points or distances are NaN or infinite, there is only one class, or a k is not in its range.

    Example:

    >>> import numpy as np
    >>> from keras_xai.diagnosis import neighborhood_hit
    >>> points = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0], [9.0, 0.0], [9.0, 1.0]])
    >>> neighborhood_hit(points, [0, 0, 0, 1, 1], k=1)
    1.0
    >>> neighborhood_hit(points, [0, 0, 0, 1, 1], k=[1, 2, 4]).round(2).tolist()
    [1.0, 0.8, 0.4]
    """
    points = _checked_points(points, metric)
    codes = class_codes(labels, len(points))
    several = list(k) if isinstance(k, (Sequence, np.ndarray)) else None
    if several == []:
        raise ValueError(f"Expected `k` to be one or more numbers of neighbors. Received: k={k!r}")
    counts = [check_neighbors(each, len(points)) for each in ([k] if several is None else several)]
    found = np.array([hits.mean() for hits, _ in hits_and_influence(points, codes, counts, metric)])
    return float(found[0]) if several is None else found


def chance_hit(labels: Any) -> float:
    """The expected neighborhood hit of shuffled labels.

    Args:
        labels: `(n,)` or `(n, 1)`, numbers or strings of at least two classes.

    Example:

    >>> from keras_xai.diagnosis import chance_hit
    >>> round(chance_hit([0] * 50 + [1] * 50), 3)
    0.495
    """
    counts = np.bincount(class_codes(labels, len(labels) if np.ndim(labels) else 0))
    total = counts.sum()
    return float((counts * (counts - 1)).sum() / (total * (total - 1)))


def hits_and_influence(
    points: np.ndarray, codes: np.ndarray, counts: Sequence[int], metric: str | Callable = "euclidean"
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The neighborhood hit of each point, and the contribution of each point to their mean.

    A point contributes its own hit, and the excess of its label over others in the neighborhoods that it belongs to. The mean of these
    influences is the mean hit, and their standard error is that of the mean hit, or larger: by a tenth for separated classes, by up to four
    tenths for points unrelated to the classes. Hits are not independent, because points are neighbors of each other, and their own standard
    error would be a quarter to a third too small.

    Args:
        points: `(n, d)`, or distances `(n, n)`, in the type in which they were computed: ties depend on its precision.
        codes: `(n,)`, the classes as integers.
        counts: Numbers of neighbors.
        metric: As in `neighborhood_hit`.

    Returns:
        For each of `counts` a tuple `(hits, influence)` of arrays `(n,)` of float64.
    """
    from sklearn.metrics import pairwise_distances_chunked

    options: dict[str, Any] = {"metric": metric}
    given, norms = _narrowed(points), None
    errors = _rounding(given).sum(axis=1) if metric in _NORMS else np.zeros(len(points))
    # Of other metrics only the type of the points is known.
    precision = np.finfo("float64" if metric in _NORMS or given.dtype.kind != "f" else given.dtype).eps
    points = points.astype("float64", copy=False)
    if metric in _EUCLIDEAN:
        errors = np.sqrt(np.square(_rounding(given)).sum(axis=1))
        # Squared distances are exact where their roots are not. Centered at the median, so that neither a large offset nor an outlier costs
        # precision.
        points = points - np.median(points, axis=0)
        options = {"metric": "euclidean", "squared": True}
        norms = np.square(points).sum(axis=1)
    hits = np.empty((len(counts), len(points)))
    onward = np.zeros((len(counts), len(points)))
    start = 0
    for distances in pairwise_distances_chunked(points, **options):
        rows = np.arange(start, start + len(distances))
        distances = distances.astype("float64")  # a copy, since precomputed distances are the caller's
        if not np.isfinite(distances).all():
            raise ValueError(f"Expected finite distances. Received: NaN or infinity by metric={metric!r}.")
        # Bound on the difference of equal distances by rounding of the points and of the distances: squared ones are differences of
        # squares, and others may be of numbers up to 1.
        moved = errors[rows, None] + errors
        if norms is not None:
            slack = moved * (2 * np.sqrt(np.abs(distances)) + moved) + 64 * np.finfo("float64").eps * (
                norms[rows, None] + norms
            )
        else:
            size = np.abs(distances)
            size = size + np.minimum(size.max(axis=1, keepdims=True), 1)
            slack = moved + 64 * float(precision) * size
        distances[np.arange(len(rows)), rows] = np.inf
        same = codes[rows, None] == codes
        nearest = np.argpartition(distances, [k - 1 for k in counts], axis=1)
        for each, k in enumerate(counts):
            place = nearest[:, k - 1, None]
            limit, within = np.take_along_axis(distances, place, axis=1), slack + np.take_along_axis(slack, place, axis=1)
            closer = distances < limit - within
            tied = (distances <= limit + within) & ~closer
            weights = closer + tied * ((k - closer.sum(axis=1)) / tied.sum(axis=1))[:, None]
            hits[each, rows] = (weights * same).sum(axis=1) / k
            onward[each] += (weights * (same - hits[each, rows, None])).sum(axis=0) / k
        start += len(rows)
    return list(zip(hits, hits + onward, strict=True))


def _narrowed(points):
    """Float64 points as float32, if all values are exact float32 numbers; otherwise unchanged."""
    if points.dtype != "float64":
        return points
    with np.errstate(over="ignore"):
        narrow = points.astype("float32")
    return narrow if (narrow == points).all() else points


def _rounding(points):
    """The possible rounding error of each coordinate, `(n, d)` in float64.

    It is one unit in the last place of its type, or 0 for coordinates that leave the last bits of all their values unused, such as those
    of a grid of whole numbers or halves.
    """
    if points.dtype.kind != "f":
        return np.zeros(points.shape)
    unit = np.spacing(np.abs(points).max(axis=0))
    exact = (np.fmod(points, 8 * unit) == 0).all(axis=0) | ((unit <= 1) & (points == np.round(points)).all(axis=0))
    return np.where(exact, 0.0, np.spacing(np.abs(points)).astype("float64"))


def class_codes(labels: Any, count: int) -> np.ndarray:
    """Checked labels as integers from 0, in the order of their classes.

    Args:
        labels: `(n,)` or `(n, 1)`.
        count: Expected number n.

    Raises:
        ValueError: If there is not one for each sample, one is NaN, or there is only one class.
    """
    try:
        labels = np.asarray(labels)
    except ValueError:  # a ragged list
        labels = np.array(None)
    if labels.dtype.kind not in "fiubSUO" or not all(
        isinstance(each, (str, bytes, float, int)) for each in labels.ravel().tolist()
    ):
        raise ValueError(f"Expected `y` to have labels that are numbers or strings. Received: labels of dtype {labels.dtype}.")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"Expected `y`, the labels, of shape (n,) or (n, 1). Received: an array of shape {labels.shape}. Of one-hot labels, pass "
            "labels.argmax(axis=-1)."
        )
    if len(labels) != count:
        raise ValueError(f"Expected `y` to have a label for each of {count} samples. Received: {len(labels)} labels.")
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError(
            f"Expected `y` to have labels without NaN. Received: NaN as label of sample {int(np.flatnonzero(np.isnan(labels))[0])}."
        )
    try:
        classes, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise ValueError(
            f"Expected labels of one type, numbers or strings. Received: labels that cannot be ordered: {error}."
        ) from error
    if len(classes) < 2:
        raise ValueError(
            f"Expected labels of at least two classes, since with one class all neighbors have its label. Received: {classes.tolist()}."
        )
    return codes.ravel()


def check_neighbors(k: Any, count: int) -> int:
    """A checked number of neighbors among `count` points."""
    if not is_integer(k) or not 1 <= k < count:
        raise ValueError(f"Expected `k` to be an integer from 1 to {count - 1}, for {count} points. Received: k={k!r}")
    return int(k)


def _check_metric(metric, points):
    from sklearn.metrics import pairwise_distances

    if isinstance(metric, str) and metric == "precomputed":
        return
    try:
        pairwise_distances(points[:2], metric=metric)
    except np.linalg.LinAlgError:  # two points are too few for it
        return
    except Exception as error:
        raise ValueError(
            "Expected `metric` to be one of those of `sklearn.metrics.pairwise_distances`, or a function of two points. Received: "
            f"metric={metric!r}, which failed ({type(error).__name__}: {(str(error).splitlines() or [''])[0]})."
        ) from error


def _checked_points(points, metric):
    points = real_array("points", points, "real numbers of shape (n, d)")
    if points.ndim != 2 or len(points) < 2 or not points.shape[1] or points.dtype.kind not in "fiub":
        raise ValueError(
            f"Expected `points` to be real numbers of shape (n, d), at least two. Received: an array of shape {points.shape} and dtype "
            f"{points.dtype}."
        )
    finite = np.isfinite(points).all(axis=1)
    if not finite.all():
        raise ValueError(f"Expected finite `points`. Received: NaN or infinity in point {int(np.flatnonzero(~finite)[0])}.")
    _check_metric(metric, points)
    if isinstance(metric, str) and metric == "precomputed" and points.shape[0] != points.shape[1]:
        raise ValueError(f"Expected distances of shape (n, n) for metric='precomputed'. Received: shape {points.shape}.")
    return points
