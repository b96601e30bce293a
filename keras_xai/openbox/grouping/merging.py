"""Agglomerative merging of the regions of a network into groups that share one linear classifier each."""

import dataclasses
import heapq
from collections.abc import Iterable
from typing import Any

import numpy as np
from keras import tree

from keras_xai.data.checks import Verbose
from keras_xai.data.progress import progress
from keras_xai.openbox.converter import OpenBox
from keras_xai.openbox.grouping.logistic import centered, centered_scores, cross_entropy, fit_linear, softmax

NUM_NEIGHBORS = 10  # nearest samples whose regions count as neighbors of the sample's region
NUM_SIMILAR = 3  # regions with the most similar coefficients, which are candidates at any distance


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """Samples with their features, regions and scores.

    Attributes:
        features: `(n, d)`, the samples, or the features of the layer that the box starts from, flattened.
        region_id: `(n,)`.
        scores: `(n, max(C, 2))`, centered.
    """

    features: np.ndarray
    region_id: np.ndarray
    scores: np.ndarray

    @classmethod
    def of(cls, local) -> "Points":
        """The samples of `LinearPieces`."""
        return cls(local.space.vectors(tree.flatten(local.x)), local.region_id, centered_scores(local.scores))

    @property
    def probabilities(self) -> np.ndarray:
        """`(n, max(C, 2))`, the network's."""
        return softmax(self.scores)

    @property
    def labels(self) -> np.ndarray:
        """`(n,)`, the network's classes; for a single score, 1 if it is positive."""
        return self.scores.argmax(axis=1)


