"""The input space of a model: conversion between inputs in the model's structure and vectors."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import tree

from keras_xai.data.checks import real_array


@dataclasses.dataclass(frozen=True, eq=False)
class Space:
    """Converts arrays, one for each input of a model, to vectors of all their entries and back.

    Attributes:
        shapes: Shape of each input, without the batch dimension.
        pack: Converts a list of arrays, one for each input, to the structure of the model's inputs.
        layouts: Layout of each input, see `keras_xai.layers.DeclaredLayout`; none for channels last.
    """

    shapes: tuple[tuple[int, ...], ...]
    pack: Callable[[list], Any]
    layouts: tuple[str, ...] = ()

    @property
    def num_dims(self) -> int:
        """Number d of entries per sample."""
        return sum(math.prod(shape) for shape in self.shapes)

    def vectors(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Arrays `(..., *shape)`, one for each input, as `(..., d)`."""
        pairs = zip(arrays, self.shapes, strict=True)
        flat = [array.reshape(*array.shape[: array.ndim - len(shape)], math.prod(shape)) for array, shape in pairs]
        return np.concatenate(flat, axis=-1)

    def arrays(self, vectors: np.ndarray) -> list[np.ndarray]:
        """Vectors `(..., d)` as a list of arrays `(..., *shape)`, one for each input."""
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])[:-1]
        parts = np.split(vectors, ends, axis=-1)
        return [part.reshape(*vectors.shape[:-1], *shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def packed(self, vectors: np.ndarray) -> Any:
        """Vectors `(..., d)` in the structure of the model's inputs."""
        return self.pack(self.arrays(vectors))

    def unit(self, dimension: int) -> tuple[int, tuple[int, ...]]:
        """The input that an entry of a vector belongs to, and its index in it."""
        for number, shape in enumerate(self.shapes):
            if dimension < math.prod(shape):
                return number, tuple(int(i) for i in np.unravel_index(dimension, shape))
            dimension -= math.prod(shape)
        raise IndexError(dimension)


@dataclasses.dataclass(frozen=True, eq=False)
class Box:
    """Lower and upper limits of the entries of a sample, as vectors `(d,)`, infinite for no limit."""

    lower: np.ndarray
    upper: np.ndarray

    @classmethod
    def of(cls, bounds: Any, space: Space) -> "Box":
        """Reads the argument `bounds`: `None` for no limits, or `(lower, upper)`, numbers or in the structure of a sample.

        Raises:
            ValueError: If the limits are not a pair, have the wrong shape, or cross.
        """
        if bounds is None:
            return cls(np.full(space.num_dims, -np.inf), np.full(space.num_dims, np.inf))
        if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
            raise ValueError(f"Expected `bounds` to be None or a pair (lower, upper). Received: bounds={bounds!r}")
        lower, upper = (_limit(bound, space, name) for bound, name in zip(bounds, ("lower", "upper"), strict=True))
        if not (lower <= upper).all():
            first = int(np.flatnonzero(~(lower <= upper))[0])
            raise ValueError(
                f"Expected the lower bounds to be no greater than the upper ones. Received: {lower[first]:g} and {upper[first]:g} "
                f"for the entry {space.unit(first)[1]} of a sample."
            )
        return cls(lower, upper)

    def check_holds(self, vectors: np.ndarray) -> None:
        """Raises a `ValueError` if a sample is outside."""
        outside = ((vectors < self.lower) | (vectors > self.upper)).any(axis=1)
        if outside.any():
            first = int(np.flatnonzero(outside)[0])
            entry = int(np.flatnonzero((vectors[first] < self.lower) | (vectors[first] > self.upper))[0])
            raise ValueError(
                f"Expected `bounds` to contain the samples. Received: bounds that {int(outside.sum())} of {len(vectors)} samples "
                f"exceed; sample {first} has an entry {vectors[first, entry]:g} between limits {self.lower[entry]:g} and "
                f"{self.upper[entry]:g}."
            )


def _limit(bound, space, name):
    if np.ndim(bound) == 0 and not isinstance(bound, dict):
        limit = np.full(space.num_dims, float(real_array("bounds", bound, "two numbers or arrays")))
    else:
        leaves = tree.flatten(bound) if len(space.shapes) > 1 else [bound]
        shapes = [np.shape(leaf) for leaf in leaves]
        if shapes != list(space.shapes):
            raise ValueError(
                f"Expected the {name} `bounds` to be a number or an array of the shape of a sample, {list(space.shapes)}. "
                f"Received: {shapes}"
            )
        limit = np.concatenate([real_array("bounds", leaf, "numbers").astype("float64").reshape(-1) for leaf in leaves])
    if np.isnan(limit).any():
        raise ValueError(f"Expected {name} `bounds` without NaN. Received: NaN.")
    return limit
