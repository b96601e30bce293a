"""The table of a classifier's regions."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from keras_xai.data.checks import check_count, is_number
from keras_xai.data.streams import is_stream
from keras_xai.data.structure import packed
from keras_xai.openbox.regions.store import Regions
from keras_xai.openbox.regions.stream import Stream

# Maximum number of scores in memory at a time.
_BYTES = 2**27
_QUANTILES = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "max": 1.0}


def check_arguments(x: Any, max_regions: Any, norm: Any) -> None:
    """Raises a `ValueError` if the arguments of `RegionClassifier.table` are invalid."""
    if is_stream(x):
        raise ValueError(
            "Expected the samples as arrays, which can be read repeatedly in the same order. Received: a dataset."
        )
    if max_regions is not None:
        check_count("max_regions", max_regions)
    if norm is not None and not (is_number(norm) and norm in (1, 2, np.inf)):
        raise ValueError(f"Expected `radius` to be None or the norm 1, 2 or numpy.inf. Received: radius={norm!r}")


def region_table(
    regions: Regions,
    stream: Stream,
    numbers: np.ndarray,
    places: np.ndarray,
    *,
    classes: np.ndarray,
    max_regions: int | None,
    norm: float | None,
) -> pd.DataFrame:
    """The table of `RegionClassifier.table`.

    Args:
        regions: The regions.
        stream: The samples.
        numbers: `(n,)`, the region of each sample.
        places: `(n,)`, the class of each sample, as an index into `classes`.
        classes: The labels.
        max_regions: Maximum number of regions to list, `None` for all.
        norm: Norm of the certified radii, `None` for no radii.
    """
    found, counts = np.unique(numbers, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:max_regions]
    listed = found[order]
    columns = {"samples": counts[order], **_responses(numbers, places, listed, classes)}
    columns |= _areas(regions, stream, numbers, places, listed=listed, classes=classes)
    if norm is not None:
        columns |= _radii(regions, stream, numbers, listed, norm)
    return pd.DataFrame(columns, index=pd.Index(listed, name="region"))


def _responses(numbers, places, listed, classes):
    counts = np.array([np.bincount(places[numbers == region], minlength=len(classes)) for region in listed])
    share = counts / counts.sum(axis=1, keepdims=True)
    named = {"count": counts, "response_mean": share, "response_std": np.sqrt(share * (1 - share))}
    return _columns(named, classes)


def _areas(regions, stream, numbers, places, *, listed, classes):
    """Local and global areas under ROC curves, for the listed regions."""
    local, everywhere = np.full((2, len(listed), len(classes)), np.nan)
    for chosen, odds in _odds(regions, stream, listed, len(numbers)):
        for row, of_region in zip(chosen, odds, strict=True):
            own = numbers == listed[row]
            for k in range(len(classes)):
                local[row, k] = _area(places[own] == k, of_region[own, k])
                everywhere[row, k] = _area(places == k, of_region[:, k])
    return _columns({"local_auc": local, "global_auc": everywhere}, classes)


def _columns(named, classes):
    """Arrays `(regions, classes)` as one column for each class."""
    return {f"{name}_{label}": values[:, k] for name, values in named.items() for k, label in enumerate(classes)}


def _odds(regions, stream, listed, num_samples) -> Iterator[tuple[range, np.ndarray]]:
    """Yields rows of the table with the log-odds `(rows, n, classes)` of all samples by their linear classifiers."""
    num_classes = max(2, regions.box.num_outputs)
    size = max(1, _BYTES // (8 * num_samples * num_classes))
    for first in range(0, len(listed), size):
        chosen = range(first, min(first + size, len(listed)))
        odds = np.empty((len(chosen), num_samples, num_classes))
        pieces = list(regions.pieces(listed[chosen].tolist()))
        start = 0
        for batch in stream:
            x = regions.space.vectors(batch)
            for place, coefficients, intercepts in pieces:
                odds[place, start : start + len(x)] = log_odds(x @ coefficients.T.astype("float64") + intercepts)
            start += len(x)
        yield chosen, odds


def log_odds(scores: np.ndarray) -> np.ndarray:
    """The log-odds log(p / (1 - p)) of each class, which resolve probabilities near 1.

    Args:
        scores: `(n, C)`.

    Returns:
        `(n, C)`, or `(n, 2)` for one score.
    """
    if scores.shape[1] == 1:
        return np.concatenate([-scores, scores], axis=1)
    odds = np.empty_like(scores)
    for k in range(scores.shape[1]):
        others = np.delete(scores, k, axis=1)
        largest = others.max(axis=1, keepdims=True)
        odds[:, k] = scores[:, k] - largest[:, 0] - np.log(np.exp(others - largest).sum(axis=1))
    return odds


def _area(positive, odds):
    return roc_auc_score(positive, odds) if 0 < positive.sum() < len(positive) else np.nan


def _radii(regions, stream, numbers, listed, norm):
    radii, start = np.full(len(numbers), np.nan), 0
    for batch in stream.samples():
        rows = start + np.flatnonzero(np.isin(numbers[start : start + len(batch[0])], listed))
        if len(rows):
            samples = packed([array[rows - start] for array in batch], regions.box.sample_graph)
            radii[rows] = regions.box(samples, outputs=[0], verbose=0).radius(norm, verbose=0)
        start += len(batch[0])
    of_regions = [radii[numbers == region] for region in listed]
    return {f"radius_{name}": [_quantile(each, share) for each in of_regions] for name, share in _QUANTILES.items()}


def _quantile(values, share):
    # A radius is infinite if a region is the whole space, and infinities cannot be interpolated.
    return np.quantile(values, share, method="lower" if np.isinf(values).any() else "linear")
