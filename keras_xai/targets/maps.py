"""Targets of segmentation maps and of embeddings."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, final, get_args

import numpy as np
from keras import ops

from keras_xai.data.checks import check_choice, real_array, short
from keras_xai.targets.target import ScoreTarget, at, check_rank, named, set_field, whole

_Measure = Literal["cosine", "dot", "distance"]
_MASK = "None, 'predicted', or booleans of shape (height, width) or (n, height, width)"
_EMBEDDING = "finite numbers of shape (size,) or (n, size)"


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Region(ScoreTarget):
    """The mean score of a class over a region of a segmentation map, for an output `(n, height, width, classes)`.

    Args:
        class_index: A class, or one per sample. A map of one sigmoid has the single class 0.
        mask: Booleans `(height, width)` of the map, or `(n, height, width)` for one region per sample; `None` for the whole map; or
            `"predicted"` for the positions at which the class has the highest score of all. These are found once for each sample and
            then kept, also where a method changes the sample. A sample without such a position has the score NaN, which is refused.

    Example:

    >>> import numpy as np
    >>> from keras_xai.targets import Region
    >>> scores = np.array([[[[1.0, 0.0], [2.0, 5.0]]]])
    >>> float(Region(0)(scores)[0]), float(Region(0, "predicted")(scores)[0]), float(Region(1, [[False, True]])(scores)[0])
    (1.5, 1.0, 5.0)
    """

    ROW_RANKS: ClassVar[Mapping[str, int]] = {"mask": 3}

    class_index: Any
    mask: Literal["predicted"] | np.ndarray | Sequence | None = None

    def __post_init__(self):
        set_field(self, "class_index", whole("class_index", self.class_index, optional=False))
        mask = self.mask
        if mask is None or (isinstance(mask, str) and mask == "predicted"):
            return
        array = real_array("mask", mask, _MASK)
        if array.ndim not in (2, 3) or not np.isin(array, (0, 1)).all():
            raise ValueError(f"Expected `mask` to be {_MASK}. Received: mask={short(mask)}")
        if not array.any(axis=(-2, -1)).all():
            raise ValueError("Expected a `mask` with at least one position for each sample. Received: an empty one.")
        array = array.astype(bool)
        set_field(self, "mask", array)

    def _parameters(self, shape, num_samples, link):
        check_rank(self, shape, 4, "(n, height, width, classes)")
        places, num_classes = tuple(shape[1:3]), shape[-1]
        classes = np.asarray(self.class_index)
        if classes.max(initial=0) >= num_classes:
            raise ValueError(f"Expected `class_index` from 0 to {num_classes - 1}. Received: {self!r}")
        mask: Any = self.mask
        if not isinstance(mask, np.ndarray):
            mask = np.ones((1, *(size or 1 for size in places)), bool)  # of 1 x 1 places for a map of any size
        elif any(size not in (None, given) for size, given in zip(places, mask.shape[-2:], strict=True)):
            raise ValueError(f"Expected a `mask` of the size of the map, {places}. Received: {mask.shape[-2:]}.")
        if self.num_samples not in (None, num_samples):
            raise ValueError(f"Expected one row per sample, {num_samples} of them. Received: {self.num_samples} in {self!r}.")
        # The class to include at each position, `num_classes` for none; -1 - class to include it only where it is predicted.
        counted = -1 - classes if isinstance(self.mask, str) else classes
        labels = np.where(mask, np.reshape(counted, (-1, 1, 1)), num_classes)  # (1 or n, height, width), or 1 for any
        return np.broadcast_to(labels, (num_samples, *labels.shape[1:])).astype("int32")

    def _score(self, scores, parameters, link):
        num_classes = scores.shape[-1]
        labels = ops.broadcast_to(parameters, ops.shape(scores)[:3])
        positive = ops.where(scores[..., 0] > 0, 0, 1)  # a sigmoid above a half
        highest = positive if num_classes == 1 else ops.cast(ops.argmax(scores, axis=-1), "int32")
        labels = ops.where(labels < 0, ops.where(highest == -1 - labels, highest, num_classes), labels)
        counted = ops.one_hot(labels, num_classes, dtype="bool")
        number = ops.cast(ops.count_nonzero(counted, axis=(1, 2, 3)), scores.dtype)
        return ops.sum(ops.where(counted, scores, ops.zeros_like(scores)), axis=(1, 2, 3)) / number, labels

    def _resolved(self, parameters):
        if not isinstance(self.mask, str):
            return self
        classes = np.reshape(self.class_index, (-1, 1, 1))
        return Region(self.class_index, np.asarray(parameters) == classes)

    def _label(self, sample, class_names):
        where = "" if self.mask is None else " where predicted" if isinstance(self.mask, str) else " in a region"
        return f"{named(at(self.class_index, sample), class_names)}{where}"


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Similarity(ScoreTarget):
    """The similarity of an embedding `(n, size)` to another one, for retrieval and siamese models.

    Args:
        to: The other embedding, `(size,)`, or one per sample, `(n, size)`, such as `encoder.predict(other)`.
        measure: `"cosine"`, which is 0 for an embedding of zeros; `"dot"`; or `"distance"`, the negative Euclidean distance.

    Example:

    >>> import numpy as np
    >>> from keras_xai.targets import Similarity
    >>> round(float(Similarity([3.0, 4.0])(np.array([[1.0, 0.0]]))[0]), 6)
    0.6
    """

    ROW_RANKS: ClassVar[Mapping[str, int]] = {"to": 2}
    MEASURES: ClassVar[tuple[str, ...]] = get_args(_Measure)

    to: Any
    measure: _Measure = "cosine"

    def __post_init__(self):
        check_choice("measure", self.measure, self.MEASURES)
        to = real_array("to", self.to, _EMBEDDING)
        if to.ndim not in (1, 2) or not to.size or not np.isfinite(to).all():
            raise ValueError(f"Expected `to` to be {_EMBEDDING}. Received: to={short(self.to)}")
        if self.measure == "cosine" and not to.any(axis=-1).all():
            raise ValueError("Expected `to` to have a direction for the cosine. Received: an embedding of zeros.")
        set_field(self, "to", to.astype("float64"))

    def _options(self):
        return (self.measure,)

    def _parameters(self, shape, num_samples, link):
        check_rank(self, shape, 2, "(n, size)")
        to = self.to
        if shape[-1] is not None and to.shape[-1] != shape[-1]:
            raise ValueError(f"Expected `to` with {shape[-1]} entries, as the embedding has. Received: {to.shape[-1]}.")
        if to.ndim == 2 and len(to) != num_samples:
            raise ValueError(f"Expected one row of `to` per sample, {num_samples} of them. Received: {len(to)}.")
        return np.broadcast_to(to, (num_samples, to.shape[-1]))

    def _score(self, scores, parameters, link):
        to = ops.cast(parameters, scores.dtype)
        if self.measure == "distance":
            return -_norm(scores - to), parameters
        value = ops.sum(scores * to, axis=-1)
        return value / (_norm(scores) * _norm(to)) if self.measure == "cosine" else value, parameters

    def _label(self, sample, class_names):
        return {"cosine": "cosine similarity", "dot": "dot product", "distance": "negative distance"}[self.measure]


def _norm(vectors):
    """The norm of each row, at least 1e-6, so that it has a derivative at zero."""
    return ops.sqrt(ops.maximum(ops.sum(ops.square(vectors), axis=-1), 1e-12))
