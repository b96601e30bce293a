"""Parametrized tests of which some cases run by default and all in the slow stage."""

import pytest


def quickly(values, *quick):
    """The values as cases, all but those in `quick` slow."""
    assert set(quick) <= set(values)
    return [pytest.param(value, id=str(value), marks=() if value in quick else pytest.mark.slow) for value in values]
