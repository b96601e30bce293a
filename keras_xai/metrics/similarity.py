"""Similarity of explanations: correlation, rank correlation and cosine."""

import numpy as np


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each row of two arrays `(n, entries)`; tied entries share their mean rank.

    A constant row has no ranks: it counts as 0, or as 1 if the row of the other array is constant as well.
    """
    from scipy.stats import rankdata

    return correlation(*(rankdata(rows, axis=1) for rows in (first, second)))


def correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each row of two arrays `(n, entries)`.

    A constant row, up to rounding, counts as 0, or as 1 if the row of the other array is constant as well.
    """
    return cosine(*map(_centered, (first, second)))


def _centered(rows):
    found = rows - rows.mean(axis=1, keepdims=True)
    rounding = rows.shape[1] * np.finfo("float64").eps * np.abs(rows).max(axis=1, keepdims=True)
    return np.where(np.abs(found).max(axis=1, keepdims=True) > rounding, found, 0)


def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The cosine between each row of two arrays `(n, entries)`; 0 where one is all zero, and 1 where both are."""
    lengths = np.stack([np.linalg.norm(rows, axis=1) for rows in (first, second)])
    empty = (lengths == 0).any(axis=0)
    # Normalize first, so that products of tiny entries do not underflow.
    one, two = (rows / np.where(length > 0, length, 1)[:, None] for rows, length in zip((first, second), lengths, strict=True))
    return np.where(empty, (lengths == 0).all(axis=0), np.clip((one * two).sum(axis=1), -1, 1))
