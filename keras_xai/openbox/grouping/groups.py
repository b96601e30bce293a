"""Surrogates with few linear classifiers instead of a network's many linear regions, by merging or pruning."""

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import tree

from keras_xai.data.checks import Verbose, check_count
from keras_xai.data.reader import count_of
from keras_xai.openbox.converter import OpenBox
from keras_xai.openbox.grouping.arguments import check_box, check_labels, check_settings
from keras_xai.openbox.grouping.fidelity import compare
from keras_xai.openbox.grouping.logistic import softmax
from keras_xai.openbox.grouping.merging import Points, Regions, cut, merge_order, nearest, refine, refit
from keras_xai.results.base import Shown
from keras_xai.results.fidelity import Fidelity
from keras_xai.results.html import frame_table
from keras_xai.results.pictures import drawn
from keras_xai.results.text import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NUM_REPRESENTATIVES = 5


def merge_regions(
    box: OpenBox,
    x: Any,
    num_groups: int,
    *,
    y: Any = None,
    ridge: float = 1.0,
    max_rounds: int = 20,
    verbose: Verbose = "auto",
) -> "RegionGroups":
    """Merges the regions of some samples into groups that share one linear classifier each.

    The algorithm has three steps and is deterministic.

    1. Agglomerate. Sharing one classifier costs a group G of samples `E(G) = min_W sum_i |f(x_i) - W z_i|^2 + ridge * |W - W_G|^2`, where f
       are the network's scores, z are features in units of their spread with a 1 for the intercept, and W_G is the mean of the group's
       exact pieces, weighted by their samples. Within one region the cost is 0. Each step merges the two groups with the smallest increase
       of E, among those with nearby samples or with regions of similar coefficients.
    2. Refit. Each group gets the logistic regression closest to the network's probabilities on its samples, with the penalty `ridge / 2 *
       |W - W_G|^2`.
    3. Refine. Each region moves to the group whose classifier has the lowest cross-entropy on its samples, and the groups are refitted,
       repeatedly while this improves the fit. Both steps use the network's probabilities; with `y`, the final groups are fitted to `y`.

    Scores are compared without their mean over classes, which does not affect probabilities.

    Args:
        box: An `OpenBox` of a classifier: C scores with a softmax, or one score with a sigmoid.
        x: The samples whose regions are merged, as in `OpenBox`.
        num_groups: Number of groups.
        y: Class indices `(n,)` for the final fit of the groups' classifiers, instead of the network's probabilities.
        ridge: Weight of the exact pieces. With 1 they count as much as one sample.
        max_rounds: Maximum number of rounds of step 3; 0 skips it.
        verbose: `"auto"` for progress bars after two seconds, 1 to show them at once, 2 for one line at the end, 0 for none.

    Returns:
        `RegionGroups`, the largest group first. With as many groups as regions and without `y`, the exact pieces.

    Raises:
        ValueError: If an argument is invalid, or `num_groups` is larger than the number of regions.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.openbox import OpenBox, merge_regions
    >>> keras.utils.set_random_seed(0)
    >>> model = keras.Sequential([
    ...     keras.Input((2,)),
    ...     keras.layers.Dense(8, activation="relu"),
    ...     keras.layers.Dense(3, activation="softmax"),
    ... ])
    >>> x = np.random.default_rng(0).normal(size=(300, 2))
    >>> groups = merge_regions(OpenBox(model, dtype="float64"), x, 4, verbose=0)
    >>> groups.coef.shape, int(groups.sizes.sum())
    ((4, 3, 2), 300)
    >>> groups.fidelity(x).agreement > 0.9
    True

    Reference:

    - [Sudjianto et al., 2020](https://arxiv.org/abs/2011.04041) merge regions by the similarity of their coefficients and fit each cluster
      to the labels. Deviations: the cost is the score error of a shared classifier, groups are fitted to the network unless `y` is given,
      regions may be reassigned, and any number of classes is supported.
    """
    check_box(box)
    check_count("num_groups", num_groups)
    check_settings(ridge, max_rounds, "max_rounds")
    labels = check_labels(y, box.num_outputs, count_of(x))
    regions = Regions(box, x, verbose)
    labels = check_labels(labels, box.num_outputs, regions.num_samples)
    check_count("num_groups", num_groups, most=len(regions.names), what="regions of `x`")
    order = merge_order(regions, num_groups, ridge, verbose)
    return merged(box, regions, order, num_groups, y=labels, ridge=ridge, max_rounds=max_rounds)


