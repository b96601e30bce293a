"""Noise that replaces positions of a sample: uniform over its own range."""

import numpy as np

from keras_xai.data.layout import Layout


def uniform_noise(x: np.ndarray, layout: Layout, rows: np.ndarray, seeds: list[tuple[int, ...]]) -> np.ndarray:
    """Noise between the minimum and the maximum of each channel of some samples, of their shapes and dtype.

    Integers are drawn from the integers in that range. Words and categories are drawn from those of all samples, so that batches do not
    matter; padding stays.

    Args:
        x: Samples, channels last.
        layout: Their layout.
        rows: Indices of the samples that noise is for.
        seeds: A seed for each of these.
    """
    draws = [np.random.default_rng(seed) for seed in seeds]
    if x.dtype.kind == "U":
        known = np.unique(x[x != ""]) if (x != "").any() else [""]
        x = x[rows]
        return np.where(x == "", x, np.stack([draw.choice(known, size=x.shape[1:]) for draw in draws]))
    x = x[rows]
    low, high = (function(x, axis=axes_of_places(x, layout), keepdims=True) for function in (np.min, np.max))
    noise = np.empty_like(x)
    for number, (draw, start, end) in enumerate(zip(draws, low, high, strict=True)):
        if x.dtype.kind == "f":
            noise[number] = draw.uniform(start, end, size=x.shape[1:])
        else:
            noise[number] = draw.integers(start, end, size=x.shape[1:], endpoint=True)
    return noise


def axes_of_places(x: np.ndarray, layout: Layout) -> tuple[int, ...]:
    """The axes of samples, channels last, that are not channels; those of features and tokens are all."""
    return tuple(range(1, max(2, x.ndim if layout.is_apart else x.ndim - 1)))
