"""Memory of a process that calls everything with changing shapes stays the same."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from keras_xai.attribution import LRP, GradientTimesInput
from keras_xai.backend.tensorflow.eager import CALLS
from keras_xai.openbox import OpenBox
from tests import soak

X = np.random.default_rng(0).normal(size=(2, 12, 12, 3)).astype("float32")
MAKE = {"GradientTimesInput": GradientTimesInput, "LRP": LRP, "OpenBox": OpenBox}


def _called(method):
    """The method, called until its programs are compiled: their first calls are eager."""
    for _ in range(CALLS + 1):
        method(X)
    return method


@pytest.mark.parametrize("name", MAKE)
def test_a_compiled_program_goes_with_the_object_that_it_belongs_to(name):
    model = soak.network()
    _called(MAKE[name](model))
    before = soak.graphs()
    for _ in range(2):
        _called(MAKE[name](model))
    assert soak.graphs() == before
    kept = _called(GradientTimesInput(model))
    assert soak.graphs() > before, kept  # so that what is counted is what is compiled


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_memory_does_not_grow():
    command = [sys.executable, "-m", "tests.soak", "500"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    memory = {int(calls): float(size) for calls, size in re.findall(r"(\d+) calls: ([\d.]+) MiB", printed)}
    assert memory[500] < 1.05 * memory[250], printed  # until then, programs for new sizes fill what `OpenBox` keeps of them
