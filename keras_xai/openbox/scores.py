"""Convert single-logit scores to two-class scores."""

import numpy as np


def decisive(scores: np.ndarray) -> np.ndarray:
    """Scores `(n, C)` of which the highest is the class: one score alone, class 1 where positive, gets a zero beside it."""
    return np.concatenate([np.zeros_like(scores), scores], axis=1) if scores.shape[1] == 1 else scores
