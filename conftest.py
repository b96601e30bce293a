"""What tests and doctests of the package, the README and the documentation have in common."""

import gc

import pytest

from tests import long_cases


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    known = long_cases.listed()
    for item in items:
        if item.nodeid in known:
            item.add_marker(pytest.mark.long)


def pytest_collection_finish():
    # What is imported by now stays: the collector, which a traced program calls often, need not look through it each time.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seeded():
    """Layers without a seed are the same in every run and in any order of the tests."""
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    """What a test registers is known to no other: without this, the outcome would hang on their order."""
    from keras_xai.kinds import entries

    monkeypatch.setattr(entries, "_REGISTRY", dict(entries._REGISTRY))


@pytest.fixture(autouse=True)
def _no_late_bars(monkeypatch):
    """On a slow machine a bar would appear, and a doctest fail."""
    from keras_xai.data import progress

    monkeypatch.setattr(progress, "_DELAY", float("inf"))
