"""Deep Dream."""

import dataclasses
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.backend import compiled, record, traced
from keras_xai.data.checks import (
    Verbose,
    check_count,
    check_instance,
    check_layers,
    check_positive,
    check_seed,
    check_verbose,
    is_integer,
)
from keras_xai.data.progress import progress
from keras_xai.data.reader import read_unchecked
from keras_xai.features.ascent import checked_range, normalized, real_input
from keras_xai.network.scores import Scores
from keras_xai.results.dreamed import Dreamed


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Dream:
    """Settings of `deep_dream`.

    Attributes:
        octaves: Number of image sizes, the smallest first; the largest is the original size.
        octave_scale: Size ratio of successive octaves.
        steps: Number of steps at each size.
        step_size: Root mean square of a step's change, as a fraction of the width of `value_range`.
        jitter: Maximum random cyclic shift of the image before each step, in pixels, which hides the seams of tiles, strides and borders.
        tile_size: Approximate tile side in pixels. The gradient is computed tile by tile, so that memory does not grow with the image.
            Sides of tiles are between half and one and a half times as long.

    Raises:
        ValueError: If an option is invalid.
    """

    octaves: int = 4
    octave_scale: float = 1.4
    steps: int = 10
    step_size: float = 0.01
    jitter: int = 32
    tile_size: int = 512

    def __post_init__(self):
        for name in ("octaves", "steps", "tile_size"):
            check_count(name, getattr(self, name))
        check_count("jitter", self.jitter, least=0)
        if not check_positive("octave_scale", self.octave_scale) > 1:
            raise ValueError(f"Expected `octave_scale` to be more than 1. Received: octave_scale={self.octave_scale!r}")
        check_positive("step_size", self.step_size)


def deep_dream(
    model: keras.Model,
    images: Any,
    *,
    layers: str | keras.Layer | Sequence[str | keras.Layer] | Mapping[str | keras.Layer, int | None],
    value_range: Any = (0.0, 1.0),
    dream: Dream | None = None,
    seed: int | None = None,
    verbose: Verbose = "auto",
) -> Dreamed:
    """Deep Dream: changes images to amplify the activations of layers.

    Gradient ascent maximizes half the squared activations of a layer, whose gradient is the activations themselves, at several image sizes
    in sequence. Each size starts from the original at that size plus the changes so far.

    Images may have any size on which the layers can run, whatever the model's input size: any size if these layers are convolutions,
    poolings and the like. One tile of one image runs through the model at a time. `octaves * steps` forward and backward passes per image,
    at its sizes.

    Source: [Mordvintsev, Olah & Tyka, 2015](https://research.google/blog/inceptionism-going-deeper-into-neural-networks), and their
    notebook. Deviation: steps are normalized by their root mean square instead of their mean absolute value.

    Args:
        model: A built model with one image input; only read.
        images: `(n, height, width, channels)`, or in the layout of the model, such as channels first.
        layers: A layer or its path, such as `"backbone/conv5"`; a list of these; or a dict from these to one channel each, `None` for all
            channels. Each layer counts by the mean over its channels; a layer at half the resolution counts four times.
        value_range: `(low, high)`, the range of values: numbers, or arrays that broadcast to an image.
        dream: Octaves, steps, jitter and tiles; `Dream()` by default.
        seed: Random seed. By default, each call draws a new one.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Returns:
        A `Dreamed`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model has no such layer or the layer no such channel, the model does not take one image or cannot run at this
            size; if the images have another shape, values outside the range, or NaN; if an argument is invalid; or if activations or
            derivatives are NaN or infinite.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.features import Dream, deep_dream
    >>> keras.utils.set_random_seed(0)
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, activation="relu", name="conv")])
    >>> images = np.random.default_rng(0).uniform(size=(2, 20, 30, 1))
    >>> found = deep_dream(model, images, layers="conv", dream=Dream(octaves=2, steps=3, jitter=2), seed=0)
    >>> found.images.shape, found.history.shape, bool((found.history[-1, -1] > found.history[-1, 0]).all())
    ((2, 20, 30, 1), (2, 3, 2), True)
    """
    check_verbose(verbose)
    dream = Dream() if dream is None else dream
    check_instance("dream", dream, Dream, "a `Dream`, or None for the default one")
    scores = Scores(model)
    shape = real_input(scores.graph, "deep_dream")
    (layout,) = scores.layouts
    objective, names = _objective(scores, layers)
    given = _checked_images(images, scores, shape)
    given_range, value_range = value_range, checked_range(value_range, given.shape[1:], scores.dtype)
    originals, low, high = (layout.channels_last(each) for each in (given, *value_range))
    if (originals < low).any() or (originals > high).any():
        raise ValueError(
            f"Expected images within `value_range`. Received: values from {originals.min():.4g} to {originals.max():.4g} and "
            f"value_range={given_range!r}"
        )
    sizes = _sizes(originals.shape[1:3], dream)
    _check_sizes(scores, objective, sizes, dream, originals.shape[-1])
    signature = [((1, None, None, originals.shape[-1]), scores.dtype)]
    gradient = compiled(lambda x: _gradient(objective, x), signature, eager_first=False)
    seed = secrets.randbits(30) if seed is None else check_seed(seed)
    tasks = [(number, octave) for number in range(len(originals)) for octave in range(len(sizes))]
    history = np.zeros((len(sizes), dream.steps, len(originals)))
    dreamed = np.empty_like(originals)
    detail = None
    for number, octave in progress(tasks, len(tasks), verbose):
        base = _resized(originals[number], sizes[octave])
        x = base if octave == 0 else base + _resized(detail, sizes[octave])
        random = np.random.default_rng([seed, number, octave])
        x, history[octave, :, number] = _dreamed(gradient, np.clip(x, low[0], high[0]), (low[0], high[0]), dream, random)
        detail = x - base
        dreamed[number] = x if octave == len(sizes) - 1 else 0
    return Dreamed(layout.restored(dreamed), given, history, names, value_range, layout.letters)


