"""One contract over every public metric: a new one that breaks it, or has no oracle or no page, fails here."""

import inspect
import pickle

import numpy as np
import pytest

from keras_xai import metrics
from keras_xai.attribution import GradientTimesInput
from tests.metrics.contract import (
    CASES,
    OPTIONS,
    check_cell,
    check_comparison,
    check_documentation,
    check_extremes,
    check_oracle,
)
from tests.metrics.examples import convolutional
from tests.public import concrete, unexported
from tests.slow import quickly

pytestmark = pytest.mark.onednn

METRICS = list(concrete(metrics, metrics.Metric).values())

of_every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)


def test_every_metric_is_exported():
    assert len(METRICS) >= 22
    assert unexported(metrics, metrics.Metric, "keras_xai.metrics") == []


@of_every_metric
# The several inputs are an image and a table.
@pytest.mark.parametrize("name", quickly(CASES, "several inputs"))
def test_every_sort_of_data(metric, name):
    check_cell(metric, name)


@of_every_metric
def test_the_naive_replica_finds_the_same(metric):
    check_oracle(metric)


@of_every_metric
def test_a_perfect_explanation_is_better_than_the_worst(metric):
    check_extremes(metric)


@of_every_metric
def test_it_has_a_section(metric):
    check_documentation(metric)


@pytest.mark.slow
def test_methods_are_compared_by_all():
    check_comparison(METRICS)


class Bad(metrics.Metric):
    """Breaks the contract in several ways: the seed does not count, the explanation changes, there is no page and no oracle."""

    higher_is_better = True

    harm = "none"

    def _rate(self, explanation):
        if self.harm == "change":
            explanation.values[:] = 0
        return {
            "shape": lambda: np.zeros(2),
            "nan": lambda: np.full(len(explanation), np.nan),
            "seed": lambda: np.random.default_rng().normal(size=len(explanation)),
            "global": lambda: np.random.normal(size=len(explanation)),  # noqa: NPY002  the global state is meant
        }.get(self.harm, lambda: np.zeros(len(explanation)))()


@pytest.mark.parametrize("harm", ["change", "shape", "nan", "seed", "global"])
def test_a_bad_metric_is_noticed(harm):
    with pytest.raises(ValueError if harm == "shape" else AssertionError):
        check_cell(type("Bad", (Bad,), {"harm": harm}), "table")


def test_a_good_one_is_not():
    check_cell(Bad, "table")


def test_a_metric_without_a_page_or_an_oracle_is_noticed():
    with pytest.raises(AssertionError, match="has no section Bad"):
        check_documentation(Bad)
    with pytest.raises(AssertionError, match="no oracle of Bad"):
        check_oracle(Bad)
    with pytest.raises(AssertionError, match="no worst explanation for Bad"):
        check_extremes(Bad)


def test_a_metric_whose_direction_is_wrong_is_noticed(monkeypatch):
    for metric in (metrics.Deletion, metrics.Sparseness):
        monkeypatch.setattr(metric, "higher_is_better", not metric.higher_is_better)
        with pytest.raises(AssertionError, match="perfect"):
            check_extremes(metric)


@of_every_metric
def test_pickled_before_and_after_use(metric):
    """A loaded metric rates as the one that was pickled, also where it has drawn a seed of its own."""
    model = convolutional()
    method = GradientTimesInput(model)
    x = np.random.default_rng(0).normal(size=(3, 6, 5, 2)).astype("float32")
    explanation = method(x)
    options = {name: value for name, value in OPTIONS.items() if name != "seed"}
    arguments = {"model": model, "method": method, "masks": x[..., 0] > 0, **options}
    wanted = inspect.signature(metric).parameters
    made = metric(**{name: value for name, value in arguments.items() if name in wanted})
    before = pickle.loads(pickle.dumps(made))
    expected = made(explanation)
    for loaded in (before, pickle.loads(pickle.dumps(made))):
        np.testing.assert_allclose(loaded(explanation), expected, rtol=0, atol=1e-5)