def merged(box, regions, order, num_groups, *, y=None, ridge=1.0, max_rounds=20) -> "RegionGroups":
    """The groups after merging regions in a given order."""
    assigned, weights = refine(regions, cut(order, len(regions.names), num_groups), ridge, max_rounds)
    if y is not None:
        weights = refit(regions, assigned, ridge, y)
    largest_first = np.argsort(-np.bincount(assigned, regions.counts), kind="stable")
    return RegionGroups(
        box=box, regions=regions, known=np.arange(len(assigned)), assigned=np.argsort(largest_first)[assigned],
        weights=weights[largest_first],
    )  # fmt: skip


def prune_regions(box: OpenBox, x: Any, num_regions: int, *, verbose: Verbose = "auto") -> "RegionGroups":
    """Keeps the largest regions with their exact pieces; other samples are assigned to the nearest of them.

    The distance is measured in the feature space to the mean of the region's samples.

    Args:
        box: As in `merge_regions`.
        x: The samples, as in `OpenBox`.
        num_regions: Number of regions to keep. Ties in size are broken by the order of `region_id`.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Returns:
        `RegionGroups` of one region each, the largest first.

    Raises:
        ValueError: If `num_regions` is not a positive integer or larger than the number of regions.
    """
    check_box(box)
    check_count("num_regions", num_regions)
    regions = Regions(box, x, verbose)
    check_count("num_regions", num_regions, most=len(regions.names), what="regions of `x`")
    return pruned(box, regions, num_regions)


def pruned(box, regions, num_regions) -> "RegionGroups":
    """The same for known regions."""
    kept = np.argsort(-regions.counts, kind="stable")[:num_regions]
    return RegionGroups(box=box, regions=regions, known=kept, assigned=np.arange(num_regions), weights=regions.pieces[kept])


