"""Some interrupts of some calls; `tests.interrupts` run as a program tries all calls."""

import signal

import pytest

from tests import interrupts

SOME = ("Saliency", "reconstruct", "OpenBox.line", "merge_regions, flatten_regions", "FBIModel.fit")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="interrupts come from a timer of processor time")
@pytest.mark.parametrize("name", SOME)
def test_interrupted_calls_leave_nothing_changed(name):
    interrupts.check_interrupts(name, 3)
