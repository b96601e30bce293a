"""A network restricted to a line or a plane in its input space, with coordinates along it."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops

from keras_xai.data.arrays import unchecked
from keras_xai.data.structure import packed
from keras_xai.openbox.engine import Engine
from keras_xai.openbox.names import names_of
from keras_xai.openbox.programs import Programs
from keras_xai.openbox.space import Space


@dataclasses.dataclass(frozen=True, eq=False)
class Views:
    """The linear pieces at n points of a section of k dimensions.

    Attributes:
        names: `(n,)`, names of the regions.
        scores: `(n, C)`.
        slopes: `(n, C, k)`, derivatives of the scores along the axes.
        walls: `(n, m)`, values of all constraints, `>= 0`.
        wall_slopes: `(n, m, k)`, their derivatives along the axes, exactly zero where they are rounding error.
    """

    names: np.ndarray
    scores: np.ndarray
    slopes: np.ndarray
    walls: np.ndarray
    wall_slopes: np.ndarray


class Section:
    """The points `origin + coordinates . axes` of the input space.

    Args:
        box: The box of the network.
        space: The input space.
        origin: Vector `(d,)`.
        axes: Nonzero vectors `(k, d)`.

    Raises:
        ValueError: If coordinates from 0 to 1 are hardly distinguishable in the input space.

    Attributes:
        resolution: Minimum difference of coordinates that are distinguishable in the input space, in double precision.
    """

    def __init__(self, box: Engine, space: Space, origin: np.ndarray, axes: np.ndarray):
        self.space = space
        self.origin = origin
        self.axes = axes
        self.batch_size = box.batch_size
        self.geometry: Programs = box.geometry
        largest = np.abs(origin) + np.abs(axes).sum(axis=0)
        self.resolution = 16 * np.finfo("float64").eps * float(largest.max() / np.abs(axes).max(axis=1).min())
        if self.resolution > 1e-3:
            raise ValueError(
                "Expected a line or rectangle that is larger than rounding error. Received: one whose points differ by at most "
                f"{np.abs(axes).max(axis=1).min():.1e} in any entry, for entries of up to {np.abs(origin).max():.1e}."
            )
        self._box = box
        self._fingerprint = self.geometry.fingerprint()
        # A batch dimension of one is broadcast to the batch inside the program.
        self._tangents = space.arrays(axes[:, np.newaxis])

    def vectors(self, coordinates: np.ndarray) -> np.ndarray:
        """Points `(n, k)` as vectors `(n, d)`."""
        return self.origin + coordinates @ self.axes

    def inputs(self, coordinates: np.ndarray) -> Any:
        """Points `(n, k)` in the structure of the model's inputs."""
        return self.space.packed(self.vectors(coordinates))

    def project(self, x: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Samples in the form that the model takes: their coordinates `(n, k)`, distances `(n,)` and scores `(n, C)`."""
        batches = [[array.astype("float64", copy=False) for array in batch] for batch in self._box.samples(x)]
        away = np.concatenate([self.space.vectors(batch) for batch in batches]) - self.origin
        coordinates = np.linalg.lstsq(self.axes.T, away.T, rcond=None)[0].T
        scores = np.concatenate([ops.convert_to_numpy(self.geometry.identify(batch)[0]) for batch in batches])
        return coordinates, np.linalg.norm(away - coordinates @ self.axes, axis=1), scores

    @property
    def entries(self) -> tuple[int, ...] | None:
        """The entries of a vector that change, if they are as many as the axes; else `None`."""
        changing = np.flatnonzero(self.axes.any(axis=0))
        return tuple(changing.tolist()) if len(changing) == len(self.axes) else None

    def entry_name(self, entry: int) -> str:
        """The name of an entry of a vector."""
        number, index = self.space.unit(entry)
        name = f"entry {index[0] if len(index) == 1 else index}"
        return name if len(self.space.shapes) == 1 else f"{name} of input {number}"

    def views(self, coordinates: np.ndarray) -> Views:
        """The linear pieces at the points `(n, k)` of one batch."""
        n = len(coordinates)
        # Few batch sizes, since XLA compiles for each.
        padded = np.resize(coordinates, (min(self.batch_size, 1 << (n - 1).bit_length()), coordinates.shape[1]))
        *found, patterns = self.geometry.sections(self.space.arrays(self.vectors(padded)), self._tangents)
        scores, slopes, walls, wall_slopes = (ops.convert_to_numpy(each) for each in found)
        return Views(
            names=names_of([ops.convert_to_numpy(pattern)[:n] for pattern in patterns], n),
            scores=scores[:n],
            slopes=np.moveaxis(slopes, 0, -1)[:n],
            walls=walls[:n],
            wall_slopes=np.moveaxis(wall_slopes, 0, -1)[:n],
        )

    def scores(self, coordinates: np.ndarray) -> np.ndarray:
        """The network's scores at points `(n, k)`, `(n, C)`, in batches."""
        batches = [ops.convert_to_numpy(self.geometry.identify(arrays)[0]) for arrays in self.batches(coordinates)]
        return np.concatenate(batches)

    def batches(self, coordinates: np.ndarray) -> Iterator[list[np.ndarray]]:
        """Points `(n, k)` as inputs, batch by batch."""
        for start in range(0, len(coordinates), self.batch_size):
            yield self.space.arrays(self.vectors(coordinates[start : start + self.batch_size]))

    def check_weights(self) -> None:
        """Raises a `RuntimeError` if the model has been trained since."""
        if self.geometry.fingerprint() != self._fingerprint:
            raise RuntimeError(
                "The model's weights have changed since this section was computed, so it no longer describes the model. Compute it again."
            )


def read_inputs(box: Engine, values: dict[str, Any]) -> tuple[Space, np.ndarray]:
    """Checks single inputs of a model.

    Args:
        box: The box of the model.
        values: Inputs by argument name, each in the structure of the model's inputs, with or without a batch dimension of one.

    Returns:
        The input space, and the inputs as vectors `(len(values), d)`.

    Raises:
        ValueError: If one of them does not fit the model, or they differ in shape.
    """
    graph = box.sample_graph
    spaces, vectors = [], []
    for name, value in values.items():
        arrays = unchecked(value, graph)
        batches = [
            array[np.newaxis] if array.ndim == len(spec.shape) - 1 else array
            for array, spec in zip(arrays, graph.input_specs, strict=True)
        ]
        samples = box.samples(packed(batches, graph))
        if samples.num_samples != 1:
            raise ValueError(f"Expected `{name}` to be one input. Received: {samples.num_samples} inputs.")
        arrays = [array.astype("float64", copy=False) for array in samples.arrays()]
        pack = functools.partial(packed, inputs=box.network.graph)
        spaces.append(Space(tuple(array.shape[1:] for array in arrays), pack))
        vectors.append(spaces[-1].vectors(arrays)[0])
    if len({space.shapes for space in spaces}) > 1:
        received = ", ".join(f"{name} of {list(space.shapes)}" for name, space in zip(values, spaces, strict=True))
        raise ValueError(f"Expected inputs of the same shape. Received: {received}")
    return spaces[0], np.stack(vectors)
