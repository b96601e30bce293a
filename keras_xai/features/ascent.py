"""Gradient ascent in the input, shared by activation maximization and Deep Dream."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.data.checks import check_count, check_number, check_positive, real_array, short
from keras_xai.graph.steps import Graph
from keras_xai.network.roles import Tokens

_TINY = 1e-12
# Factor from the usual shift to the side length.
_SIDES = 28


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Ascent:
    """Settings of the gradient ascent and its regularization in `maximize_activation`.

    Attributes:
        steps: Number of steps.
        step_size: Root mean square of the first step's change, as a fraction of the width of `value_range`. Step sizes decrease linearly to
            zero.
        smoothness: Preference for low spatial frequencies: the cosine transform of the gradient is divided by the frequency to this power.
            0 is the plain gradient, whose images are dominated by high-frequency patterns.
        jitter: Maximum random shift of images and series before each step, in pixels or time steps, so that the result does not depend on
            exact positions. By default a twenty-eighth of each side: 8 pixels of 224, none of 8.
        rotation: Maximum random rotation of images in degrees.
        zoom: Maximum relative scaling of images and series.
        total_variation: Weight of the mean absolute difference of neighbors, subtracted from the response. The input is measured in units
            of half the width of `value_range`, from -1 to 1.
        norm: Weight of the mean absolute value of all entries to the power `norm_power`, in the same units, also subtracted.
        norm_power: The power: 2, or 6 as in Mahendran & Vedaldi, 2015, which affects outliers only.
        start: Starting point of the ascent: an array `(*input_shape)`, or one per unit. By default weak noise around the middle of
            `value_range`.
        batch_size: Units processed together; `None` to derive it from the size of the model's tensors.

    Raises:
        ValueError: If an option is invalid.
    """

    steps: int = 128
    step_size: float = 0.01
    smoothness: float = 1.0
    jitter: int | None = None
    rotation: float = 5.0
    zoom: float = 0.1
    total_variation: float = 0.0
    norm: float = 0.0
    norm_power: float = 2.0
    start: np.ndarray | None = None
    batch_size: int | None = None

    def __post_init__(self):
        check_count("steps", self.steps)
        if self.batch_size is not None:
            check_count("batch_size", self.batch_size)
        for name in ("smoothness", "rotation", "zoom", "total_variation", "norm"):
            check_number(name, getattr(self, name), least=0)
        if self.jitter is not None:
            check_count("jitter", self.jitter, least=0)
        if not self.zoom < 1:
            raise ValueError(f"Expected `zoom` to be less than 1. Received: zoom={self.zoom!r}")
        check_positive("step_size", self.step_size)
        if self.start is not None and not np.isfinite(real_array("start", self.start)).all():
            raise ValueError(f"Expected `start` to be finite. Received: start={short(self.start)}")
        check_number("norm_power", self.norm_power, least=1)


def real_input(graph: Graph, caller: str) -> tuple[int | None, ...]:
    """The shape of a sample of the model's single real-valued input; raises if there is none."""
    specs = graph.input_specs
    if len(specs) != 1 or not keras.backend.is_float_dtype(specs[0].dtype) or Tokens(graph, graph.inputs[0]).embeddings:
        raise ValueError(
            f"`{caller}` changes an input and needs a model with one real-valued input. Received: a model with the inputs "
            f"{[(spec.name, tuple(spec.shape), spec.dtype) for spec in specs]}. Fix the others, for example by `keras.Model(x, model([x, "
            "constant]))`, or start after the `Embedding`."
        )
    return tuple(specs[0].shape[1:])


