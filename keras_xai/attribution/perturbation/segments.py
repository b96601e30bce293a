"""Segmentation of samples into parts that are hidden as a whole: superpixels, blocks, features, tokens."""

import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np

from keras_xai.data.checks import check_count, is_integer
from keras_xai.data.layout import Layout
from keras_xai.network.roles import Role
from keras_xai.network.scores import Scores

_SUPERPIXELS, _STRETCHES = 50, 20
_MOST_BLOCKS = 4096


def holds_tokens(scores: Scores) -> bool:
    """Whether all inputs are token indices: integers, or inputs of an `Embedding`."""
    return Role.NUMBERS not in scores.roles


@final
class Segments:
    """Divides samples into segments.

    Args:
        scores: The scores of the model.
        segments: Number of superpixels of an image, or of equally long segments of a series; an integer array of the shape of a sample
            without the channel axis, with the segment number of each position; or a function that maps a sample, channels last, to such an
            array. Defaults to 50 superpixels and 20 series segments; each feature of a table and each token is a segment.

    Raises:
        ValueError: If `segments` is none of these, or an array or function for a model of several inputs.

    Attributes:
        layouts: The layout of each input. By default each entry of a table or a text is a segment.
    """

    def __init__(self, scores: Scores, segments: Any):
        self.layouts = scores.layouts
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
        if len(self.layouts) > 1:
            raise ValueError(
                f"Expected `segments` to be a number for a model of {len(self.layouts)} inputs. Received: segments={segments!r}"
            )

    def of(self, sample: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The segment number of each position, an array of the places of each input, numbered consecutively across inputs.

        Args:
            sample: An array `input_shape` for each input.

        Raises:
            ValueError: If a segment array, given or returned by the function, does not have the spatial shape of the sample.
        """
        found, start = [], 0
        for given, layout in zip(sample, self.layouts, strict=True):
            x = layout.channels_last(given[np.newaxis])[0]
            places = x.shape if layout.is_apart else x.shape[:-1]
            _, numbers = np.unique(self._numbers(x, places, layout.is_apart), return_inverse=True)
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


def blocks(sample: Sequence[np.ndarray], layouts: Sequence[Layout]) -> list[np.ndarray]:
    """The finest useful segments: single positions, or square blocks if there are many positions; see `Segments.of`."""
    found, start = [], 0
    for x, layout in zip(sample, layouts, strict=True):
        places = layout.sizes((1, *x.shape))
        most = max(1, int(_MOST_BLOCKS ** (1 / max(len(places), 1)) + 1e-9))
        sizes = [-(-length // most) for length in places]
        counts = [-(-length // size) for length, size in zip(places, sizes, strict=True)]
        cells = np.indices(places).reshape(len(places), -1) // np.array(sizes, int).reshape(-1, 1)
        numbers = np.ravel_multi_index(tuple(cells), counts) if places else np.zeros(1, int)
        found.append(start + numbers.reshape(places))
        start += math.prod(counts)
    return found


def means(x: np.ndarray, numbers: np.ndarray, layout: Layout) -> np.ndarray:
    """The per-channel mean of each segment, at each of its positions.

    Args:
        x: A sample.
        numbers: `(*places,)`.
        layout: The layout of samples.
    """
    x = layout.channels_last(x[np.newaxis])[0]
    _, flat = np.unique(numbers, return_inverse=True)
    flat = flat.reshape(-1)
    sums = np.stack([np.bincount(flat, channel.ravel().astype("float64")) for channel in np.moveaxis(x, -1, 0)], axis=-1)
    found = (sums / np.bincount(flat)[:, np.newaxis])[flat].reshape(x.shape).astype(x.dtype)
    return layout.restored(found[np.newaxis])[0]
