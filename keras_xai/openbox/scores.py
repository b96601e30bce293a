"""Convert single-logit scores to two-class scores."""

import numpy as np


def decisive(scores: np.ndarray) -> np.ndarray:
    """Scores `(n, C)` whose maximum is the class: a single score, positive for class 1, gets a zero column for class 0."""
    return np.concatenate([np.zeros_like(scores), scores], axis=1) if scores.shape[1] == 1 else scores
