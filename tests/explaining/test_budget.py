"""`explain` takes no longer than it says."""

import itertools

import pytest

import keras_xai
from keras_xai.attribution import Method
from keras_xai.explaining import budget
from keras_xai.explaining.budget import Budget
from tests.explaining.models import CLASSES, images


class Clock:
    """A clock that stands still but for the work that moves it on."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time


@pytest.fixture
def clock(monkeypatch):
    """A clock by which a pass takes a second, and compiling a program of a forward pass two."""
    found = Clock()
    monkeypatch.setattr(budget, "now", found)
    compiled = set()

    def timed(function):
        def call(self, *args, **options):
            result = function(self, *args, **options)
            passes = getattr(result, "num_forward_passes", 1.0) * len(result)
            found.time += passes + 8.0 * (id(self) not in compiled)
            compiled.add(id(self))
            kept.append(self)
            return result

        return call

    kept: list = []  # so that no identifier is used twice
    monkeypatch.setattr(Method, "__call__", timed(Method.__call__))
    from keras_xai.metrics.metric import Metric

    def rated(function):
        def call(self, explanation):
            found.time += 21.0 * len(explanation)
            return function(self, explanation)

        return call

    monkeypatch.setattr(Metric, "__call__", rated(Metric.__call__))
    from keras_xai.network.scores import Scores

    predictions = Scores.predictions

    def slow(self):
        run, first = predictions(self), itertools.count()

        def predicted(inputs):
            found.time += len(inputs[0]) * 1.0 + (2.0 if next(first) == 0 else 0.0)
            return run(inputs)

        return predicted

    monkeypatch.setattr(Scores, "predictions", slow)
    return found


@pytest.mark.parametrize("seconds", [pytest.param(8, marks=pytest.mark.slow), 100, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_fake_clock(clock, seconds):
    model, x, _ = images()
    report = keras_xai.explain(model, x[:2], class_names=CLASSES, seconds=seconds, verbose=0)
    assert clock.time <= seconds and report.seconds <= seconds
    assert len(report.predictions) >= 1
    for name in report.left_out:
        assert name in report.html()
    if seconds == 8:
        assert report.comparison is None and "Grad-CAM" in report.left_out
    if seconds == 2000:
        assert list(report.reasons) == ["Grad-CAM", "Occlusion", "LRP"] and set(report.left_out) <= {"The linear region"}


@pytest.mark.slow
def test_less_time_leaves_out_more(clock):
    model, x, _ = images()
    found = []
    for seconds in (10, 60, 400, 3000):
        report = keras_xai.explain(model, x[:3], seconds=seconds, verbose=0)
        found.append(0 if report.comparison is None else len(report.comparison.explanations))
    assert found == sorted(found) and found[0] < found[-1]


def test_estimates_learn_from_work_that_was_slower(monkeypatch):
    monkeypatch.setattr(budget, "now", Clock())
    found = Budget(100)
    found.pass_seconds, found.setup_seconds = 0.1, 1.0
    before = found.expected(10)
    found.learn(0.5, 10)
    assert found.expected(10) == before  # it was faster
    found.learn(3.0, 10)
    assert found.expected(10) == pytest.approx(3.0)
    assert found.expected(0, 2) == pytest.approx(3.0)
    found.learn(9.0, 0, 3)
    assert found.expected(0, 2) == pytest.approx(6.0)
    assert found.fits(100) and not found.fits(1000) and not found.fits(300, share=0.5)