def checked_range(value_range: Any, shape: Sequence[int | None], dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Checks and broadcasts the value range of inputs.

    Args:
        value_range: `(low, high)`: numbers, or arrays that broadcast to the input, such as one value for each channel.
        shape: Shape of one sample; `None` for an axis of unknown length.
        dtype: Dtype of the input.

    Returns:
        Two arrays with as many axes as a batch of samples, each of length 1 if the range is constant along the axis.

    Raises:
        ValueError: If there are not two values, they do not fit the shape, or `low` is not less than `high` everywhere.
    """
    try:
        low, high = (real_array("value_range", end).astype(dtype) for end in value_range)
        low, high = np.broadcast_arrays(low, high)
        fits = low.ndim <= len(shape) and all(
            size in (1, length) for size, length in zip(low.shape[::-1], shape[::-1], strict=False)
        )
    except (TypeError, ValueError):
        fits = False
    if not fits or not np.isfinite([low, high]).all() or not (low < high).all():
        raise ValueError(
            "Expected `value_range` to be (low, high), two numbers, or two arrays that broadcast to an input of shape "
            f"{tuple(shape)}, low less than high. Received: value_range={value_range!r}"
        )
    full = (1,) * (1 + len(shape) - low.ndim) + low.shape
    return low.reshape(full), high.reshape(full)


def preconditioned(gradient: Any, power: float) -> Any:
    """Preconditions a gradient by 1 / f^power over spatial frequencies f.

    The cosine transform is not periodic: it does not treat opposite borders as neighbors.

    Args:
        gradient: Tensor `(n, *spatial, channels)`.
        power: 0 changes nothing.
    """
    lengths = tuple(gradient.shape[1:-1])
    if not lengths or not power:
        return gradient
    grids = np.meshgrid(*(np.arange(length) / (2 * length) for length in lengths), indexing="ij")
    frequencies = np.maximum(np.sqrt(sum(grid**2 for grid in grids)), 1 / (2 * max(lengths)))
    weights = ops.convert_to_tensor((frequencies[..., None] ** -power), gradient.dtype)
    bases = [ops.convert_to_tensor(_cosines(length), gradient.dtype) for length in lengths]
    spectrum = gradient
    for axis, basis in enumerate(bases, start=1):
        spectrum = _along(spectrum, basis, axis)
    spectrum = spectrum * weights
    for axis, basis in enumerate(bases, start=1):
        spectrum = _along(spectrum, ops.transpose(basis), axis)
    return spectrum


def _cosines(length):
    """The orthonormal cosine transform, one frequency per row."""
    rows, places = np.mgrid[:length, :length]
    basis = np.sqrt(2 / length) * np.cos(np.pi * (2 * places + 1) * rows / (2 * length))
    basis[0] /= math.sqrt(2)
    return basis


def _along(x, matrix, axis):
    return ops.moveaxis(ops.tensordot(x, matrix, axes=[[axis], [1]]), -1, axis)


def normalized(gradient: Any) -> Any:
    """Normalizes the gradient of each sample by its root mean square."""
    axes = tuple(range(1, len(gradient.shape)))
    largest = ops.max(ops.abs(gradient), axis=axes, keepdims=True)
    scaled = gradient / (largest + _TINY)  # so that squares of tiny gradients do not underflow
    return scaled / (ops.sqrt(ops.mean(ops.square(scaled), axis=axes, keepdims=True)) + _TINY)


def penalty(x: Any, ascent: Ascent) -> Any:
    """The regularization penalty of inputs, tensor `(n,)`."""
    axes = tuple(range(1, len(x.shape)))
    total = ops.zeros_like(x[(slice(None), *[0] * len(axes))])
    if ascent.norm:
        total = total + ascent.norm * ops.mean(ops.abs(x) ** ascent.norm_power, axis=axes)
    if ascent.total_variation:
        for axis in axes[:-1]:
            if x.shape[axis] > 1:
                first, second = (ops.take(x, np.arange(x.shape[axis] - 1) + shift, axis=axis) for shift in (0, 1))
                total = total + ascent.total_variation * ops.mean(ops.abs(second - first), axis=axes)
    return total


def movements(ascent: Ascent, lengths: Sequence[int], seed: int, number: int) -> np.ndarray | None:
    """Random shifts, rotations and scales for each step.

    Args:
        ascent: The ranges.
        lengths: The input's spatial sizes.
        seed: Seed of the draws.
        number: The index of the input.

    Returns:
        `(steps, 8)`, a projective transform of the plane for each step; `None` if inputs are not transformed.
    """
    reach = [length // _SIDES if ascent.jitter is None else min(int(ascent.jitter), length - 1) for length in lengths]
    if len(lengths) not in (1, 2) or not (any(reach) or ascent.rotation or ascent.zoom):
        return None
    random = np.random.default_rng([seed, number, 1])
    height, width = (1, *lengths)[-2:]  # a series is an image with one row
    across, down = (0, *reach)[-1], (0, *reach)[-2]
    shifts = random.integers([-across, -down], [across + 1, down + 1], size=(ascent.steps, 2))
    turns = np.deg2rad(random.uniform(-ascent.rotation, ascent.rotation, size=ascent.steps)) * (height > 1)
    scales = np.exp(random.uniform(-1, 1, size=ascent.steps) * np.log1p(ascent.zoom))
    maps = np.array([[scales * np.cos(turns), -scales * np.sin(turns)], [scales * np.sin(turns), scales * np.cos(turns)]])
    maps = np.moveaxis(maps, -1, 0)
    if height == 1:
        maps[:, 1, 1] = 1
    middle = np.array([width - 1, height - 1]) / 2
    offsets = middle - maps @ middle + shifts
    rows = np.concatenate([maps, offsets[..., None]], axis=2).reshape(-1, 6)
    return np.pad(rows, ((0, 0), (0, 2))).astype("float32")


def moved(x: Any, movement: Any) -> Any:
    """Shifts, rotates and scales inputs, with reflection at the border.

    Args:
        x: Tensor `(n, *spatial, channels)` with one or two spatial axes.
        movement: Tensor `(n, 8)`, see `movements`.
    """
    options = {"fill_mode": "reflect", "data_format": "channels_last"}
    if len(x.shape) == 3:
        return ops.squeeze(ops.image.affine_transform(ops.expand_dims(x, 1), movement, **options), 1)
    return ops.image.affine_transform(x, movement, **options)
