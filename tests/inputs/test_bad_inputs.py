"""Every public function, class and method with each of its arguments replaced by each bad value of its kind, one at a time.

The functions are found by the names that the packages export, their arguments by the names of the parameters: a new one joins by itself if
its parameters have known names, and otherwise fails until `calls.py` and `values.py` know them.
"""

import functools
import inspect
import random

import numpy as np
import pytest

from tests.inputs.calls import OTHERS, explanation, images, sites, table
from tests.inputs.outcome import complaint
from tests.inputs.values import bad_values, is_fine
from tests.inputs.warned import warned
from tests.state import state

SITES = sites()
CASES = [
    (name, parameter, label)
    for name, site in SITES.items()
    for parameter in site.parameters
    for label, _ in bad_values(name, parameter) or ()
]
FEW = 400  # of the fast stage


@functools.cache
def owner(name):
    site = SITES[name]
    return None if site.owner is None else site.owner()


def _complaints(cases):
    found = []
    for name, parameter, label in cases:
        bad = dict(bad_values(name, parameter))[label]
        told = complaint(SITES[name], owner(name), parameter, bad)
        if told and not is_fine(name, parameter, label):
            found.append(f"{name}({parameter}) [{label}] {told}")
    return found


def test_every_parameter_is_known():
    assert [
        f"{name}.{each}" for name, site in SITES.items() for each in site.parameters if bad_values(name, each) is None
    ] == []
    assert len(CASES) > 5000


def test_every_exception_is_needed():
    assert [name for name in OTHERS if any(site == name or site.startswith(f"{name}.") for site in SITES)] == []


def test_a_sample_of_bad_inputs():
    before = state(images())
    assert _complaints(random.Random(0).sample(CASES, FEW)) == []
    assert state(images())["weights"] == before["weights"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SITES)
def test_bad_inputs(name):
    before = [state(model) for model in (images(), table())]
    inputs = [array.copy() for array in (explanation().values, explanation().inputs)]
    assert _complaints([case for case in CASES if case[0] == name]) == []
    for model, former in zip((images(), table()), before, strict=True):
        now = state(model)
        assert {key: now[key] for key in ("weights", "trainable", "policy", "floatx", "eager")} == {
            key: former[key] for key in ("weights", "trainable", "policy", "floatx", "eager")
        }
    for now, former in zip((explanation().values, explanation().inputs), inputs, strict=True):
        np.testing.assert_array_equal(now, former)
    site = SITES[name]
    with warned() as found:
        site.call(owner(name), site.arguments())  # it still works
    assert found == []


def test_a_function_without_checks_is_found():
    """The negative control: each way of being wrong is told."""

    class Site:
        def __init__(self, function):
            self.function = function
            self.parameters = {"k": inspect.Parameter("k", inspect.Parameter.KEYWORD_ONLY)}

        def arguments(self):
            return {"k": 1}

        def call(self, owner, arguments):
            return self.function(arguments["k"])

    def raw(k):
        np.zeros(3).reshape(k)

    def wordless(k):
        raise ValueError(f"Expected `k`. Received: k={k}")  # not from the package

    for function in (lambda k: k, raw, wordless, lambda k: [].pop()):
        assert complaint(Site(function), None, "k", lambda right: "three")
