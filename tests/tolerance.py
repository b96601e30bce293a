"""How far apart two computations of the same thing may be."""

import numpy as np


def rounding(dtype, size=1.0, terms=1):
    """What rounding alone may change.

    Processors add in different orders and round at different places, and so does one processor for batches of different
    sizes. Results that are the same but for this differ by less than the return value; tests compare with it as `atol`.

    Args:
        dtype: In which is computed.
        size: Of what is added up, a number or an array whose largest absolute value counts.
        terms: How many addends a result has, those of layers one after the other added up.
    """
    return float(terms * np.abs(size).max() * np.finfo(dtype).eps)
