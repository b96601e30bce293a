"""Progress bars."""

import pytest

from keras_xai.data import batches
from keras_xai.data.batches import Bar, progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = [0.0]
    monkeypatch.setattr(batches, "_DELAY", 2.0)
    monkeypatch.setattr(batches.time, "monotonic", lambda: now[0])
    return now


def work(clock, seconds, verbose="auto", count=4):
    for _ in progress(range(count), count, verbose):
        clock[0] += seconds


def test_a_bar_appears_only_after_two_seconds(clock, capsys):
    work(clock, 0.4)
    assert capsys.readouterr().out == ""
    work(clock, 0.6)
    shown = capsys.readouterr().out
    assert "4/4" in shown and "3/4" not in shown  # 1.8 seconds are not two
    work(clock, 1.1)
    shown = capsys.readouterr().out
    assert "2/4" in shown and "1/4" not in shown


def test_a_bar_that_is_asked_for_appears_at_once(clock, capsys):
    work(clock, 0, verbose=1)
    assert "1/4" in capsys.readouterr().out
    work(clock, 0, verbose=2)
    shown = capsys.readouterr().out
    assert "4/4" in shown and "1/4" not in shown
    work(clock, 10, verbose=0)
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="`verbose` to be 'auto', 0, 1 or 2. Received: verbose=3"):
        work(clock, 0, verbose=3)


def test_work_within_work_has_no_bar_of_its_own(clock, capsys):
    for _ in progress(range(2), 2, "auto", "outer"):
        work(clock, 5)
    shown = capsys.readouterr().out
    assert "2/2" in shown and "4/4" not in shown
    work(clock, 5)
    assert "4/4" in capsys.readouterr().out


def fail(clock, around):
    with around as bar:
        clock[0] += 5
        bar.update(1)
        raise RuntimeError


def fail_in_a_loop(clock):
    for _ in progress(range(2), 2, "auto"):
        clock[0] += 5
        raise RuntimeError


def test_a_failure_ends_a_bar(clock, capsys):
    with pytest.raises(RuntimeError):
        fail(clock, Bar(2, "auto", "batch"))
    with pytest.raises(RuntimeError):
        fail_in_a_loop(clock)
    assert "2/2" not in capsys.readouterr().out
    work(clock, 5)  # is outermost again
    assert "4/4" in capsys.readouterr().out
