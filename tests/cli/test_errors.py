"""Interrupts of the command line."""

import signal
import time
import weakref

import click
import pytest

from keras_xai.cli.errors import reported

pytestmark = pytest.mark.usefixtures("ctrl_c")


class Thing:
    """What a weak reference is of."""


def _interrupted_in_a_callback():
    """A Ctrl-C in the callback of a weak reference, and some work after it; whether that was done."""
    thing = Thing()
    kept = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    del thing
    for _ in range(200):
        time.sleep(0.01)
    return kept() is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_ctrl_c_in_a_callback_ends_the_command():
    with pytest.raises(click.exceptions.Exit) as info, reported(False):
        _interrupted_in_a_callback()
    assert info.value.exit_code == 130
    assert _interrupted_in_a_callback()  # the control: Python drops it
