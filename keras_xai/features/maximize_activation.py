"""Activation maximization."""

import secrets
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_xai.backend import compiled, record
from keras_xai.data.batches import rows
from keras_xai.data.checks import Verbose, check_instance, check_seed, check_verbose
from keras_xai.data.progress import progress
from keras_xai.features.ascent import Ascent, checked_range, moved, movements, normalized, penalty, preconditioned, real_input
from keras_xai.features.responses import Responses
from keras_xai.network.batching import batch_size_for
from keras_xai.results.maximized import Maximized

# Standard deviation of the initial noise, as a fraction of the value range.
_NOISE = 0.02
# Leak of inactive ReLUs, used if no other path leads to a unit.
_LEAK = 0.1
# The identity transform.
_STILL = np.array([[1, 0, 0, 0, 1, 0, 0, 0]], "float32")


def maximize_activation(
    model: keras.Model,
    units: Any,
    *,
    layer: str | keras.Layer | None = None,
    value_range: Any = (0.0, 1.0),
    ascent: Ascent | None = None,
    seed: int | None = None,
    verbose: Verbose = "auto",
) -> Maximized:
    """Activation maximization: finds inputs with the highest response of units, by gradient ascent.

    The response of a class is its score before a final softmax or sigmoid, that of a channel the mean of its map, and that of a single unit
    its own value, all before a fused activation function. Each step slightly shifts, rotates and zooms the input, computes the gradient of
    the response, weights it by spatial frequency, normalizes it to the step size, and clips values to their range. If a response has no
    gradient because ReLUs before it are inactive, the step follows a leaky derivative through them.

    `steps` forward and backward passes per unit, and one forward pass.

    Source: [Erhan et al., 2009](https://www.iro.umontreal.ca/~lisa/publications2/index.php/publications/show/247); [Olah, Mordvintsev &
    Schubert, 2017](https://distill.pub/2017/feature-visualization) for transformations and frequencies; [Mahendran & Vedaldi,
    2015](https://arxiv.org/abs/1412.0035) for the penalties. Deviations from Olah et al.: colors are not decorrelated, which would require
    statistics of photographs, and steps have a fixed length instead of Adam's.

    Args:
        model: A built model with one real-valued input; only read.
        units: A channel, or a class; a tuple `(*position, channel)` for a single unit of a map; or a list of these.
        layer: A layer or its path, such as `"backbone/conv5"`; the model's scores by default.
        value_range: `(low, high)`, the range of input values: numbers, or arrays that broadcast to an input, such as one value per channel.
            For a network of BGR photographs minus a mean: `(-mean, 255 - mean)`.
        ascent: Number and size of steps, transformations and penalties; `Ascent()` by default.
        seed: Random seed. By default, each call draws a new one.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Returns:
        A `Maximized`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model has no such layer or the layer no such unit, if the model has several inputs or a token input, if an
            argument is invalid, or if a response is NaN or infinite.

    Example:

    >>> import keras
    >>> from keras_xai.features import Ascent, maximize_activation
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> found = maximize_activation(model, 1, ascent=Ascent(steps=200), seed=0)
    >>> found.images.round(2).tolist(), found.values.round(2).tolist()
    ([[1.0, 1.0, 1.0, 1.0]], [4.0])
    """
    check_verbose(verbose)
    ascent = Ascent() if ascent is None else ascent
    check_instance("ascent", ascent, Ascent, "an `Ascent`, or None for the default one")
    responses = Responses(model, layer)
    shape = real_input(responses.graph, "maximize_activation")
    chosen = responses.units(units)
    (layout,) = responses.scores.layouts
    low, high = checked_range(value_range, shape, responses.scores.dtype)
    seed = secrets.randbits(30) if seed is None else check_seed(seed)
    x = _start(ascent.start, layout, shape, (low, high), len(chosen), seed)
    x, ends = layout.channels_last(x), (layout.channels_last(low), layout.channels_last(high))
    moves = [movements(ascent, x.shape[1:-1], seed, number) for number in range(len(chosen))]
    climbs = [_program(each, ends, ascent, x.shape[1:]) for each in (responses, responses.leaking(_LEAK))]
    # Each step holds the gradient of an input and two transformed copies.
    batch_size = batch_size_for(responses.graph, ascent.batch_size, copies=3)
    parts = [
        _climbed(climbs, x[part], _indices(responses, chosen[part]), moves[part], ascent, verbose)
        for part in rows(len(chosen), batch_size)
    ]
    images, values = (np.concatenate([part[i] for part in parts]) for i in range(2))
    history = np.concatenate([part[2] for part in parts], axis=1)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise ValueError(
            f"The response of unit {chosen[bad[0]]} of '{responses.name}' is NaN or infinite. Check the model's weights, and that "
            "`value_range` is the range of its inputs."
        )
    return Maximized(layout.restored(images), values, history, chosen, responses.name, (low, high), layout.letters)