class Regions:
    """The regions of some samples with their exact pieces, in coordinates where the samples have spread 1.

    Args:
        box: The box of the network.
        x: The samples.
        verbose: As in `OpenBox`.

    Attributes:
        points: The samples.
        names: `(N,)`, the regions, sorted.
        index: `(n,)`, region of each sample.
        counts: `(N,)`, number of samples of each region.
        z: `(n, d + 1)`, features minus their mean, divided by one common scale, and a column of ones.
        means: `(N, d)`, mean features of the samples of each region.
        pieces: `(N, max(C, 2), d + 1)`, exact pieces in terms of z, centered.
        single: Whether the network has one score.
        example: `x` of `LinearPieces` for one sample, which defines the structure.
    """

    def __init__(self, box: OpenBox, x: Any, verbose: Verbose):
        local = box(x, verbose=verbose)
        self.points = Points.of(local)
        features = self.points.features
        n = len(features)
        self._shift = features.mean(axis=0)
        self._scale = np.sqrt(features.var(axis=0).mean()) or 1.0
        self.names, first, self.index, self.counts = np.unique(
            local.region_id, return_index=True, return_inverse=True, return_counts=True
        )
        self.z = self.standardize(features)
        self.means = np.zeros((len(self.names), features.shape[1]))
        np.add.at(self.means, self.index, features)
        self.means /= self.counts[:, np.newaxis]
        coef = local.space.vectors([each[first] for each in tree.flatten(local.coef)]).astype("float64")
        intercept = local.intercept[first] + coef @ self._shift
        self.pieces = centered(np.concatenate([coef * self._scale, intercept[:, :, np.newaxis]], axis=2))
        self.single = local.scores.shape[1] == 1
        self.example = tree.map_structure(lambda array: np.asarray(array)[:1], local.x)
        self.num_samples = n

    def standardize(self, features: np.ndarray) -> np.ndarray:
        """Features `(n, d)` as `z`, `(n, d + 1)`."""
        return np.concatenate([(features - self._shift) / self._scale, np.ones((len(features), 1))], axis=1)

    def original(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Converts weights `(..., d + 1)` for `z` to coefficients `(..., d)` and intercepts `(...)` for the features."""
        coef = weights[..., :-1] / self._scale
        return coef, weights[..., -1] - coef @ self._shift

    def mean_piece(self, chosen: np.ndarray) -> np.ndarray:
        """`(max(C, 2), d + 1)`, mean of some regions' pieces, weighted by their samples."""
        return np.tensordot(self.counts[chosen] / self.counts[chosen].sum(), self.pieces[chosen], axes=1)


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Additive statistics of a group for merging, in a form that suits few and many dimensions.

    Attributes:
        rows: `(m, d + 1 + C)`, samples and scores; for more than `d + 1 + C` samples the triangular factor of their QR decomposition, which
            has the same products X'X, X'f and f'f.
        weights: `(C, d + 1)`, mean of the pieces.
        count: Number of samples.
        error: The cost of sharing one classifier within the group.
    """

    rows: np.ndarray
    weights: np.ndarray
    count: int
    error: float

    def joined(self, other: "Group", ridge: float) -> "Group":
        """The union of two groups."""
        count = self.count + other.count
        weights = (self.count * self.weights + other.count * other.weights) / count
        rows = np.concatenate([self.rows, other.rows])
        return Group(rows, weights, count, squared_error(rows, weights, ridge))

    def compressed(self) -> "Group":
        """The same group in at most `d + 1 + C` rows."""
        return dataclasses.replace(self, rows=compress(self.rows))


def compress(rows: np.ndarray) -> np.ndarray:
    """At most as many rows as columns, with the same sums of products."""
    return rows if len(rows) <= rows.shape[1] else np.asarray(np.linalg.qr(rows, mode="r"))


def squared_error(rows: np.ndarray, around: np.ndarray, ridge: float) -> float:
    """The smallest `sum_i |f_i - W z_i|^2 + ridge * ||W - around||^2` over W.

    Args:
        rows: `(m, d + C)`, z and f of each sample.
        around: `(C, d)`.
        ridge: Positive.
    """
    num_dims = around.shape[1]
    z = rows[:, :num_dims]
    rest = rows[:, num_dims:] - z @ around.T
    if len(z) < num_dims:  # the same value from the dual system with one equation per sample
        return ridge * float(np.sum(rest * np.linalg.solve(z @ z.T + ridge * np.eye(len(z)), rest)))
    moments = z.T @ rest
    gain = np.sum(moments * np.linalg.solve(z.T @ z + ridge * np.eye(num_dims), moments))
    return float(max(np.sum(rest**2) - gain, 0.0))


def merge_order(regions: Regions, num_groups: int, ridge: float, verbose: Verbose) -> list[tuple[int, int]]:
    """Merges regions, each time the two groups with the lowest cost, until `num_groups` are left.

    The cost of merging two groups is the increase of their error (`squared_error` around the mean of their exact pieces).

    Returns:
        The merged pairs, in order. Groups 0 to N - 1 are the regions; the i-th pair becomes group N + i.
    """
    num_regions = len(regions.names)
    groups = dict(enumerate(_single_groups(regions)))
    neighbors = dict(enumerate(_neighbors(regions)))

    def entry(a, b):
        return groups[a].joined(groups[b], ridge).error - groups[a].error - groups[b].error, a, b

    heap = [entry(a, b) for a in range(num_regions) for b in neighbors[a] if a < b]
    heapq.heapify(heap)
    order: list[tuple[int, int]] = []
    num_merges = num_regions - num_groups
    for new in progress(range(num_regions, num_regions + num_merges), num_merges, verbose if num_merges else 0):
        while heap and not (heap[0][1] in groups and heap[0][2] in groups):
            heapq.heappop(heap)
        if not heap:  # only distant groups are left: now any two may merge
            neighbors = {a: set(groups) - {a} for a in groups}
            heap = [entry(a, b) for a in groups for b in groups if a < b]
            heapq.heapify(heap)
        _, a, b = heapq.heappop(heap)
        order.append((a, b))
        groups[new] = groups.pop(a).joined(groups.pop(b), ridge).compressed()
        neighbors[new] = (neighbors.pop(a) | neighbors.pop(b)) - {a, b}
        for other in neighbors[new]:
            neighbors[other] = neighbors[other] - {a, b} | {new}
            heapq.heappush(heap, entry(other, new))
    return order


def cut(order: Iterable[tuple[int, int]], num_regions: int, num_groups: int) -> np.ndarray:
    """`(N,)`, the group of each region after merging down to `num_groups`."""
    members = {i: [i] for i in range(num_regions)}
    for new, (a, b) in enumerate(list(order)[: num_regions - num_groups], start=num_regions):
        members[new] = members.pop(a) + members.pop(b)
    assigned = np.zeros(num_regions, int)
    for group, each in enumerate(members.values()):
        assigned[each] = group
    return assigned


def refit(regions: Regions, assigned: np.ndarray, ridge: float, y: np.ndarray | None = None) -> np.ndarray:
    """One logistic regression per group on the network's probabilities or `y`, regularized toward its mean piece.

    Returns:
        `(k, max(C, 2), d + 1)`.
    """
    return np.stack([_fitted(regions, assigned == group, ridge, y) for group in range(assigned.max() + 1)])


def refine(regions: Regions, assigned: np.ndarray, ridge: float, max_rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Moves each region to the group whose classifier fits its samples best, refits, and repeats while this improves the fit.

    Returns:
        `(N,)`, the group of each region, and the weights of the groups as from `refit`.
    """
    num_regions, num_groups = len(assigned), assigned.max() + 1
    kept = assigned, refit(regions, assigned, ridge)
    if num_groups in (1, num_regions):
        return kept
    weights, best = kept[1].copy(), np.inf
    for remaining in range(max_rounds, -1, -1):
        losses = np.stack([_losses(regions, each) for each in weights], axis=1)
        total = losses[np.arange(num_regions), assigned].sum()
        if total >= best * (1 - 1e-9):
            break
        best, kept = total, (assigned, weights.copy())
        moved = _without_empty_groups(losses.argmin(axis=1), assigned)
        if not remaining or (moved == assigned).all():
            break
        for group in np.unique([moved[moved != assigned], assigned[moved != assigned]]):
            weights[group] = _fitted(regions, moved == group, ridge)
        assigned = moved
    return kept


def nearest(points: np.ndarray, queries: np.ndarray, count: int = 1) -> np.ndarray:
    """`(n, count)`, indices of the points nearest to each query."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=min(count, len(points))).fit(points).kneighbors(queries, return_distance=False)


def _single_groups(regions):
    rows = np.concatenate([regions.z, regions.points.scores], axis=1)[np.argsort(regions.index, kind="stable")]
    parts = np.split(rows, np.cumsum(regions.counts)[:-1])
    for part, piece, count in zip(parts, regions.pieces, regions.counts, strict=True):
        yield Group(compress(part), piece, int(count), 0.0)


def _neighbors(regions):
    """The merge candidates of each region: near in the feature space, or with similar coefficients."""
    neighbors: list[set[int]] = [set() for _ in regions.names]

    def connect(one, others):
        for a, row in zip(one, others, strict=True):
            for b in row:
                if a != b:
                    neighbors[a].add(int(b))
                    neighbors[b].add(int(a))

    connect(regions.index, regions.index[nearest(regions.z, regions.z, NUM_NEIGHBORS + 1)])
    flat = regions.pieces.reshape(len(regions.names), -1)
    connect(range(len(flat)), nearest(flat, flat, NUM_SIMILAR + 1))
    return neighbors


def _fitted(regions, chosen, ridge, y=None):
    around = regions.mean_piece(chosen)
    if y is None and not np.ptp(regions.pieces[chosen], axis=0).any():
        return around  # one exact piece needs no fitting
    rows = chosen[regions.index]
    targets = softmax(regions.points.scores[rows]) if y is None else np.eye(len(around))[y[rows]]
    return fit_linear(regions.z[rows], targets, around=around, ridge=ridge)


def _losses(regions, weights):
    """`(N,)`, cross-entropy between the network and one classifier, summed over the samples of each region."""
    losses = cross_entropy(regions.points.probabilities, regions.z @ weights.T)
    return np.bincount(regions.index, losses, len(regions.names))


def _without_empty_groups(moved, assigned):
    """Reverts moves that leave a group without regions."""
    while len(empty := np.setdiff1d(assigned, moved)):
        moved = np.where(np.isin(assigned, empty), assigned, moved)
    return moved