class RegionGroups(Shown):
    """A surrogate with few linear classifiers, returned by `merge_regions` or `prune_regions`.

    An input belongs to the group of its region if the region is known, and otherwise to the group of the known region whose sample mean is
    nearest in the feature space; `known` distinguishes the cases.

    Attributes:
        coef: `(k, max(C, 2), *input_shape)`, or `(k, 1, *input_shape)` for a single score; in the structure of the model's inputs. Each
            column sums to zero over the classes.
        intercept: `(k, C)`.
        labels: `(n,)`, group of each sample.
        membership: Group of each known region, by its `region_id`.
        sizes: `(k,)`, number of samples of each group.
        num_regions: `(k,)`, number of regions of each group.
        class_counts: `(k, max(C, 2))`, number of samples of each group by the network's predicted class.
        representatives: `(k, r)`, indices of up to 5 samples nearest to the mean of each group's samples, nearest first; -1 if a group has
            fewer.
    """

    def __init__(self, *, box: OpenBox, regions: Regions, known: np.ndarray, assigned: np.ndarray, weights: np.ndarray):
        self.box = box
        self.regions = regions
        self.weights = weights
        self._means = regions.means[known]
        self._assigned = assigned
        self._index = {str(regions.names[region]): i for i, region in enumerate(known)}
        self.membership = {name: int(assigned[i]) for name, i in self._index.items()}
        coef, intercept = regions.original(weights)
        self.intercept = self._shown(intercept[..., np.newaxis])[..., 0]
        self.coef = self._structured(self._shown(coef))
        self.num_regions = np.bincount(assigned, minlength=len(weights))
        self.labels = self.assign(regions.points)[0]
        self.sizes = np.bincount(self.labels, minlength=len(weights))
        self.class_counts = np.zeros((len(weights), weights.shape[1]), int)
        np.add.at(self.class_counts, (self.labels, regions.points.labels), 1)
        self.representatives = self._representatives()

    def __len__(self) -> int:
        return len(self.weights)

    def apply(self, x: Any, *, verbose: Verbose = "auto") -> np.ndarray:
        """Returns the group of each input, `(n,)`."""
        return self.assign(self.points(x, verbose))[0]

    def known(self, x: Any, *, verbose: Verbose = "auto") -> np.ndarray:
        """Returns whether each input is in a known region, `(n,)` booleans."""
        return self.assign(self.points(x, verbose))[1]

    def decision_function(self, x: Any, *, verbose: Verbose = "auto") -> np.ndarray:
        """Returns the scores of each input by its group, `(n, C)`; for C > 1, minus their mean."""
        return self._shown(self.scores(self.points(x, verbose))[..., np.newaxis])[..., 0]

    def predict_proba(self, x: Any, *, verbose: Verbose = "auto") -> np.ndarray:
        """Returns probabilities, `(n, max(C, 2))`."""
        return softmax(self.scores(self.points(x, verbose)))

    def predict(self, x: Any, *, verbose: Verbose = "auto") -> np.ndarray:
        """Returns class indices, `(n,)`; for a single score, 1 if it is positive."""
        return self.scores(self.points(x, verbose)).argmax(axis=1)

    def fidelity(self, x: Any, y: Any = None, *, verbose: Verbose = "auto") -> Fidelity:
        """Returns the fidelity to the network on some samples, and the accuracy on labels `y`, class indices."""
        labels = check_labels(y, self.box.num_outputs, count_of(x))
        points = self.points(x, verbose)
        return self.measure(points, check_labels(labels, self.box.num_outputs, len(points.scores)))

    def table(self) -> "pd.DataFrame":
        """One row for each group: its samples, regions, counts of the network's classes, and representative samples."""
        import pandas as pd

        columns: dict[str, Any] = {"samples": self.sizes, "regions": self.num_regions}
        columns |= {f"class {c}": counts for c, counts in enumerate(self.class_counts.T)}
        columns["representatives"] = [row[row >= 0].tolist() for row in self.representatives]
        return pd.DataFrame(columns).rename_axis("group")

    def plot(self, x: Any, y: Any = None, *, resolution: int = 200, path: str | os.PathLike[str] | None = None) -> "Figure":
        """Plots the groups of a network with two inputs: areas, the decision boundary, and samples.

        Args:
            x: Samples `(n, 2)` to plot; the axes extend slightly beyond them.
            y: Their class indices `(n,)`, shown as colors; by default the classes predicted by the groups.
            resolution: Number of grid points along each side.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure with one shade per group, numbered at the representative sample nearest to the group's center; the line is
            the boundary between the groups' predicted classes.

        Raises:
            ValueError: If the samples are not of shape `(n, 2)`, or `y` has another length.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.openbox import OpenBox, merge_regions
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)])
        >>> x = np.random.default_rng(0).normal(size=(50, 2))
        >>> figure = merge_regions(OpenBox(model), x, 2, verbose=0).plot(x, resolution=20)
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['0', '1']
        """
        return drawn("groups", "groups_plot", self, x, y, resolution=resolution, path=path)

    def _summary(self) -> str:
        return f"of {counted(len(self), 'group')} of {counted(len(self.membership), 'region')}, {counted(len(self.labels), 'sample')}"

    def _table_html(self) -> str:
        return frame_table(self.table())

    # Used by other modules of this package, for samples whose regions are already known.

    def points(self, x: Any, verbose: Verbose = "auto") -> Points:
        """Features, regions and scores of some inputs."""
        return Points.of(self.box(x, outputs=[0], verbose=verbose))

    def assign(self, points: Points) -> tuple[np.ndarray, np.ndarray]:
        """Groups `(n,)`, and whether they belong to known regions."""
        regions = np.array([self._index.get(str(name), -1) for name in points.region_id])
        known = regions >= 0
        if not known.all():
            regions[~known] = nearest(self._means, points.features[~known])[:, 0]
        return self._assigned[regions], known

    def scores(self, points: Points) -> np.ndarray:
        """Scores `(n, max(C, 2))`, centered."""
        groups = self.assign(points)[0]
        z = self.regions.standardize(points.features)
        result = np.empty((len(z), self.weights.shape[1]))
        for group, weights in enumerate(self.weights):
            result[groups == group] = z[groups == group] @ weights.T
        return result

    def measure(self, points: Points, y: np.ndarray | None) -> Fidelity:
        """Fidelity on some samples."""
        known = float(self.assign(points)[1].mean())
        return dataclasses.replace(compare(softmax(self.scores(points)), points.probabilities, y), known=known)

    def _shown(self, rows):
        """Rows for the classes, `(..., C, m)`; for a single score, the difference of its two rows."""
        return rows[..., 1:, :] - rows[..., :1, :] if self.regions.single else rows

    def _structured(self, coef):
        """`(k, C, d)` in the structure of the model's inputs."""
        shapes = [array.shape[1:] for array in tree.flatten(self.regions.example)]
        parts = np.split(coef, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1], axis=2)
        arrays = [part.reshape(*part.shape[:2], *shape) for part, shape in zip(parts, shapes, strict=True)]
        return tree.pack_sequence_as(self.regions.example, arrays)

    def _representatives(self):
        found = np.full((len(self), NUM_REPRESENTATIVES), -1)
        features = self.regions.points.features
        for group in range(len(self)):
            rows = np.flatnonzero(self.labels == group)
            if len(rows):
                distances = np.linalg.norm(features[rows] - features[rows].mean(axis=0), axis=1)
                near = rows[np.argsort(distances, kind="stable")[:NUM_REPRESENTATIVES]]
                found[group, : len(near)] = near
        return found