def _start(start, layout, shape, value_range, count, seed):
    """The starting points of the ascent, an array `(count, *input_shape)`."""
    low, high = value_range
    if start is None:
        if None in shape:
            raise ValueError(
                f"Expected `Ascent(start=...)` for a model whose input size is unknown. Received: start=None and an input of "
                f"shape {shape}."
            )
        drawn = layout.channels_last_shape((1, *shape))[1:]
        noise = np.stack([np.random.default_rng([seed, number, 0]).normal(size=drawn) for number in range(count)])
        noise = layout.restored(noise)
        return np.clip((low + high) / 2 + _NOISE * (high - low) * noise, low, high).astype(low.dtype)
    x = np.asarray(start, low.dtype)
    x = x[None] if x.ndim == len(shape) else x
    fits = x.ndim == len(shape) + 1 and all(size in (None, found) for size, found in zip(shape, x.shape[1:], strict=True))
    if not fits or len(x) not in (1, count) or not np.isfinite(x).all():
        raise ValueError(
            f"Expected `start` to be one finite input of shape {shape}, or one for each of {count} units. Received: an array of "
            f"shape {np.shape(start)}{'' if np.isfinite(x).all() else ' with NaN or infinity'}."
        )
    return np.clip(np.broadcast_to(x, (count, *x.shape[1:])), low, high)


def _indices(responses, units):
    """Channels `(n,)` and positions `(n, axes)`, -1 for the whole map."""
    axes = len(responses.shape) - 1
    positions = [unit[:-1] if len(unit) > 1 else (-1,) * axes for unit in units]
    return np.array([unit[-1] for unit in units], "int32"), np.array(positions, "int32").reshape(len(units), axes)


def _program(responses, value_range, ascent, shape):
    """Compiles a step: inputs to the next inputs, the responses before the step, and the largest gradient entries."""
    low, high = value_range
    (layout,) = responses.scores.layouts
    dtype = responses.scores.dtype
    steady = movements(ascent, shape[:-1], 0, 0) is None
    axes = tuple(range(1, len(shape) + 1))

    def step(x, channels, positions, movement, size):
        def response(inputs):
            maps = responses.of([layout.restored(inputs[0] if steady else moved(inputs[0], movement))])
            return [_response(maps, channels, positions)]

        climbing = record(response, [x])
        (value,) = climbing.outputs
        slope = ops.reshape(climbing.pull([ops.ones_like(value)])[0], (-1, *shape))  # the transform loses static sizes
        if ascent.norm or ascent.total_variation:
            held = record(lambda inputs: [penalty((inputs[0] - (low + high) / 2) / ((high - low) / 2), ascent)], [x])
            gradient = slope - held.pull([ops.ones_like(value)])[0]
        else:
            gradient = slope
        # In units of the range, so that all channels are alike.
        uphill = normalized(preconditioned(gradient * (high - low), ascent.smoothness))
        following = ops.clip(x + ops.cast(size, dtype) * (high - low) * uphill, low, high)
        return following, value, ops.max(ops.abs(slope), axis=axes)

    num_axes = len(responses.shape) - 1
    signature = [((None, *shape), dtype), ((None,), "int32"), ((None, num_axes), "int32"), ((None, 8), "float32"), ((), dtype)]
    return compiled(step, signature, eager_first=False)


def _response(maps, channels, positions):
    """The response `(n,)` of the unit of each sample."""
    sizes = ops.shape(maps)[1:-1]
    flat = ops.reshape(maps, (ops.shape(maps)[0], -1, maps.shape[-1]))
    rows = ops.sum(flat * ops.expand_dims(ops.one_hot(channels, maps.shape[-1], dtype=maps.dtype), 1), axis=-1)
    if not sizes:
        return rows[:, 0]
    place = ops.zeros_like(channels)
    for axis, size in enumerate(sizes):
        place = place * size + positions[:, axis]
    chosen = ops.equal(place[:, None], ops.arange(ops.shape(rows)[1], dtype="int32")[None])
    single = ops.sum(ops.where(chosen, rows, ops.zeros_like(rows)), axis=1)
    return ops.where(positions[:, 0] < 0, ops.mean(rows, axis=1), single)


def _climbed(climbs, x, indices, moves, ascent, verbose):
    """The inputs after all steps, their responses, and the responses before each step."""
    climb, climb_leaking = climbs
    history = []
    still = np.tile(_STILL, (len(x), 1))
    for step in progress(range(ascent.steps), ascent.steps, verbose):
        movement = still if moves[0] is None else np.stack([each[step] for each in moves])
        arguments = (x, *indices, movement, ascent.step_size * (1 - step / ascent.steps))
        x, value, slope = climb(*arguments)
        lost = ops.convert_to_numpy(slope) == 0
        if lost.any():
            x = ops.where(lost.reshape(-1, *[1] * (len(x.shape) - 1)), climb_leaking(*arguments)[0], x)
        history.append(value)
    value = climb(x, *indices, still, 0.0)[1]
    return ops.convert_to_numpy(x), ops.convert_to_numpy(value), np.stack([ops.convert_to_numpy(each) for each in history])
