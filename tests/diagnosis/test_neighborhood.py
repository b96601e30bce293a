"""The neighborhood hit equals a loop over points, whatever the metric, the order of points, and ties."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from keras_xai.statistics.intervals import clipped, difference, interval, share
from keras_xai.statistics.neighborhood import chance_hit, hits_and_influence, neighborhood_hit

pytestmark = pytest.mark.onednn


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def by_hand(points, labels, k, metric="euclidean"):
    """One point after the other; what is equally far as the k-th neighbor shares the places that are left."""
    hits = []
    for i in range(len(points)):
        others = [j for j in range(len(points)) if j != i]
        far = {j: cdist(points[[i]], points[[j]], metric).item() for j in others}
        limit = sorted(far.values())[k - 1]
        closer = [j for j in others if far[j] < limit]
        tied = [j for j in others if far[j] == limit]
        right = sum(labels[j] == labels[i] for j in closer)
        hits.append((right + (k - len(closer)) * np.mean([labels[j] == labels[i] for j in tied])) / k)
    return float(np.mean(hits))


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "cosine", "chebyshev"])
def test_equals_a_loop_for_every_k(metric, rng):
    points, labels = rng.normal(size=(25, 3)), rng.integers(0, 3, 25)
    found = neighborhood_hit(points, labels, range(1, 25), metric=metric)
    np.testing.assert_allclose(found, [by_hand(points, labels, k, metric) for k in range(1, 25)], rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(points=arrays("float64", st.tuples(st.integers(3, 12), st.just(2)), elements=st.integers(0, 2)), data=st.data())
def test_ties_and_duplicates(points, data):
    """Points of a small grid, of which many are equal or equally far: as by the loop, in any order."""
    labels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(points), max_size=len(points))))
    labels[:2] = 0, 1
    k = data.draw(st.integers(1, len(points) - 1))
    order = np.array(data.draw(st.permutations(range(len(points)))))
    found = neighborhood_hit(points, labels, k)
    assert found == pytest.approx(by_hand(points, labels, k), abs=1e-12)
    assert neighborhood_hit(points[order], labels[order], k) == pytest.approx(found, abs=1e-12)


def exact(grid, labels, k, power=2):
    """The hit of points on a grid of whole numbers in rational arithmetic."""
    hits = []
    for i, point in enumerate(grid):
        far = {j: int((np.abs(point - other) ** power).sum()) for j, other in enumerate(grid) if j != i}
        limit = sorted(far.values())[k - 1]
        right, tied = (
            [labels[j] == labels[i] for j, each in far.items() if kind(each)] for kind in (limit.__gt__, limit.__eq__)
        )
        hits.append((sum(right) + Fraction(k - len(right), len(tied)) * sum(tied)) / k)
    return float(sum(hits) / len(hits))


@settings(max_examples=150, deadline=None)
@given(
    grid=arrays("int64", st.tuples(st.integers(3, 14), st.integers(1, 3)), elements=st.integers(-4, 4)),
    step=st.fractions(Fraction(1, 1000), 1000, max_denominator=1000) | st.sampled_from([Fraction(1, 10), Fraction(1, 3)]),
    offset=st.fractions(-1000, 1000, max_denominator=10),
    dtype=st.sampled_from(["float32", "float64", "cast"]),
    metric=st.sampled_from(["euclidean", "cityblock", "precomputed"]),
    data=st.data(),
)
def test_ties_of_grids_rounded_to_their_type(grid, step, offset, dtype, metric, data):
    """Equal distances are equal whatever the step, the offset and the type; `"cast"` is float32 handed over as float64."""
    offset = offset * step  # within the type's precision
    points = np.array([[float(step * int(entry) + offset) for entry in row] for row in grid])
    if dtype != "float64":
        points = points.astype("float32").astype("float64" if dtype == "cast" else "float32")
    if metric == "precomputed":
        points = cdist(grid, grid).astype(points.dtype) * points.dtype.type(step)
    labels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(grid), max_size=len(grid))))
    labels[:2] = 0, 1
    k = data.draw(st.integers(1, len(grid) - 1))
    expected = exact(grid, labels, k, power=1 if metric == "cityblock" else 2)
    assert neighborhood_hit(points, labels, k, metric=metric) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "cosine"])
@pytest.mark.parametrize("offset", [0, 10])
def test_distances_that_differ_are_no_ties(offset, metric):
    """By a thousandth of themselves, in float32; and by a millionth in float64."""
    for dtype, part in (("float32", 1e-3), ("float64", 1e-6)):
        nearer = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, -0.1 * (1 - part)]])
        points = (nearer + (0 if metric == "cosine" else offset)).astype(dtype)
        # The first point's neighbor is the third alone, of its label.
        assert neighborhood_hit(points, [0, 1, 0], 1, metric=metric) == pytest.approx(2 / 3)


def test_whole_numbers_are_exact_in_any_type():
    """Where they fill the type, distances that differ by less than its last place still differ."""
    labels = [0, 1, 0]
    for dtype, offset in (("float16", 1024), ("float32", 2**23), ("float64", 2**23)):
        points = np.array([[0], [2], [-1]]) + offset
        assert neighborhood_hit(points.astype(dtype), labels, 1) == neighborhood_hit(points, labels, 1) == pytest.approx(2 / 3)


def test_clusters_chance_and_what_a_point_is_to_itself(rng):
    clusters = np.concatenate([rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 50])
    labels = np.repeat(["left", "right"], 60)
    assert neighborhood_hit(clusters, labels, k=59) == 1.0
    assert chance_hit(labels) == pytest.approx(59 / 119)
    shuffled = [neighborhood_hit(clusters, rng.permutation(labels)) for _ in range(40)]
    assert np.mean(shuffled) == pytest.approx(chance_hit(labels), abs=0.02)
    assert neighborhood_hit(clusters, labels, k=119) == pytest.approx(chance_hit(labels))  # everyone is a neighbor
    # If a point counted as its own neighbor, this would be 1.
    assert neighborhood_hit(np.zeros((4, 2)), [0, 1, 2, 3], k=1) == 0.0
    # Duplicates of another class are neighbors like any others.
    assert neighborhood_hit(np.repeat(np.eye(3), 2, axis=0), [0, 1] * 3, k=1) == 0.0


def test_distances_and_an_offset(rng):
    points, labels = rng.normal(size=(30, 4)), rng.integers(0, 3, (30, 1))
    found = neighborhood_hit(points, labels)
    assert neighborhood_hit(cdist(points, points), labels, metric="precomputed") == pytest.approx(found)
    assert neighborhood_hit(points + 1e6, labels) == pytest.approx(found)  # not lost to rounding
    given = cdist(points, points)
    before = given.copy()
    neighborhood_hit(given, labels, metric="precomputed")
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("factor", [1e3, 1e6, 1e9])
def test_an_outlier_makes_no_ties(factor, rng):
    points, labels = rng.normal(size=(80, 3)), rng.integers(0, 3, 80)
    points[7] *= factor
    for metric in ("euclidean", "l2", "cityblock"):
        assert neighborhood_hit(points, labels, metric=metric) == pytest.approx(
            by_hand(points, labels, 6, metric.replace("l2", "euclidean"))
        )


def test_influence_has_the_mean_and_the_error_of_the_hit():
    """Over many draws of samples, the interval holds the mean hit as often as it says, or a little more often."""
    generator = np.random.default_rng(0)

    def drawn():
        codes = generator.integers(0, 4, 150)
        return np.array([[0, 0], [1, 0], [0, 1], [2, 2]])[codes] + generator.normal(size=(150, 2)), codes

    found = [hits_and_influence(*drawn(), [6])[0] for _ in range(150)]
    truth = np.mean([hits.mean() for hits, _ in found])
    for hits, influence in found[:10]:
        assert influence.mean() == pytest.approx(hits.mean(), abs=1e-12)

    def coverage(each):
        intervals = [interval(values) for values in each]
        return np.mean([one.low <= truth <= one.high for one in intervals])

    def error(each):
        return np.mean([values.std(ddof=1) / np.sqrt(150) for values in each])

    spread = np.std([hits.mean() for hits, _ in found], ddof=1)
    assert coverage(influence for _, influence in found) >= 0.93
    assert 0.95 < error(influence for _, influence in found) / spread < 1.4
    # The hits of neighbors are not independent.
    assert coverage(hits for hits, _ in found) < 0.9
    assert error(hits for hits, _ in found) / spread < 0.85


def test_intervals(rng):
    """Of samples alone Student's t; of repeats too; of differences of the same samples and of others."""
    from scipy.stats import t, ttest_ind

    a, b = rng.normal(size=40), rng.normal(size=40)
    found = interval(a)
    assert found.high - found.mean == pytest.approx(t.ppf(0.975, 39) * a.std(ddof=1) / np.sqrt(40))
    assert difference(a, b, paired=True) == interval(a - b)
    found, reference = difference(a, b, paired=False), ttest_ind(a, b, equal_var=False)
    assert (found.low > 0 or found.high < 0) == (reference.pvalue < 0.05)
    assert found.mean / (found.high - found.mean) == pytest.approx(reference.statistic / t.ppf(0.975, 77.5), rel=5e-3)
    shifts = np.array([[-1.0], [0.0], [1.0]])  # repeats that differ, of samples that do not
    found = interval(np.zeros((3, 40)) + shifts)
    assert found.high == pytest.approx(t.ppf(0.975, 2) * 1 / np.sqrt(3))
    assert interval(np.ones((3, 40))) == (1, 1, 1)
    assert clipped(interval([0.0, 1.0, 0.0])) == (pytest.approx(1 / 3), 0.0, 1.0)
    assert share(np.ones(50, bool)).low == pytest.approx(50 / (50 + 1.959964**2)) and np.isnan(
        share(np.zeros(0, bool)).mean
    )  # Wilson
    assert np.isnan(interval([[1.0]]).low) and np.isnan(interval([[np.nan], [np.nan]]).low)


