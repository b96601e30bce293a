"""One set of checks of arguments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_xai.data.checks import check_count, check_number, check_seed, check_verbose, is_integer, is_number


@given(value=st.integers(1, 2**40))
def test_integers_of_numpy_count(value):
    found = check_count("k", np.int64(value))
    assert found == value and type(found) is int
    assert type(check_seed(np.uint64(value))) is int


@pytest.mark.parametrize("value", [True, np.True_, 0, -1, 1.0, np.float64(2), "3", None, [1], np.array(1)])
def test_what_is_no_count(value):
    with pytest.raises(ValueError, match="Expected `k` to be an integer of at least 1. Received: k="):
        check_count("k", value)


def test_ranges():
    assert check_count("k", 0, least=0) == 0
    with pytest.raises(ValueError, match="`k` to be at most the number of regions, 3. Received: k=4"):
        check_count("k", 4, most=3, what="regions")
    with pytest.raises(ValueError, match="`seed` to be an integer of at least 0"):
        check_seed(-1)


@pytest.mark.parametrize("value", [True, np.True_, "1", None, np.nan, np.inf, 1j, -0.5, 1.5])
def test_what_is_no_share(value):
    with pytest.raises(
        ValueError, match="Expected `weight` to be a number from 0 to 1, the share of the penalty. Received: weight="
    ):
        check_number("weight", value, least=0, most=1, what="the share of the penalty")


def test_numbers():
    assert check_number("weight", np.float32(0.5)) == 0.5
    assert is_number(np.int8(1)) and is_number(1.0) and not is_number(True) and not is_number(np.True_)
    assert is_integer(np.int8(1)) and not is_integer(1.0) and not is_integer(True)


def test_verbose():
    for verbose in ("auto", 0, 1, 2):
        check_verbose(verbose)
    for verbose in (3, "loud", None):
        with pytest.raises(ValueError, match="`verbose` to be 'auto', 0, 1 or 2"):
            check_verbose(verbose)
