"""Progress bars."""

import threading

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
    work(clock, 0.6, count=5)
    shown = capsys.readouterr().out
    assert "5/5" in shown and "4/5" in shown and "3/5" not in shown  # 1.8 seconds are not two
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
    for _ in progress(range(3), 3, "auto", "outer"):
        work(clock, 5)
    shown = capsys.readouterr().out
    assert "3/3" in shown and "4/4" not in shown
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


def test_a_bar_does_not_appear_when_all_is_done(clock, capsys):
    work(clock, 25, count=1)
    work(clock, 0.6)  # 1.8 seconds before the last batch
    assert capsys.readouterr().out == ""
    for _ in progress(range(2), None, "auto"):  # of unknown number
        clock[0] += 25
    assert "2/Unknown" in capsys.readouterr().out


def test_one_of_several_threads_shows_a_bar(clock, capsys):
    first = progress(range(4), 4, "auto")
    next(first)
    clock[0] += 5
    next(first)  # is shown from now on
    other = threading.Thread(target=work, args=(clock, 5, "auto", 7))
    other.start()
    other.join()
    assert "/7" not in capsys.readouterr().out
    for _ in first:
        pass
    assert "4/4" in capsys.readouterr().out
    other = threading.Thread(target=work, args=(clock, 5, "auto", 7))
    other.start()
    other.join()
    assert "7/7" in capsys.readouterr().out


@pytest.mark.parametrize("visible", [False, True])
def test_an_interrupt_whose_traceback_is_kept_ends_a_bar(clock, capsys, visible):
    """As in a shell or a notebook, which keep the last one: the loop is not closed."""

    def interrupted():
        for number in progress(range(4), 4, "auto"):
            clock[0] += 5
            if number == visible:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as kept:
        interrupted()
    assert ("1/4" in capsys.readouterr().out) == visible
    work(clock, 5, count=7)
    assert "7/7" in capsys.readouterr().out and kept


def test_a_loop_that_another_thread_closes(clock, capsys):
    left = progress(range(4), 4, "auto")
    next(left)
    closing = threading.Thread(target=left.close)
    closing.start()
    closing.join()
    work(clock, 5)
    assert "4/4" in capsys.readouterr().out
