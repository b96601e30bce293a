"""Ctrl-C at random moments of a long call: nothing stays changed, and the same object gives the right result afterwards."""

import signal

import pytest

from tests.interrupts import CALLS, check_interrupts

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the interrupts come from a timer")


@pytest.mark.parametrize("name", ["GradientTimesInput", "OpenBox.plane"])
def test_some_interrupts(name):
    check_interrupts(name, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_interrupts_of_each_call(name):
    check_interrupts(name, 2)
