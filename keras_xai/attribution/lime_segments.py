"""Segmentation of samples into parts that are hidden as a whole: superpixels, blocks, features, tokens."""

import math
from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np

from keras_xai.data.checks import check_count, is_integer
from keras_xai.kinds.expansion import kind_of
from keras_xai.network.scores import Scores

_SUPERPIXELS, _STRETCHES = 50, 20
_MOST_BLOCKS = 4096


def is_apart(scores: Scores) -> list[bool]:
    """For each input, whether every entry is a segment of its own: table features and tokens."""
    found = []
    for identifier, spec in zip(scores.graph.inputs, scores.graph.input_specs, strict=True):
        embedded = any(identifier in step.inputs and kind_of(step).embeds for step in scores.graph.steps)
        found.append(embedded or len(spec.shape) <= 2)
    return found


def holds_tokens(scores: Scores) -> bool:
    """Whether all inputs are integers or go into an `Embedding`, as token indices do."""
    embedded = [step.inputs[0] for step in scores.graph.steps if kind_of(step).embeds]
    return all(
        identifier in embedded or not keras.backend.is_float_dtype(spec.dtype)
        for identifier, spec in zip(scores.graph.inputs, scores.graph.input_specs, strict=True)
    )


@final
class Segments:
    """Divides samples into segments.

    Args:
        scores: The model's scores.
        segments: How many superpixels an image, or stretches of equal length a series, is divided into; an integer array of the
            shape of a sample without the axis of channels, the number of the part of each place; or a function that returns one
            for a sample. By default 50 superpixels and 20 stretches; the features of a table, and tokens, are parts each.

    Raises:
        ValueError: If `segments` is something else, or an array or function for a model of several inputs.

    Attributes:
        apart: Of each input, whether each of its entries is a part by default.
    """

    def __init__(self, scores: Scores, segments: Any):
        self.apart = is_apart(scores)
        self._segments = segments
        if segments is None or is_integer(segments):
            if segments is not None:
                check_count("segments", segments)
            return
        if not callable(segments) and np.asarray(segments).dtype.kind not in "iu":
            raise ValueError(
                "Expected `segments` to be a number of segments, an integer array, the number of the segment of each place, or a "
                f"function that maps a sample to one. Received: segments={segments!r}"
            )
        if len(self.apart) > 1:
            raise ValueError(
                f"Expected `segments` to be a number for a model of several inputs, {len(self.apart)} of them. "
                f"Received: segments={segments!r}"
            )

    def of(self, sample: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The number of the part of each place, an array for each input, counted on from one input to the next.

        Args:
            sample: An array `input_shape` for each input.

        Raises:
            ValueError: If an array of segments, or what a function returned, has not the shape of the sample's places.
        """
        found, start = [], 0
        for x, apart in zip(sample, self.apart, strict=True):
            places = x.shape if apart else x.shape[:-1]
            _, numbers = np.unique(self._numbers(x, places, apart), return_inverse=True)
            found.append(start + numbers.reshape(places))
            start += int(numbers.max()) + 1
        return found

    def _numbers(self, x, places, apart) -> np.ndarray:
        given = self._segments
        if given is None or is_integer(given):
            if apart:
                return np.arange(math.prod(places))
            return _stretches(places[0], given) if len(places) == 1 else _superpixels(x, given or _SUPERPIXELS)
        numbers = np.asarray(given(x) if callable(given) else given)
        if numbers.shape != places or numbers.dtype.kind not in "iu":
            raise ValueError(
                f"Expected `segments` to be an integer array of shape {places}, the number of the segment of each place. Received: "
                f"an array of shape {numbers.shape} and dtype {numbers.dtype}."
            )
        return numbers


def _stretches(length, number):
    return np.arange(length) * min(number or _STRETCHES, length) // length


def _superpixels(x, number):
    from skimage.segmentation import slic

    low, high = x.min(), x.max()
    scaled = (x.astype("float64") - low) / ((high - low) or 1)
    # With scikit-image's own compactness, superpixels run along the stripes of a zebra, and a third of them are left.
    return slic(scaled, n_segments=number, compactness=30, sigma=1, start_label=0, channel_axis=-1)


def blocks(sample: Sequence[np.ndarray], apart: Sequence[bool]) -> list[np.ndarray]:
    """The finest useful segments: single places, or square blocks of them where there are many; see `Segments.of`."""
    found, start = [], 0
    for x, single in zip(sample, apart, strict=True):
        places = x.shape if single else x.shape[:-1]
        most = max(1, int(_MOST_BLOCKS ** (1 / max(len(places), 1)) + 1e-9))
        sizes = [-(-length // most) for length in places]
        counts = [-(-length // size) for length, size in zip(places, sizes, strict=True)]
        cells = np.indices(places).reshape(len(places), -1) // np.array(sizes, int).reshape(-1, 1)
        numbers = np.ravel_multi_index(tuple(cells), counts) if places else np.zeros(1, int)
        found.append(start + numbers.reshape(places))
        start += math.prod(counts)
    return found


def means(x: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The per-channel mean of each segment, at each of its places.

    Args:
        x: `(*places, channels)`.
        numbers: `(*places,)`.
    """
    _, flat = np.unique(numbers, return_inverse=True)
    flat = flat.reshape(-1)
    sums = np.stack([np.bincount(flat, channel.ravel().astype("float64")) for channel in np.moveaxis(x, -1, 0)], axis=-1)
    return (sums / np.bincount(flat)[:, np.newaxis])[flat].reshape(x.shape).astype(x.dtype)
