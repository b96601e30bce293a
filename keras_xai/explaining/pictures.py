"""Checks of pictures, whose errors say how to bring them to the form that a model takes."""

from typing import Any

import numpy as np

from keras_xai.data.arrays import unchecked
from keras_xai.network.scores import Scores

_MODES = {1: "gray", 2: "gray with alpha", 3: "RGB", 4: "RGB with alpha"}
_LOADED = {1: "grayscale", 3: "rgb", 4: "rgba"}


def check_pictures(x: Any, scores: Scores) -> None:
    """Rejects images of another size or mode than the model takes, and says how to load them.

    Args:
        x: The samples.
        scores: The scores of the model.

    Raises:
        ValueError: If an input takes images, and receives those of another size or with other channels.
    """
    graph = scores.graph
    for array, spec, layout in zip(unchecked(x, graph), graph.input_specs, scores.layouts, strict=True):
        if layout.is_apart or layout.channel is None or len(layout.places) != 2 or array.ndim != layout.rank:
            continue
        wanted, given = layout.sizes(spec.shape), layout.sizes(array.shape)
        channels, found = spec.shape[layout.channel], array.shape[layout.channel]
        if channels is not None and channels != found:
            mode = f", color_mode={_LOADED[channels]!r}" if channels in _LOADED else ""
            raise ValueError(
                f"Expected {_mode(channels)} as input '{spec.name}'. Received: {_mode(found)}, an array of shape {array.shape}. Load them "
                f"by `keras.utils.load_img(path, target_size={_target(wanted)}{mode})`."
            )
        if any(None not in pair and pair[0] != pair[1] for pair in zip(wanted, given, strict=True)):
            raise ValueError(
                f"Expected images of {_size(wanted)} pixels (height x width) as input '{spec.name}'. Received: images of {_size(given)}, "
                f"an array of shape {array.shape}. Resize them by `keras.ops.image.resize(x, {_target(wanted)})`, or load them by "
                f"`keras.utils.load_img(path, target_size={_target(wanted)})`."
            )


def _mode(channels):
    return f"{_MODES[channels]} images" if channels in _MODES else f"images of {channels} channels"


def _size(sizes):
    return " x ".join(map(str, sizes))


def _target(sizes):
    return tuple(None if size is None else int(size) for size in np.array(sizes, dtype=object))
