"""Isolate global state from third-party calls: warnings and random generators."""

import contextlib
import random
import warnings
from collections.abc import Iterator

import numpy as np


def random_state(seed: int, number: int) -> np.random.RandomState:
    """A `numpy.random.RandomState` for one sample, as lime and scikit-learn take it.

    Args:
        seed: Of the whole explanation.
        number: The place of the sample among all, so that what is drawn does not depend on the size of batches.
    """
    return np.random.RandomState(np.random.SeedSequence([seed, number]).generate_state(8))


@contextlib.contextmanager
def isolated(state: np.random.RandomState | None = None) -> Iterator[None]:
    """Context manager that silences warnings and restores the global random state afterwards.

    shap draws from NumPy's global generator, and warns of what its caller has seen to.

    Args:
        state: What NumPy's global generator is to draw within; whatever it would draw by default.
    """
    before, plain = np.random.get_state(), random.getstate()  # noqa: NPY002, what is to be kept is the global state
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if state is not None:
                np.random.set_state(state.get_state())  # noqa: NPY002
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002
            random.setstate(plain)
