"""Exact lines through the partition of a network into its linear pieces, and exact integrated gradients along them."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from keras_xai.data.checks import Verbose, is_integer, real_array, short
from keras_xai.data.progress import progress
from keras_xai.openbox.engine import Engine
from keras_xai.openbox.partition.decisions import crossings
from keras_xai.openbox.partition.section import Section, read_inputs
from keras_xai.openbox.scores import decisive
from keras_xai.results.base import Shown
from keras_xai.results.exact_integrated_gradients import ExactIntegratedGradients
from keras_xai.results.pictures import drawn
from keras_xai.results.text import counted, listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Shorter segments, in units of t, are rounding error.
_SHORT = 1e-14


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Line(Shown):
    """The straight line between two inputs, divided into the linear pieces of a network. Returned by `line`.

    The point at t is `start + t (end - start)`, t from 0 to 1. The scores are linear in t between breakpoints.

    Attributes:
        breakpoints: `(k + 1,)`, ascending from 0 to 1: the boundaries between linear pieces.
        region_id: `(k,)` strings, names of the regions between them, as in `LinearPieces`.
        slopes: `(k, C)`, the derivatives of the scores with respect to t.
        breakpoint_scores: `(k + 1, C)`, the scores at the breakpoints.
        crossings: `(c,)`, ascending: points where the predicted class changes. Both classes have equal scores there.
        classes: `(c + 1,)`, the predicted class before, between and after the crossings.
    """

    breakpoints: np.ndarray
    region_id: np.ndarray
    slopes: np.ndarray
    breakpoint_scores: np.ndarray
    crossings: np.ndarray
    classes: np.ndarray
    _section: Section

    def __len__(self) -> int:
        return len(self.region_id)

    def plot(self, *, class_names: Sequence[str] | None = None, path: str | os.PathLike[str] | None = None) -> "Figure":
        """Plots the scores along the line with its breakpoints and the changes of the predicted class.

        Args:
            class_names: Names of all classes of the model; their indices by default.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure. Scores that are never the highest are gray; the ticks at the bottom are the breakpoints.

        Raises:
            ValueError: If the number of names is not the number of classes.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.openbox import OpenBox
        >>> model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)])
        >>> start, end = np.random.default_rng(0).normal(size=(2, 5))
        >>> figure = OpenBox(model).line(start, end, verbose=0).plot(class_names=["cat", "dog", "bird"])
        >>> figure.axes[0].get_xlim() == (0, 1)
        True
        """
        return drawn("partition", "line_plot", self, class_names=class_names, path=path)

    def _summary(self) -> str:
        return f"of {counted(len(self), 'linear piece')}, {counted(len(self.classes) - 1, 'change')} of the predicted class"

    def _facts(self) -> dict[str, Any]:
        return {"changes of the class at t": self.crossings if len(self.crossings) else None, "classes": listed(self.classes)}

    def _picture(self) -> "Figure":
        return self.plot()

    @property
    def length(self) -> float:
        """The Euclidean distance between the two inputs."""
        return float(np.linalg.norm(self._section.axes[0]))

    def inputs(self, t: Any) -> Any:
        """Returns the inputs at points of the line.

        Args:
            t: `(n,)`.

        Returns:
            `(n, *input_shape)`, in the structure of the model's inputs.
        """
        return self._section.inputs(_steps(t)[:, np.newaxis])

    def scores(self, t: Any) -> np.ndarray:
        """Returns the network's scores at points of the line, from the linear pieces alone.

        Args:
            t: `(n,)`, from 0 to 1.

        Returns:
            `(n, C)`; NaN beyond the ends.
        """
        t = _steps(t)
        columns = [np.interp(t, self.breakpoints, column, np.nan, np.nan) for column in self.breakpoint_scores.T]
        return np.stack(columns, axis=1)

    def find(self, t: Any) -> np.ndarray:
        """Returns the segment that contains each point of the line.

        Args:
            t: `(n,)`.

        Returns:
            `(n,)`, indices of segments; the later segment at a breakpoint, and -1 beyond the ends.
        """
        t = _steps(t)
        segment = np.minimum(np.searchsorted(self.breakpoints, t, side="right") - 1, len(self) - 1)
        return np.where((t >= 0) & (t <= 1), segment, -1)

    def integrated_gradients(self, target: int | None = None, *, verbose: Verbose = "auto") -> ExactIntegratedGradients:
        r"""Exact integrated gradients, `(end - start) * sum_i (t_{i+1} - t_i) W_i`, W_i the gradient of segment i.

        The integral of the gradient along the line is a finite sum, because the gradient is constant on each segment. With the start as the
        baseline, these are the integrated gradients of the end. One forward pass and one vector-Jacobian product per segment.

        Args:
            target: Index of the score; by default the highest at the end of the line.
            verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

        Returns:
            `ExactIntegratedGradients`.

        Raises:
            ValueError: If there is no such score.
            RuntimeError: If the model's weights have changed since.

        Reference:

        - [Sundararajan et al., 2017](https://arxiv.org/abs/1703.01365).
        """
        num_outputs = self.slopes.shape[1]
        if target is None:
            target = int(self.breakpoint_scores[-1].argmax())
        if not is_integer(target) or not 0 <= target < num_outputs:
            raise ValueError(
                f"Expected `target` to be the index of a score, from 0 to {num_outputs - 1}. Received: target={target!r}"
            )
        self._section.check_weights()
        shares = np.diff(self.breakpoints)
        middles = (self.breakpoints[:-1] + shares / 2)[:, np.newaxis]
        mean = np.zeros(self._section.space.num_dims)
        start = 0
        num_batches = -(-len(middles) // self._section.batch_size)
        for batch in progress(self._section.batches(middles), num_batches, verbose):
            count = len(batch[0])
            _, coef, _, _ = self._section.geometry.pieces(batch, np.full((count, 1), target, dtype="int32"))
            gradients = self._section.space.vectors([ops.convert_to_numpy(each)[0] for each in coef])
            mean += shares[start : start + count] @ gradients
            start += count
        attribution = mean * self._section.axes[0]
        start_end = self._section.vectors(np.array([[0.0], [1.0]]))
        difference = float(self.breakpoint_scores[-1, target] - self.breakpoint_scores[0, target])
        return ExactIntegratedGradients(
            attribution=self._section.space.packed(attribution),
            target=int(target),
            difference=difference,
            convergence_delta=abs(float(attribution.sum()) - difference),
            start=self._section.space.packed(start_end[0]),
            end=self._section.space.packed(start_end[1]),
            num_outputs=num_outputs,
        )


def line(box: Engine, start: Any, end: Any, *, verbose: Verbose = "auto") -> Line:
    """Divides the straight line between two inputs into the linear pieces of a network, exactly.

    Along a line every constraint of a region is linear, so one point of a region determines both of its ends exactly. The midpoints of
    uncovered intervals are evaluated until none is left, without a step size. The cost is about one forward pass and one directional
    derivative per segment, in batches of the box's size.

    Args:
        box: The box of the network.
        start: One input, in the structure of the model's inputs, with or without a batch dimension of one.
        end: Another input.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Returns:
        `Line`.

    Raises:
        ValueError: If the inputs do not fit the model, or are equal.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.openbox import OpenBox
    >>> keras.utils.set_random_seed(0)
    >>> model = keras.Sequential([
    ...     keras.Input((5,)),
    ...     keras.layers.Dense(8, activation="relu"),
    ...     keras.layers.Dense(3, activation="softmax"),
    ... ])
    >>> box = OpenBox(model, dtype="float64")
    >>> start, end = np.random.default_rng(0).normal(size=(2, 5))
    >>> way = box.line(start, end, verbose=0)
    >>> t = np.linspace(0, 1, 50)
    >>> along = box(way.inputs(t), verbose=0)
    >>> bool((way.region_id[way.find(t)] == along.region_id).all())
    True
    >>> np.allclose(way.scores(t), along.scores, atol=1e-12)
    True
    >>> gradients = way.integrated_gradients(verbose=0)
    >>> gradients.attribution.shape, gradients.convergence_delta < 1e-9
    ((5,), True)

    Reference:

    - [Sotoudeh and Thakur, 2019](https://arxiv.org/abs/1908.06214) compute such lines by traversing the layers.
    """
    space, vectors = read_inputs(box, {"start": start, "end": end})
    if (vectors[0] == vectors[1]).all():
        raise ValueError("Expected `start` and `end` to be different inputs. Received: equal inputs.")
    section = Section(box, space, vectors[0], vectors[1:] - vectors[0])
    segments = sorted(
        (segment for batch in progress(_segments(section), None, verbose) for segment in batch),
        key=lambda segment: segment.low,
    )
    # Rounding error may leave an uncovered remainder, which is then searched separately.
    merged = [
        now for before, now in zip([None, *segments], segments, strict=False) if before is None or before.name != now.name
    ]
    breakpoints = np.array([*(segment.low for segment in merged), 1.0])
    breakpoints[0] = 0.0
    scores = section.scores(breakpoints[:, np.newaxis])
    places, classes = crossings(breakpoints, decisive(scores))
    return Line(
        breakpoints=breakpoints,
        region_id=np.array([segment.name for segment in merged]),
        slopes=np.stack([segment.slopes for segment in merged]),
        breakpoint_scores=scores,
        crossings=places,
        classes=classes,
        _section=section,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Segment:
    name: str
    low: float
    slopes: np.ndarray


def _segments(section: Section) -> Iterator[list[_Segment]]:
    """The linear pieces from t = 0 to 1 in any order, batch by batch."""
    short = max(_SHORT, section.resolution)
    uncovered = [(0.0, 1.0)]
    while uncovered:
        batch, uncovered = uncovered[: section.batch_size], uncovered[section.batch_size :]
        middles = np.array([(low + high) / 2 for low, high in batch])
        views = section.views(middles[:, np.newaxis])
        found = []
        for i, (middle, (low, high)) in enumerate(zip(middles, batch, strict=True)):
            speeds, walls = views.wall_slopes[i, :, 0], views.walls[i]
            behind, ahead = speeds > 0, speeds < 0
            first = max(low, middle - (walls[behind] / speeds[behind]).min(initial=np.inf))
            last = min(high, middle + (walls[ahead] / -speeds[ahead]).min(initial=np.inf))
            if last - first > short:
                found.append(_Segment(views.names[i], first, views.slopes[i, :, 0]))
            # If the midpoint is on several walls at once, its region may be that point alone: then it splits the interval.
            uncovered += [(a, b) for a, b in ((low, first), (last, high)) if b - a > short]
        yield found


def _steps(t):
    t = real_array("t", t, "points of the line, from 0 to 1").astype("float64")
    if t.ndim != 1 or np.isnan(t).any():
        raise ValueError(f"Expected `t` to be points of the line, an array of shape (n,) without NaN. Received: t={short(t)}")
    return t
