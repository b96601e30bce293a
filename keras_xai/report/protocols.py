"""Protocols of the results that plots read without importing their classes."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Pieces(Protocol):
    """The plotted part of `keras_xai.openbox.LinearPieces`."""

    x: Any
    scores: np.ndarray
    outputs: np.ndarray
    space: Any

    def __len__(self) -> int: ...

    def decision_features(self, target: Any = None, *, against: Any = "all") -> Any:
        """The weights by which each piece prefers one class over others."""


class Line(Protocol):
    """The plotted part of `keras_xai.openbox.Line`."""

    @property
    def breakpoints(self) -> np.ndarray:
        """`(k + 1,)`."""

    @property
    def slopes(self) -> np.ndarray:
        """`(k, C)`."""

    @property
    def breakpoint_scores(self) -> np.ndarray:
        """`(k + 1, C)`."""

    @property
    def crossings(self) -> np.ndarray:
        """`(c,)`."""

    @property
    def classes(self) -> np.ndarray:
        """`(c + 1,)`."""

    @property
    def length(self) -> float:
        """The distance between the ends."""

    def __len__(self) -> int: ...


class Plane(Protocol):
    """The plotted part of `keras_xai.openbox.Plane`."""

    @property
    def polygons(self) -> list[np.ndarray]:
        """Each `(v, 2)`."""

    @property
    def region_id(self) -> np.ndarray:
        """`(n,)` strings."""

    @property
    def coef(self) -> np.ndarray:
        """`(n, C, 2)`."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Paths of the layers that have walls."""

    @property
    def edge_layers(self) -> list[np.ndarray]:
        """For each polygon `(v,)`."""

    @property
    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The limits of the rectangle."""

    @property
    def marks(self) -> np.ndarray:
        """`(3, 2)`."""

    @property
    def cells(self) -> Any:
        """The polygons, divided by the predicted class."""

    @property
    def boundary(self) -> Any:
        """The decision boundary."""

    def __len__(self) -> int: ...

    @property
    def entry_names(self) -> tuple[str, ...] | None:
        """Names of the entries that change, if there are two."""

    def places(self, points: Any) -> np.ndarray:
        """Points in the coordinates of the picture, whose distances are Euclidean."""

    def project(self, x: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The nearest points, distances and classes of samples."""


class Groups(Protocol):
    """The plotted part of `keras_xai.openbox.RegionGroups`."""

    regions: Any
    representatives: Sequence[Sequence[int]] | np.ndarray

    def predict(self, x: Any) -> np.ndarray:
        """Class indices `(n,)`."""

    def points(self, x: Any) -> Any:
        """The samples with their regions."""

    def assign(self, points: Any) -> tuple[np.ndarray, np.ndarray]:
        """Groups `(n,)`, and whether they belong to known regions."""

    def scores(self, points: Any) -> np.ndarray:
        """Scores `(n, C)`."""
