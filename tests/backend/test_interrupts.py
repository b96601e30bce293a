"""A Ctrl-C waits for the end of tracing."""

import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keras_xai.backend import compiled, interrupts_wait

pytestmark = pytest.mark.usefixtures("ctrl_c")


def interrupt():
    signal.raise_signal(signal.SIGINT)


def test_a_ctrl_c_waits_for_the_end():
    handler, done = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt), interrupts_wait(), interrupts_wait():  # noqa: PT012
        interrupt()
        done.append(True)
    assert done and signal.getsignal(signal.SIGINT) is handler
    with interrupts_wait():
        pass
    with pytest.raises(KeyboardInterrupt):
        interrupt()  # the control


def test_a_second_one_does_not_wait():
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_wait():  # noqa: PT012
        interrupt()
        interrupt()
        done.append(True)
    assert not done


def test_an_error_within_is_in_the_context_of_the_interrupt():
    with pytest.raises(KeyboardInterrupt) as caught, interrupts_wait():  # noqa: PT012
        interrupt()
        raise ValueError("within")
    assert isinstance(caught.value.__context__, ValueError)


def test_the_handler_of_the_user_is_called():
    came = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        with interrupts_wait():
            interrupt()
            assert not came
        assert came
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with interrupts_wait():
            interrupt()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_change_no_handler():
    def within(_):
        with interrupts_wait():
            return signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        assert list(pool.map(within, [0])) == [signal.getsignal(signal.SIGINT)]


def test_a_program_that_is_being_traced_is_complete_afterwards():
    traced = []

    def function(x):
        traced.append(True)
        interrupt()
        return 2 * x

    program = compiled(function, [((None,), "float32")], eager_first=False)
    with pytest.raises(KeyboardInterrupt):
        program(np.ones(3, "float32"))
    np.testing.assert_array_equal(program(np.ones(3, "float32")), 2 * np.ones(3))
    assert len(traced) == 1
