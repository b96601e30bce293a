"""`fidelity_curve`: fidelity to the network against the number of linear classifiers."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from keras_xai.data.checks import Verbose, check_count
from keras_xai.data.progress import progress
from keras_xai.data.reader import count_of
from keras_xai.openbox.converter import OpenBox
from keras_xai.openbox.grouping.arguments import check_box, check_labels
from keras_xai.openbox.grouping.fidelity import compare
from keras_xai.openbox.grouping.flatten import flattened
from keras_xai.openbox.grouping.groups import merged, pruned
from keras_xai.openbox.grouping.merging import Points, Regions, merge_order

if TYPE_CHECKING:
    import pandas as pd

Grouping = Literal["merge", "prune", "flatten"]
METHODS: tuple[Grouping, ...] = get_args(Grouping)
MOST_UNITS = 64  # maximum number of hidden units of a flattened network; forward selection of more is slow


def fidelity_curve(
    box: OpenBox,
    x: Any,
    y: Any = None,
    *,
    sizes: Iterable[int] | None = None,
    test: tuple[Any, Any] | None = None,
    methods: Sequence[Grouping] = METHODS,
    verbose: Verbose = "auto",
) -> "pd.DataFrame":
    """Fidelity against the number of groups, for merging, pruning and flattening.

    Regions are found and merged once; each number of groups is a cut through the same merge sequence, refitted and refined as in
    `merge_regions`. Groups are fitted to the network's probabilities. The labels are only used for evaluation.

    Args:
        box: As in `merge_regions`.
        x: The samples whose regions are merged.
        y: Their class indices `(n,)`.
        sizes: Numbers of groups; by default powers of 2 up to the number of regions, and that number itself.
        test: `(x, y)` for evaluation, where y may be `None`; by default the samples that the groups were built from.
        methods: Which of `"merge"`, `"prune"` and `"flatten"` to run; the last starts from the groups of the first, with as many hidden
            units as groups, up to 64.
        verbose: `"auto"` for progress bars after two seconds, 1 to show them at once, 2 for one line at the end, 0 for none.

    Returns:
        A pandas data frame with the columns `method`, `num_groups`, `agreement`, `difference`, `accuracy`, `auc` and `known`; all
        but the first two as in `Fidelity`. The first row is the network itself.

    Raises:
        ValueError: If an argument is invalid, or a size is larger than the number of regions.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.openbox import OpenBox, fidelity_curve
    >>> keras.utils.set_random_seed(0)
    >>> model = keras.Sequential([
    ...     keras.Input((2,)),
    ...     keras.layers.Dense(8, activation="relu"),
    ...     keras.layers.Dense(3, activation="softmax"),
    ... ])
    >>> x = np.random.default_rng(0).normal(size=(300, 2))
    >>> curve = fidelity_curve(OpenBox(model, dtype="float64"), x, sizes=[2, 4], methods=["merge"], verbose=0)
    >>> curve[["method", "num_groups"]].values.tolist()[1:]
    [['merge', 2], ['merge', 4]]
    """
    check_box(box)
    _check_methods(methods)
    if sizes is not None:
        if not isinstance(sizes, (list, tuple, range, np.ndarray)) or not len(sizes):
            raise ValueError(f"Expected `sizes` to be a list of numbers of groups. Received: sizes={sizes!r}")
        for size in sizes:
            check_count("sizes", size)
        sizes = sorted(set(sizes))
    labels = check_labels(y, box.num_outputs, count_of(x))
    x_test, y_test = _pair(test)
    test_labels = check_labels(y_test, box.num_outputs, count_of(x_test) if test else None)
    regions = Regions(box, x, verbose)
    labels = check_labels(labels, box.num_outputs, regions.num_samples)
    points = regions.points
    if test is not None:
        points = Points.of(box(x_test, outputs=[0], verbose=verbose))
        labels = check_labels(test_labels, box.num_outputs, len(points.scores))
    num_regions = len(regions.names)
    sizes = sizes or [*(2**i for i in range(num_regions.bit_length()) if 2**i < num_regions), num_regions]
    check_count("sizes", sizes[-1], most=num_regions, what="regions of `x`")
    rows = _measure(box, regions, points, labels, sizes, methods, verbose)
    return _frame([("network", num_regions, compare(points.probabilities, points.probabilities, labels)), *rows])


def _measure(box, regions, points, labels, sizes, methods, verbose):
    """Yields rows of method, number of groups and fidelity, method by method."""
    rows = []
    order = merge_order(regions, sizes[0], 1.0, verbose) if set(methods) & {"merge", "flatten"} else []
    for size in progress(sizes, len(sizes), verbose):
        if order or size == len(regions.names):
            groups = merged(box, regions, order, size)
            rows.append(("merge", size, groups.measure(points, labels)))
            if size <= MOST_UNITS and "flatten" in methods:
                flat = flattened(groups, regions.points, num_units=size)
                rows.append(("flatten", size, flat.measure(points, labels)))
        if "prune" in methods:
            rows.append(("prune", size, pruned(box, regions, size).measure(points, labels)))
    return [row for method in METHODS for row in rows if row[0] == method and method in methods]


def _frame(rows):
    import pandas as pd

    return pd.DataFrame(
        [{"method": method, "num_groups": size, **dataclasses.asdict(fidelity)} for method, size, fidelity in rows]
    )


def _check_methods(methods):
    if not isinstance(methods, (list, tuple)):
        raise ValueError(f"Expected `methods` to be a list of {list(METHODS)}. Received: methods={methods!r}")
    if not methods or not set(methods) <= set(METHODS):
        raise ValueError(f"Expected `methods` to be a list of some of {METHODS}. Received: methods={methods!r}")


def _pair(test):
    if test is None:
        return None, None
    if not isinstance(test, (tuple, list)) or len(test) != 2:
        raise ValueError(f"Expected `test` to be None or a pair (x, y). Received: an object of type {type(test).__name__}.")
    return test