def _objective(scores, layers) -> tuple[Callable, list[str]]:
    """The objective as a function of a batch of images, and the layers' paths."""
    paths = [layers] if isinstance(layers, (str, keras.Layer)) else layers
    check_layers("layers", [*paths] if isinstance(paths, Mapping) else paths)
    if paths is None:
        raise ValueError("Expected `layers` to be the path of a layer, or several. Received: layers=None")
    channels = dict(paths) if isinstance(paths, Mapping) else dict.fromkeys(paths)
    if not channels:
        raise ValueError(f"Expected at least one layer. Received: layers={layers!r}")
    channels = dict(zip(scores.paths_of(channels), channels.values(), strict=True))
    steps = {path: scores.find(path) for path in channels}
    (layout,) = scores.layouts
    spatial = layout.sizes(scores.graph.input_specs[0].shape)
    terms = []
    for path, step in steps.items():
        spec, channel = step.output_specs[0], channels[path]
        axis = scores.axes.channel(step.outputs[0])
        count = spec.shape[axis]
        if channel is not None and not (is_integer(channel) and 0 <= channel < count):
            raise ValueError(f"Expected a channel of '{path}', from 0 to {count - 1}, or None. Received: {channel!r}")
        places = [size for place, size in enumerate(spec.shape) if place not in (0, axis)]
        known = None not in places and None not in spatial
        # Coarse and fine maps have the same weight, at all sizes and tiles, unlike with a mean over the map.
        density = np.prod(spatial) / np.prod(places) if known else 1.0
        terms.append((step.outputs[0], axis, channel, float(density)))

    def objective(x):
        values = scores.run([layout.restored(x)], until=[identifier for identifier, *_ in terms])
        total: Any = 0
        for identifier, axis, channel, density in terms:
            maps = values[identifier]
            counted = maps if channel is None else ops.take(maps, [channel], axis=axis)
            total = total + density / 2 * ops.sum(ops.mean(ops.square(counted), axis=axis))
        return total

    return objective, list(steps)


def _gradient(objective, x):
    raised = record(lambda inputs: [objective(inputs[0])], [x])
    (value,) = raised.outputs
    (slope,) = raised.pull([ops.ones_like(value)])
    return value, ops.zeros_like(x) if slope is None else slope


