"""Progress bars."""

import re
import threading
import time

import numpy as np
import pytest

from keras_xai.backend import compiled, folded, stacked
from keras_xai.data import progress as module
from keras_xai.data.progress import Bar, progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets; nothing watches in real time."""
    now = [0.0]
    monkeypatch.setattr(module, "_DELAY", 2.0)
    monkeypatch.setattr(module._watcher, "watch", lambda bar: None)
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
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
    work(clock, 0.5, verbose=1)
    assert "1/4" in capsys.readouterr().out
    work(clock, 0, verbose=2)
    shown = capsys.readouterr().out
    assert "4/4" in shown and "1/4" not in shown
    work(clock, 10, verbose=0)
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="`verbose` to be 'auto', 0, 1 or 2. Received: verbose=3"):
        work(clock, 0, verbose=3)


def test_work_within_work_has_no_bar_of_its_own(clock, capsys):
    for _ in progress(range(3), 3, "auto"):
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
        fail(clock, Bar(2, "auto"))
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
    assert "2 [" in capsys.readouterr().out


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


def percentages(capsys):
    return [int(each) for each in re.findall(r"(\d+)%", capsys.readouterr().out)]


def test_work_within_a_unit_advances_the_one_bar(clock, capsys):
    for _ in progress(range(2), 2, "auto"):
        for _ in progress(range(5), 5):
            work(clock, 1, count=2)
    shown = percentages(capsys)
    # A tenth is one of five within one of two; the bar appears after the third second.
    assert shown[0] == 15 and shown[-1] == 100 and set(range(20, 100, 10)) <= set(shown) and shown == sorted(shown)


def test_what_follows_within_a_unit_does_not_undo_it(clock, capsys):
    for _ in progress(range(2), 2, "auto"):
        work(clock, 3, count=5)
        work(clock, 3, count=5)
    shown = percentages(capsys)
    assert shown == sorted(shown) and set(range(10, 101, 10)) <= set(shown), shown


def test_the_loops_of_compiled_programs_advance_a_bar(clock, capsys):
    heard = []
    program = compiled(lambda x: folded(lambda i, state: [state[0] + x], 64, [x * 0])[0], [((), "float32")])
    other = compiled(lambda x: stacked(lambda i: x, 100, "float32"), [((), "float32")])
    short = compiled(lambda x: stacked(lambda i: x, 16, "float32"), [((), "float32")])

    class Heard(Bar):
        def advance(self, part):
            heard.append(part)
            super().advance(part)

    with Heard(2, "auto") as bar:
        assert float(program(np.float32(2))) == 128
        assert heard == [i / 64 for i in range(4, 64, 4)]
        heard.clear()
        assert other(np.float32(2)).shape == (100,)
        assert heard == [i / 100 for i in range(6, 100, 6)]
        heard.clear()
        short(np.float32(2))
        assert heard == []  # ends too soon
        bar.add(1)
        clock[0] += 5
        program(np.float32(1))
    shown = percentages(capsys)
    assert shown[0] == 53 and 97 in shown  # 4 and 60 of 64 within the second of two


def test_a_loop_of_another_thread_is_not_heard(clock):
    program = compiled(lambda x: folded(lambda i, state: [state[0] + x], 64, [x * 0])[0], [((), "float32")])
    with Bar(1, "auto") as first:
        inside = []

        def run():
            with Bar(1, "auto"):
                program(np.float32(1))
                inside.append(first._inside)

        other = threading.Thread(target=run)
        other.start()
        other.join()
    assert inside == [0.0]


def test_one_long_unit_shows_a_bar_in_time(monkeypatch, capsys):
    """For which nothing is called: a thread looks at the clock."""
    monkeypatch.setattr(module, "_DELAY", 0.05)
    monkeypatch.setattr(module, "_REFRESH", 0.01)
    shown = ""
    for _ in progress(range(1), 1, "auto"):
        deadline = time.monotonic() + 30
        while not shown and time.monotonic() < deadline:
            time.sleep(0.01)
            shown = capsys.readouterr().out
    assert "0/1 [" in shown and "1/1" in capsys.readouterr().out
    for _ in progress(range(1), 1, 0):
        time.sleep(0.2)
    assert capsys.readouterr().out == ""
