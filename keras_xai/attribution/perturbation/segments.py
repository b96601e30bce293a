"""Segmentation of samples into parts that are hidden as a whole: superpixels, blocks, features, tokens."""

import math
from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np

from keras_xai.data.checks import check_count, is_integer
from keras_xai.network.scores import Scores
from keras_xai.network.tokens import tokens_of

_SUPERPIXELS, _STRETCHES = 50, 20
_MOST_BLOCKS = 4096


def is_apart(scores: Scores) -> list[bool]:
    """For each input, whether every entry is its own segment: table features and tokens."""
    found = []
    for identifier, spec in zip(scores.graph.inputs, scores.graph.input_specs, strict=True):
        found.append(bool(tokens_of(scores.graph, identifier).embeddings) or len(spec.shape) <= 2)
    return found


def holds_tokens(scores: Scores) -> bool:
    """Whether all inputs are token indices: integers, or inputs of an `Embedding`."""
    return all(
        tokens_of(scores.graph, identifier).embeddings or not keras.backend.is_float_dtype(spec.dtype)
        for identifier, spec in zip(scores.graph.inputs, scores.graph.input_specs, strict=True)
    )


@final
class Segments:
    """Divides samples into segments.

    Args:
        scores: The scores of the model.
        segments: Number of superpixels of an image, or of equally long segments of a series; an integer array of the shape of a sample
            without the channel axis, with the segment number of each position; or a function that maps a sample to such an array. Defaults
            to 50 superpixels and 20 series segments; each feature of a table and each token is a segment.

    Raises:
        ValueError: If `segments` is none of these, or an array or function for a model of several inputs.

    Attributes:
        apart: For each input, whether each of its entries is a segment by default.
    """

    def __init__(self, scores: Scores, segments: Any):
        self.apart = is_apart(scores)
        self._segments = segments
        if segments is None or is_integer(segments):
            if segments is not None:
                check_count("segments", segments)
            return
        if not callable(segments) and (not np.size(segments) or np.asarray(segments).dtype.kind not in "iu"):
            raise ValueError(
                "Expected `segments` to be a number of segments, an integer array with the segment number of each position, or a function"
                f" that maps a sample to such an array. Received: segments={segments!r}"
            )
        if len(self.apart) > 1:
            raise ValueError(
                f"Expected `segments` to be a number for a model of {len(self.apart)} inputs. Received: segments={segments!r}"
            )

    def of(self, sample: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The segment number of each position, an array for each input, numbered consecutively across inputs.

        Args:
            sample: An array `input_shape` for each input.

        Raises:
            ValueError: If a segment array, given or returned by the function, does not have the spatial shape of the sample.
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
                f"Expected `segments` to be an integer array of shape {places}, the segment number of each position. Received: an array of"
                f" shape {numbers.shape} and dtype {numbers.dtype}."
            )
        return numbers


def _stretches(length, number):
    return np.arange(length) * min(number or _STRETCHES, length) // length


def _superpixels(x, number):
    from skimage.segmentation import slic

    low, high = x.min(), x.max()
    scaled = (x.astype("float64") - low) / ((high - low) or 1)
    # With scikit-image's default compactness, superpixels follow the stripes of a zebra, and only a third of them remain.
    return slic(scaled, n_segments=number, compactness=30, sigma=1, start_label=0, channel_axis=-1)


def blocks(sample: Sequence[np.ndarray], apart: Sequence[bool]) -> list[np.ndarray]:
    """The finest useful segments: single positions, or square blocks if there are many positions; see `Segments.of`."""
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
    """The per-channel mean of each segment, at each of its positions.

    Args:
        x: `(*places, channels)`.
        numbers: `(*places,)`.
    """
    _, flat = np.unique(numbers, return_inverse=True)
    flat = flat.reshape(-1)
    sums = np.stack([np.bincount(flat, channel.ravel().astype("float64")) for channel in np.moveaxis(x, -1, 0)], axis=-1)
    return (sums / np.bincount(flat)[:, np.newaxis])[flat].reshape(x.shape).astype(x.dtype)