def _dreamed(gradient, x, value_range, dream, random):
    """An image after all steps at its size, and the objective before each step."""
    low, high = value_range
    history = []
    for _ in range(dream.steps):
        shift = random.integers(-dream.jitter, dream.jitter + 1, size=2)
        value, slope = tiled_gradient(gradient, np.roll(x, shift, axis=(0, 1)), dream.tile_size)
        if not np.isfinite(value) or not np.isfinite(slope).all():
            raise ValueError(
                "The activations of the layers, or their derivatives, are NaN or infinite. Check the model's weights, and that "
                "`value_range` is the range of its inputs."
            )
        history.append(value / (x.shape[0] * x.shape[1]))
        uphill = ops.convert_to_numpy(normalized((np.roll(slope, -shift, axis=(0, 1)) * (high - low))[None]))[0]
        x = np.clip(x + dream.step_size * (high - low) * uphill, low, high).astype(x.dtype)
    return x, history


def tiled_gradient(gradient: Callable, x: np.ndarray, tile_size: int) -> tuple[float, np.ndarray]:
    """The objective summed over image tiles, and the assembled gradients.

    Away from tile borders it equals the gradient of the whole image if tiles begin at multiples of the layer's stride.

    Args:
        gradient: Maps a batch of one image to a value and its gradient.
        x: `(height, width, channels)`.
        tile_size: Approximate side of a tile.
    """
    total, whole = 0.0, np.empty_like(x)
    for down in _tiles(x.shape[0], tile_size):
        for right in _tiles(x.shape[1], tile_size):
            value, slope = gradient(x[None, down, right])
            total += float(value)
            whole[down, right] = ops.convert_to_numpy(slope)[0]
    return total, whole


def _tiles(length, tile_size):
    """Slices of about `tile_size`; a remainder of less than half a tile is merged into the last one."""
    starts = list(range(0, max(length - tile_size // 2, 1), tile_size))
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], length], strict=True)]


def _checked_images(images, scores, shape):
    (x,), (layout,) = read_unchecked(images, scores.graph), scores.layouts
    size = [*shape]  # images may have any height and width
    for axis in layout.places:
        size[axis - 1] = x.shape[axis] if x.ndim == layout.rank else None
    if len(layout.places) != 2 or x.shape[1:] != tuple(size) or not x.size or x.dtype.kind not in "fiub":
        raise ValueError(
            f"Expected `images` {_wanted(layout, shape)} and a model that takes images. Received: an array of shape "
            f"{x.shape} and dtype {x.dtype}, and a model whose input has the shape {shape}."
        )
    if not np.isfinite(x).all():
        raise ValueError("Expected finite `images`. Received: NaN or infinity.")
    return x.astype(scores.dtype)


def _wanted(layout, shape):
    """The shape of images in words."""
    names = {"N": "n", "H": "height", "W": "width"}
    return f"({', '.join(names.get(letter, str(size)) for letter, size in zip(layout.letters, (None, *shape), strict=True))})"


def _sizes(size: Sequence[int], dream) -> list[tuple[int, int]]:
    """Heights and widths of the octaves, the smallest first."""
    factors = dream.octave_scale ** -np.arange(dream.octaves - 1, -1, -1.0)
    return [(max(1, round(size[0] * factor)), max(1, round(size[1] * factor))) for factor in factors]


def _check_sizes(scores, objective, sizes, dream, channels):
    """Rejects sizes at which the model cannot run, before any computation."""
    tiles = {
        (tile.stop - tile.start, other.stop - other.start)
        for height, width in sizes
        for tile in _tiles(height, dream.tile_size)
        for other in _tiles(width, dream.tile_size)
    }
    own = tuple(scores.layouts[0].sizes(scores.graph.input_specs[0].shape))
    for height, width in sorted(tiles - {own})[:: max(1, len(tiles - {own}) - 1)]:  # the smallest and the largest
        try:
            traced(objective, [((1, height, width, channels), scores.dtype)])
        except Exception as error:
            raise ValueError(
                f"The model '{scores.name}' cannot run on {height} x {width} pixels up to these layers ({type(error).__name__}: "
                f"{(str(error).splitlines() or [''])[0]}). Choose layers before dense ones, images of the size of its input {own} with "
                f"`Dream(octaves=1, tile_size={max([size or 0 for size in own])})`, or fewer octaves."
            ) from error


def _resized(image, size):
    """An image at another size."""
    if image.shape[:2] == size:
        return image
    resized = ops.image.resize(image[None], size, interpolation="bicubic", antialias=True, data_format="channels_last")
    return ops.convert_to_numpy(resized)[0].astype(image.dtype)
