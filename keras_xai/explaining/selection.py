"""Which samples are explained and shown, where there are more than a page has room for."""

import numpy as np


def spread(classes: np.ndarray) -> np.ndarray:
    """An order of samples whose beginnings are spread over the classes: the first sample of each class, then the second of each.

    Args:
        classes: `(n,)`, the class of each sample. Classes are taken in the order of their first samples.

    Returns:
        `(n,)`, the indices of all samples.
    """
    _, first, inverse = np.unique(classes, return_index=True, return_inverse=True)
    grouped = np.argsort(inverse, kind="stable")
    starts = np.searchsorted(inverse[grouped], np.arange(len(first)))
    ranks = np.empty(len(classes), int)
    ranks[grouped] = np.arange(len(classes)) - starts[inverse[grouped]]
    return np.lexsort((first[inverse], ranks))
