"""Targets of classifiers: probabilities and margins."""

import dataclasses
from typing import Any, final

import numpy as np
from keras import ops

from keras_xai.targets.target import ScoreTarget, at, check_rank, column, named, set_field, taken_entries, whole


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Probability(ScoreTarget):
    """The probability of a class: the softmax of the scores, or the sigmoid of a single score or of a model that ends in sigmoids.

    Probabilities saturate: where one is close to 0 or 1 its gradient vanishes, which is why methods explain scores by default.

    Args:
        class_index: A class, one per sample, or `None` for the predicted class of each sample; for a single sigmoid, class 1.

    Example:

    >>> import numpy as np
    >>> from keras_xai.targets import Probability
    >>> float(Probability(0)(np.log([[1.0, 3.0]]))[0])
    0.25
    """

    class_index: Any = None

    def __post_init__(self):
        set_field(self, "class_index", whole("class_index", self.class_index))

    def _parameters(self, shape, num_samples, link):
        check_rank(self, shape, 2, "(n, classes)")
        return column("class_index", self.class_index, num_samples, 2 if shape[-1] == 1 else shape[-1])

    def _score(self, scores, parameters, link):
        if scores.shape[-1] == 1:
            index = ops.where(parameters < 0, 1, parameters)
            logits = ops.squeeze(scores, -1)
            return ops.sigmoid(ops.where(index == 1, logits, -logits)), index
        index = ops.where(parameters < 0, ops.cast(ops.argmax(scores, axis=-1), "int32"), parameters)
        probabilities = ops.sigmoid(scores) if link == "sigmoid" else ops.softmax(scores)
        return taken_entries(probabilities, index), index

    def _resolved(self, parameters):
        return Probability(np.asarray(parameters))

    def _label(self, sample, class_names):
        index = at(self.class_index, sample)
        return "p(predicted class)" if index is None else f"p({named(index, class_names)})"


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Margin(ScoreTarget):
    """The score of class `a` minus that of class `b`.

    For a softmax it is the log-odds between the classes. A single sigmoid has the classes 1 and 0, whose margin is its score.

    Args:
        a: A class, one per sample, or `None` for the predicted class of each sample; for a single sigmoid, class 1.
        b: Another class, one per sample, or `None` for the class with the highest score besides `a`. Both are found once for each sample
            and then kept, also where a method changes the sample.

    Example:

    >>> import numpy as np
    >>> from keras_xai.targets import Margin
    >>> scores = np.array([[1.0, 5.0, 3.0]])
    >>> float(Margin()(scores)[0]), float(Margin(0, 2)(scores)[0])
    (2.0, -2.0)
    """

    a: Any = None
    b: Any = None

    def __post_init__(self):
        set_field(self, "a", whole("a", self.a))
        set_field(self, "b", whole("b", self.b))
        # Arrays of two lengths cannot be compared; `num_samples` refuses them.
        if self.num_samples != 0 and self.a is not None and self.b is not None and np.any(np.equal(self.a, self.b)):
            raise ValueError(f"Expected two different classes. Received: a={self.a!r}, b={self.b!r}")

    def _parameters(self, shape, num_samples, link):
        check_rank(self, shape, 2, "(n, classes)")
        size = 2 if shape[-1] == 1 else shape[-1]
        return np.stack([column(name, value, num_samples, size) for name, value in self.fields().items()], axis=1)

    def _score(self, scores, parameters, link):
        a, b = parameters[:, 0], parameters[:, 1]
        if scores.shape[-1] == 1:
            a = ops.where(a < 0, ops.where(b < 0, 1, 1 - b), a)
            logits = ops.squeeze(scores, -1)
            return ops.where(a == 1, logits, -logits), ops.stack([a, 1 - a], axis=1)
        # With `b` given and `a` not, `a` is the highest class besides `b`.
        a = ops.where(a < 0, _highest_besides(scores, b), a)
        b = ops.where(b < 0, _highest_besides(scores, a), b)
        return taken_entries(scores, a) - taken_entries(scores, b), ops.stack([a, b], axis=1)

    def _resolved(self, parameters):
        return Margin(*np.asarray(parameters).T)

    def _label(self, sample, class_names):
        a, b = at(self.a, sample), at(self.b, sample)
        first = "predicted class" if a is None else named(a, class_names)
        return f"{first} - {'runner-up' if b is None else named(b, class_names)}"


def _highest_besides(scores, excluded):
    """The class with the highest score, except for one class per row."""
    left_out = ops.one_hot(excluded, scores.shape[-1], dtype="bool")  # of -1, none
    return ops.cast(ops.argmax(ops.where(left_out, -float("inf"), scores), axis=-1), "int32")