@pytest.mark.parametrize(
    "points, labels, options, message",
    [
        (np.zeros((5, 2)), [0, 1], {}, "a label for each of 5 samples. Received: 2 labels"),
        (np.zeros((5, 2)), [0] * 5, {}, r"at least two classes.*Received: \[0\]"),
        (np.zeros((5, 2)), np.eye(5), {}, r"shape \(5, 5\). Of one-hot labels, pass labels.argmax"),
        (np.zeros((5, 2)), [0, 1, np.nan, 0, 1], {}, "NaN as label of sample 2"),
        (np.zeros((5, 2)), [0, 1, 0, 1, 0], {"k": 5}, "`k` to be an integer from 1 to 4, for 5 points. Received: k=5"),
        (np.zeros((5, 2)), [0, 1, 0, 1, 0], {"k": 0}, "Received: k=0"),
        (np.zeros((5, 2)), [0, 1, 0, 1, 0], {"k": 2.5}, "Received: k=2.5"),
        (np.zeros((5, 2)), [0, 1, 0, 1, 0], {"k": []}, r"one or more numbers of neighbors. Received: k=\[\]"),
        (np.zeros(5), [0, 1, 0, 1, 0], {}, r"shape \(n, d\), at least two. Received: an array of shape \(5,\)"),
        (np.array([[0.0], [np.nan]]), [0, 1], {"k": 1}, "NaN or infinity in point 1"),
        (np.zeros((5, 2)), [0, 1, 0, 1, 0], {"metric": "precomputed"}, r"\(n, n\) for metric='precomputed'"),
        (np.zeros((3, 2)), np.array([0, "a", None], object), {"k": 1}, "labels that are numbers or strings"),
        (np.zeros((5, 2)), [0, 1, 0, 1, 0], {"metric": "nearby", "k": 1}, "nearby"),
    ],
)
def test_bad_input(points, labels, options, message):
    with pytest.raises(ValueError, match=message):
        neighborhood_hit(points, labels, **options)
