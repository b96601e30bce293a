"""Comparison of two diagnosed networks."""

from collections.abc import Mapping

import numpy as np

from keras_xai.results.diagnosis import Diagnosis
from keras_xai.results.network_comparison import LayerPair, NetworkComparison
from keras_xai.statistics.intervals import difference


def compare_networks(
    a: Diagnosis, b: Diagnosis, mapping: Mapping[str, str] | None = None, *, names: tuple[str, str] | None = None
) -> NetworkComparison:
    """Compares two networks layer by layer.

    If both networks were diagnosed on the same samples, differences are computed per sample, so that effects common to both cancel; repeats
    of t-SNE remain independent.

    Source: figure 4 and table 3 of Wang & Liu, "Refining Deep Neural Networks via Interpretability Using Transfer Learning" (2024), which
    compare five layers of each network in order, without intervals.

    Args:
        a: The first network's diagnosis, as returned by `diagnose`.
        b: The second network's diagnosis.
        mapping: Maps paths of layers of the first network to those of the second. By default each layer of the network with fewer layers is
            matched to a different layer of the other, with the smallest total difference in depth.
        names: Names of the networks; by default their own names, numbered if they are equal.

    Returns:
        A `NetworkComparison`: `table`, `summary`, `plot()` and `plot_depth()`.

    Raises:
        TypeError: If one of the two is not a `Diagnosis`.
        ValueError: If they differ in protocol, `k` or classes, if `mapping` names a layer that was not diagnosed, or if `names` are not two
            different names.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.diagnosis import Protocol, compare_networks, diagnose
    >>> from keras_xai.features import TSNE
    >>> x, y = np.random.default_rng(0).normal(size=(60, 8)), np.arange(60) % 2
    >>> protocol = Protocol(tsne=TSNE(perplexity=8, iterations=260), repeats=2)
    >>> def network(name):
    ...     dense = keras.layers.Dense
    ...     return keras.Sequential([keras.Input((8,)), dense(8, "relu", name=name), dense(2, "softmax")], name=f"with_{name}")
    >>> reports = [diagnose(network(name), x + 3 * y[:, None], y, protocol=protocol) for name in ("some", "other")]
    >>> found = compare_networks(*reports)
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
        raise ValueError(f"Expected two networks diagnosed with the same protocol. Received: {one} and {other}.")
    if a.classes != b.classes:
        raise ValueError(
            f"Expected two networks diagnosed on the same {len(a.classes)} classes. Received: another one with {len(b.classes)} classes, "
            f"{len(set(map(str, a.classes)) & set(map(str, b.classes)))} of them in common. Diagnose both on the same samples."
        )
    if names is None:
        names = (a.name, b.name) if a.name != b.name else (f"{a.name} (1)", f"{b.name} (2)")
    pair = isinstance(names, (tuple, list)) and len(names) == 2 and all(isinstance(name, str) for name in names)
    if not pair or names[0] == names[1]:
        raise ValueError(f"Expected `names` to be two different names. Received: names={names!r}")
    paired = np.array_equal(a.samples, b.samples) and np.array_equal(a.labels, b.labels)
    chosen = _by_depth(a, b) if mapping is None else _by_mapping(a, b, mapping)
    chosen.sort(key=lambda paths: a.layers[paths[0]].depth)
    pairs = tuple(_pair(a.layers[one], b.layers[other], paired) for one, other in chosen)
    return NetworkComparison(a, b, names, pairs, paired)


def _by_depth(a, b):
    """Pairs of paths with the smallest total difference in depth."""
    from scipy.optimize import linear_sum_assignment

    ones, others = (sorted(report.layers.values(), key=lambda layer: layer.depth) for report in (a, b))
    apart = np.abs(np.array([[one.depth - other.depth for other in others] for one in ones]))
    rows, columns = linear_sum_assignment(apart)
    # An optimal assignment may cross; sorting it is as good, since depths are one-dimensional.
    return [(ones[i].path, others[j].path) for i, j in zip(sorted(rows), sorted(columns), strict=True)]


def _by_mapping(a, b, mapping):
    if not isinstance(mapping, Mapping) or not mapping:
        raise ValueError(f"Expected `mapping` to have at least one pair of layers. Received: mapping={mapping!r}")
    for name, report, paths in (("a", a, mapping.keys()), ("b", b, mapping.values())):
        missing = [path for path in paths if path not in report.layers]
        if missing:
            raise ValueError(
                f"Expected layers with a diagnosis in `{name}`: {list(report.layers)}. Received: {missing} in `mapping`."
            )
    return list(mapping.items())


def _pair(one, other, paired):
    def between(name):
        return difference(getattr(one, name), getattr(other, name), paired)

    return LayerPair(one, other, between("map_influence"), between("activation_influence"))
