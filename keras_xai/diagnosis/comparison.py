"""Two networks side by side: which layers correspond, and where one falls behind."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import numpy as np

from keras_xai.diagnosis.result import Diagnosis, LayerDiagnosis
from keras_xai.metrics.intervals import Interval, difference

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False)
class LayerPair:
    """A layer of the first network and the layer of the second that it is compared with.

    Attributes:
        a: Of the first network.
        b: Of the second network.
        difference: Of the neighborhood hits on the maps, the first network's minus the second's, with its 95 % confidence interval.
        activation_difference: The same among the vectors, without t-SNE.
    """

    a: LayerDiagnosis
    b: LayerDiagnosis
    difference: Interval
    activation_difference: Interval


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class NetworkComparison:
    """Two networks, layer by layer, see `compare`.

    Attributes:
        a: The first network.
        b: The second network.
        names: What they are called.
        pairs: The layers that are compared, in the order of their depth.
        paired: Whether both were diagnosed on the same samples, told by their places and labels, so that what is peculiar to a sample drops
            out of differences.
    """

    a: Diagnosis
    b: Diagnosis
    names: tuple[str, str]
    pairs: tuple[LayerPair, ...]
    paired: bool

    @property
    def table(self) -> "pd.DataFrame":
        """A pandas data frame with a row for each pair.

        Under the name of each network the layer, its depth and its neighborhood hit, under `difference` (on the maps) and
        `difference in activations` the columns `mean`, `low` and `high`.
        """
        import pandas as pd

        rows = []
        for pair in self.pairs:
            row: dict[tuple[str, str], Any] = {}
            for name, layer in zip(self.names, (pair.a, pair.b), strict=True):
                row |= {(name, "layer"): layer.path, (name, "depth"): layer.depth}
                row |= {(name, "neighborhood hit"): layer.neighborhood_hit.mean}
            for name, found in (("difference", pair.difference), ("difference in activations", pair.activation_difference)):
                row |= {(name, part): value for part, value in found._asdict().items()}
            rows.append(row)
        return pd.DataFrame(rows, columns=pd.MultiIndex.from_tuples(rows[0]))

    @property
    def summary(self) -> str:
        """Which network is ahead in the end, from which layer on, and where the gap is largest, in words.

        A difference counts where its 95 % confidence interval does not contain 0.
        """
        signs = [_sign(pair.difference) for pair in self.pairs]
        last = signs[-1]
        if not last:
            return " ".join(
                [
                    f"In the last layers compared, {_called(self.pairs[-1])}, the networks cannot be told apart: "
                    f"{_figures(self.pairs[-1].difference)}.",
                    *self._ahead(self.names[0], signs, 1),
                    *self._ahead(self.names[1], signs, -1),
                ]
            )
        strong, weak = self.names if last > 0 else self.names[::-1]
        start = len(signs) - next((i for i, sign in enumerate(reversed(signs)) if sign != last), len(signs))
        layer = self.pairs[start].b if last > 0 else self.pairs[start].a
        widest = max(self.pairs, key=lambda pair: last * pair.difference.mean)
        behind = self.pairs[start:]
        number = f" {len(behind)}" if len(behind) > 1 else ""
        where = f"in the last{number} of {len(signs)}" if start else f"in all {len(signs)}"
        agreeing = sum(_sign(pair.activation_difference) == last for pair in behind)
        return " ".join(
            [
                f"{weak} is behind {strong} from '{layer.path}' on, at {layer.depth:.0%} of its depth, {where} pairs of layers. "
                f"The gap is widest in {_called(widest)}: {_figures(widest.difference, last)}.",
                *self._ahead(weak, signs, -last),
                f"Among the activations themselves, without t-SNE, {strong} is {_agreement(agreeing, len(behind))}.",
            ]
        )

    def _ahead(self, name, signs, sign):
        """A sentence on where a network is ahead, if anywhere."""
        where = [_called(pair) for pair, each in zip(self.pairs, signs, strict=True) if each == sign]
        return [f"{name} is ahead in {', '.join(where)}."] if where else []

    def plot(self, **options: Any) -> "Figure":
        """Draws the maps of the layers that are compared, one network above the other, see `keras_xai.report.layers_plot`.

        Args:
            **options: Of `layers_plot`.

        Returns:
            A matplotlib figure.
        """
        from keras_xai.report import layers_plot

        columns = [(pair.a.path, pair.b.path) for pair in self.pairs]
        return layers_plot(dict(zip(self.names, (self.a, self.b), strict=True)), columns=columns, **options)

    def plot_depth(self, **options: Any) -> "Figure":
        """Draws the neighborhood hits of both networks against the depth, see `keras_xai.report.depth_plot`.

        Args:
            **options: Of `depth_plot`.

        Returns:
            A matplotlib figure.
        """
        from keras_xai.report import depth_plot

        return depth_plot(dict(zip(self.names, (self.a, self.b), strict=True)), **options)

    def __repr__(self):
        return f"NetworkComparison: {self.summary}"


def compare(
    a: Diagnosis, b: Diagnosis, mapping: Mapping[str, str] | None = None, *, names: tuple[str, str] | None = None
) -> NetworkComparison:
    """Compares two networks layer by layer.

    Where both were diagnosed on the same samples, a difference is that of each sample's contribution, so that what makes a sample easy
    or hard for both drops out; repeats of t-SNE are independent all the same.

    Source: figure 4 and table 3 of Wang & Liu, "Refining Deep Neural Networks via Interpretability Using Transfer Learning" (2024), which
    compare five layers of each network in order and give no intervals.

    Args:
        a: The first network, as `diagnose` returns it.
        b: The second network.
        mapping: From paths of layers of the first network to those of the second. By default each layer of the network that has fewer
            is compared with another one of the other, so that all depths together differ the least.
        names: What to call the networks; by default their names, with numbers where these are the same.

    Returns:
        A `NetworkComparison`: `table`, `summary`, `plot()` and `plot_depth()`.

    Raises:
        TypeError: If one of the two is not a `Diagnosis`.
        ValueError: If they were not made with the same protocol and `k`, or of other classes, `mapping` names a layer that was not
            diagnosed, or `names` are not two different ones.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.diagnosis import Protocol, compare, diagnose
    >>> from keras_xai.features import TSNE
    >>> x, y = np.random.default_rng(0).normal(size=(60, 8)), np.arange(60) % 2
    >>> protocol = Protocol(tsne=TSNE(perplexity=8, iterations=260), repeats=2)
    >>> def network(name):
    ...     dense = keras.layers.Dense
    ...     return keras.Sequential([keras.Input((8,)), dense(8, "relu", name=name), dense(2, "softmax")], name=f"with_{name}")
    >>> reports = [diagnose(network(name), x + 3 * y[:, None], y, protocol=protocol) for name in ("some", "other")]
    >>> found = compare(*reports)
    >>> [(pair.a.path, pair.b.path) for pair in found.pairs], found.paired
    ([('some', 'other')], True)
    """
    for name, report in (("a", a), ("b", b)):
        if not isinstance(report, Diagnosis):
            raise TypeError(f"Expected `{name}` to be a `Diagnosis`, as `diagnose` returns it. Received: {report!r}")
    settings = [{"k": report.k} | vars(report.protocol) for report in (a, b)]
    differing = [name for name in settings[0] if name != "batch_size" and settings[0][name] != settings[1][name]]
    if differing:
        one, other = (", ".join(f"{name}={each[name]!r}" for name in differing) for each in settings)
        raise ValueError(f"Expected two networks that were diagnosed with the same protocol. Received: {one} and {other}.")
    if a.classes != b.classes:
        raise ValueError(
            f"Expected two networks that were diagnosed on the same {len(a.classes)} classes. Received: another one with {len(b.classes)} "
            f"classes, of which {len(set(map(str, a.classes)) & set(map(str, b.classes)))} are the same. Diagnose both on the same samples."
        )
    if names is None:
        names = (a.name, b.name) if a.name != b.name else (f"{a.name} (1)", f"{b.name} (2)")
    if len(names) != 2 or names[0] == names[1]:
        raise ValueError(f"Expected `names` to be two different ones. Received: names={names!r}")
    paired = np.array_equal(a.samples, b.samples) and np.array_equal(a.labels, b.labels)
    chosen = _by_depth(a, b) if mapping is None else _by_mapping(a, b, mapping)
    chosen.sort(key=lambda paths: a.layers[paths[0]].depth)
    pairs = tuple(_pair(a.layers[one], b.layers[other], paired) for one, other in chosen)
    return NetworkComparison(a, b, names, pairs, paired)


def _by_depth(a, b):
    """Pairs of paths, of which all depths together differ the least."""
    from scipy.optimize import linear_sum_assignment

    ones, others = (sorted(report.layers.values(), key=lambda layer: layer.depth) for report in (a, b))
    apart = np.abs(np.array([[one.depth - other.depth for other in others] for one in ones]))
    rows, columns = linear_sum_assignment(apart)
    # Which of several equally good pairings is found may cross; in order is as good, since depths lie on a line.
    return [(ones[i].path, others[j].path) for i, j in zip(sorted(rows), sorted(columns), strict=True)]


def _by_mapping(a, b, mapping):
    if not mapping:
        raise ValueError("Expected `mapping` to have at least one pair of layers. Received: an empty one.")
    for name, report, paths in (("a", a, mapping.keys()), ("b", b, mapping.values())):
        missing = [path for path in paths if path not in report.layers]
        if missing:
            raise ValueError(
                f"Expected layers that `{name}` has a diagnosis of: {list(report.layers)}. Received: {missing} in `mapping`."
            )
    return list(mapping.items())


def _pair(one, other, paired):
    def between(name):
        return difference(getattr(one, name), getattr(other, name), paired)

    return LayerPair(one, other, between("map_influence"), between("activation_influence"))


def _sign(found):
    """1 or -1 for a difference whose interval does not contain 0, else 0."""
    return int(found.low > 0) - int(found.high < 0)


def _agreement(count, whole):
    """Where a network that is ahead in some pairs on the maps is ahead among the activations, too."""
    if whole == 1:
        return "ahead there, too" if count else "not ahead there"
    return f"ahead in {'all' if count == whole else count} of these {whole} pairs"


def _called(pair):
    return f"'{pair.a.path}'" if pair.a.path == pair.b.path else f"'{pair.a.path}' and '{pair.b.path}'"


def _figures(found, sign=1):
    low, high = sorted((sign * found.low, sign * found.high))
    return f"{sign * found.mean:+.3f} (95 % interval {low:+.3f} to {high:+.3f})"
