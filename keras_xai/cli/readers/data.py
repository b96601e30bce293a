"""`Data`: what the files of a command hold, in the form that the model takes."""

import dataclasses
from typing import Any, final

import numpy as np


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Samples read from files.

    Attributes:
        x: The samples in the form that the model takes.
        num_samples: Their number.
        y: `(n,)`, their labels as they are in the files, those of tables and texts as strings; or `None`.
        names: A name of each sample, such as that of its file, or `None`.
        images: `(n, height, width, 1 or 3)`, images from 0 to 255 in the model's size, or `None`.
        vocabulary: The word of each token, or `None`.
        preprocessing: The preprocessing of images, or `None` for samples that were taken as they are.
        notes: What was done to the samples, as sentences.
    """

    x: Any
    num_samples: int
    y: np.ndarray | None = None
    names: list[str] | None = None
    images: np.ndarray | None = None
    vocabulary: list[str] | None = None
    preprocessing: Any = None
    notes: tuple[str, ...] = ()

    def taken(self, rows: np.ndarray) -> "Data":
        """Some of the samples.

        Args:
            rows: Their indices.
        """
        return dataclasses.replace(
            self,
            x=_rows(self.x, rows),
            num_samples=len(rows),
            y=None if self.y is None else self.y[rows],
            names=None if self.names is None else [self.names[row] for row in rows],
            images=None if self.images is None else self.images[rows],
        )


def _rows(x, rows):
    if isinstance(x, dict):
        return {name: _rows(each, rows) for name, each in x.items()}
    if isinstance(x, (list, tuple)):
        return [_rows(each, rows) for each in x]
    return x.iloc[rows] if hasattr(x, "iloc") else np.asarray(x)[rows]
