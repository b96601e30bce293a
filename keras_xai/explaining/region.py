"""The linear piece of a piecewise-linear network around samples, for the page."""

import dataclasses
import math
from typing import Any, final

import numpy as np

from keras_xai.explaining.answers import Answers
from keras_xai.explaining.budget import Budget
from keras_xai.explaining.reasons import too_long
from keras_xai.explaining.subject import Subject
from keras_xai.openbox import OpenBox, UnsupportedLayerError

_SAMPLES = 6
_PROGRAMS = 20  # two networks, one of them in double precision


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """The linear pieces of some samples.

    Attributes:
        radius: `(n,)`, the certified radii; `None` if they would take too long.
        features: `(n, *input_shape)`, the weights by which the predicted class is preferred to the runner-up, or the weights of a predicted
            number.
        against: The class that it is preferred to, for each sample; `None` for a predicted number.
        apart: The median distance between two of the samples; 0 for a single one.
    """

    radius: np.ndarray | None
    features: Any
    against: np.ndarray | None
    apart: float


def region_of(subject: Subject, answers: Answers, order: np.ndarray, budget: Budget) -> Region | str:
    """The linear pieces of some samples, or why there are none.

    Args:
        subject: The model and the samples.
        answers: What the model answers.
        order: The indices of samples, of which the first ones are taken.
        budget: The seconds.
    """
    if len(subject.arrays) > 1 or subject.scores.has_open_sizes or answers.kind == "score":
        return "It is computed for models of one input of a known size, and of one output."
    chosen = order[:_SAMPLES]
    count = len(chosen)
    programs = _PROGRAMS * subject.unrolled_factor
    if not budget.fits(4 * count, programs):
        return too_long(budget.expected(4 * count, programs), budget)
    try:
        box = OpenBox(subject.model)
    except (UnsupportedLayerError, ValueError) as error:
        problems = getattr(error, "problems", [])
        what = f"the layer '{problems[0].path}' is not" if problems else "it is not"
        return f"The network is not made of linear pieces: {what}."
    outputs = answers.outputs[chosen]
    top = np.argsort(-outputs, axis=1, kind="stable")[:, :2]
    local = box(subject.x(chosen), top if outputs.shape[1] > 1 else None, verbose=0)
    against: np.ndarray | None = None
    if outputs.shape[1] > 1:
        features, against = local.decision_features(against="runner-up"), top[:, 1]
    else:
        features = np.asarray(local.coef[:, 0])
        if answers.kind == "binary":
            # The only score is that of class 1 minus that of class 0.
            predicted = answers.predicted[chosen]
            against = 1 - predicted
            features = features * np.where(predicted, 1, -1).reshape(-1, *[1] * (features.ndim - 1))
    dims = math.prod(subject.arrays[0].shape[1:])
    radius = None
    # In double precision a pass takes about twice as long.
    if budget.fits(3 * dims * count):
        radius = local.radius(max_passes=None, verbose=0)
    return Region(radius, features, against, _apart(subject.arrays[0][chosen]))


def _apart(x):
    rows = x.reshape(len(x), -1).astype("float64")
    distances = [np.linalg.norm(rows[i] - rows[j]) for i in range(len(rows)) for j in range(i)]
    return float(np.median(distances)) if distances else 0.0
