"""Isolate global state from third-party calls: warnings, random generators, and how NumPy treats errors."""

import contextlib
import random
import warnings
from collections.abc import Iterator

import numpy as np

from keras_xai.backend import EXCLUSIVE


def random_state(seed: int, number: int) -> np.random.RandomState:
    """Returns the `numpy.random.RandomState` of one sample, in the form that lime and scikit-learn take.

    Args:
        seed: Seed of the whole explanation.
        number: Index of the sample within the whole dataset, so that random draws do not depend on the batch size.
    """
    return np.random.RandomState(np.random.SeedSequence([seed, number]).generate_state(8))


@contextlib.contextmanager
def isolated(state: np.random.RandomState | None = None) -> Iterator[None]:
    """Context manager that silences warnings and restores global state of NumPy afterwards, one at a time in the process.

    shap draws from NumPy's global generator, and emits warnings that the caller has already handled.

    Args:
        state: The state of NumPy's global generator within the context; unchanged by default.
    """
    with EXCLUSIVE, _isolated(state):
        yield


@contextlib.contextmanager
def _isolated(state):
    before, plain = np.random.get_state(), random.getstate()  # noqa: NPY002, what is to be kept is the global state
    with warnings.catch_warnings(), np.errstate():
        warnings.simplefilter("ignore")
        try:
            if state is not None:
                np.random.set_state(state.get_state())  # noqa: NPY002
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002
            random.setstate(plain)
