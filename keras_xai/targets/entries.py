"""Targets of outputs of any rank: an entry, a token, the boxes of a detector."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
from keras import ops

from keras_xai.data.checks import real_array, short
from keras_xai.targets.target import ScoreTarget, at, check_rank, column, fitting, named, set_field, taken_entries, whole

_INDEX = "an integer, a tuple of integers, or an integer array of one row per sample"
_BOX = "finite numbers of shape (4,) or (n, 4)"
_BOXES = (
    "finite numbers of shape (boxes, 4) or (n, boxes, 4): the anchors of the detector, or the boxes that it has predicted for each "
    "sample"
)


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Output(ScoreTarget):
    """One entry of an output of any shape: a value of a regression, or the score of a class at a position.

    Args:
        index: An integer for an output `(n, size)`; a tuple of integers for an output of more axes, one for each axis but the first; or an
            integer array of one row per sample, `(n,)` or `(n, axes)`. Negative integers count from the end.

    Example:

    >>> import numpy as np
    >>> from keras_xai.targets import Output
    >>> outputs = np.arange(12.0).reshape(1, 3, 4)
    >>> float(Output((1, -1))(outputs)[0])
    7.0
    """

    index: Any

    def __post_init__(self):
        index = self.index
        if not isinstance(index, tuple):
            array = real_array("index", index, _INDEX)
            index = (
                array.astype("int64")
                if array.dtype.kind in "iu" and array.ndim in (1, 2)
                else whole("index", index, negative=True)
            )
        else:
            index = tuple(whole("index", each, optional=False, negative=True) for each in index)
        if index is None or (isinstance(index, tuple) and any(isinstance(each, np.ndarray) for each in index)):
            raise ValueError(f"Expected `index` to be {_INDEX}. Received: index={short(self.index)}")
        set_field(self, "index", index)

    def _parameters(self, shape, num_samples, link):
        given = self.index if isinstance(self.index, np.ndarray) else np.array([self.index], "int64")
        given = given.reshape(len(given), -1)
        if given.shape[1] != len(shape) - 1:
            raise ValueError(
                f"Expected an `index` for each axis of scores of shape {(None, *shape[1:])}. Received: {self!r}. {fitting(shape)}"
            )
        if not isinstance(self.index, np.ndarray):
            given = given.repeat(num_samples, axis=0)
        columns = [column("index", each, num_samples, size) for each, size in zip(given.T, shape[1:], strict=True)]
        return np.stack(columns, axis=1) if columns else np.zeros((num_samples, 0), "int32")

    def _score(self, scores, parameters, link):
        for axis in range(parameters.shape[1]):
            index, size = parameters[:, axis], ops.shape(scores)[1]
            index = ops.where(index < 0, index + size, index)
            picked = ops.one_hot(index, size, dtype="bool")
            picked = ops.reshape(picked, (-1, size, *[1] * (len(scores.shape) - 2)))
            scores = ops.sum(ops.where(picked, scores, ops.zeros_like(scores)), axis=1)
        return scores, parameters

    def _label(self, sample, class_names):
        index = self.index[sample].tolist() if isinstance(self.index, np.ndarray) else self.index
        return f"output {str(tuple(index)) if isinstance(index, (tuple, list)) else index}"


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Token(ScoreTarget):
    """The log-probability of a token at a position of an output `(n, length, vocabulary)` of logits.

    A causal language model predicts at each position the next token: the log-probability of `ids[:, p]` is `Token(p - 1, ids[:, p])`. A
    masked language model predicts the token at the position itself.

    Args:
        position: A position, or one per sample; negative positions count from the end of the sequence, including its padding.
        token: A token, one per sample, or `None` for the most probable one.

    Example:

    >>> import numpy as np
    >>> from keras_xai.targets import Token
    >>> logits = np.log([[[0.5, 0.5], [0.2, 0.8]]])
    >>> round(float(np.exp(Token(1, 0)(logits)[0])), 6)
    0.2
    """

    position: Any
    token: Any = None

    def __post_init__(self):
        set_field(self, "position", whole("position", self.position, optional=False, negative=True))
        set_field(self, "token", whole("token", self.token))

    def _parameters(self, shape, num_samples, link):
        check_rank(self, shape, 3, "(n, length, vocabulary)")
        columns = [
            column(name, value, num_samples, size)
            for (name, value), size in zip(self.fields().items(), shape[1:], strict=True)
        ]
        return np.stack(columns, axis=1)

    def _score(self, scores, parameters, link):
        length = ops.shape(scores)[1]
        position, token = parameters[:, 0], parameters[:, 1]
        position = ops.where(position < 0, position + length, position)
        # Only the logits at the position are normalized.
        flat = ops.reshape(scores, (-1, scores.shape[-1]))
        inside = ops.logical_and(position >= 0, position < length)
        rows = ops.arange(ops.shape(scores)[0], dtype="int32") * length + ops.where(inside, position, 0)
        logits = ops.take(flat, rows, axis=0)
        token = ops.where(token < 0, ops.cast(ops.argmax(logits, axis=-1), "int32"), token)
        found = taken_entries(ops.log_softmax(logits), token)
        return ops.where(inside, found, float("nan")), ops.stack([position, token], axis=1)

    def _resolved(self, parameters):
        return Token(*np.asarray(parameters).T)

    def _label(self, sample, class_names):
        token = at(self.token, sample)
        return f"{'token' if token is None else named(token, class_names, 'token')} at {at(self.position, sample)}"


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Box(ScoreTarget):
    """The score of a class for the box of a detector that best matches a given box, for an output `(n, boxes, classes)`.

    The match is the box of the largest intersection over union. It is found once, and then kept where a method changes the sample.

    Args:
        box: `(x_min, y_min, x_max, y_max)`: an array `(4,)`, or `(n, 4)` for one per sample.
        boxes: The boxes that the scores belong to, in the form of `box`: anchors `(boxes, 4)`, or the boxes that the model has predicted
            for each sample, `(n, boxes, 4)`.
        class_index: A class, one per sample, or `None` for the class with the highest score of that box.

    Example:

    >>> import numpy as np
    >>> from keras_xai.targets import Box
    >>> anchors = [[0, 0, 2, 2], [4, 4, 8, 8]]
    >>> scores = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    >>> float(Box([4, 4, 7, 7], anchors, class_index=0)(scores)[0])
    3.0
    """

    ROW_RANKS: ClassVar[Mapping[str, int]] = {"box": 2, "boxes": 3}

    box: Any
    boxes: Any
    class_index: Any = None

    def __post_init__(self):
        set_field(self, "class_index", whole("class_index", self.class_index))
        box, boxes = _coordinates("box", self.box, _BOX, (1, 2)), _coordinates("boxes", self.boxes, _BOXES, (2, 3))
        if np.any(box[..., 2:] <= box[..., :2]):
            raise ValueError(
                f"Expected `box` as (x_min, y_min, x_max, y_max), with a positive width and height. Received: box={self.box!r}"
            )
        set_field(self, "box", box)
        set_field(self, "boxes", boxes)

    def _parameters(self, shape, num_samples, link):
        check_rank(self, shape, 3, "(n, boxes, classes)")
        boxes, box = self.boxes, self.box
        if shape[1] is not None and boxes.shape[-2] != shape[1]:
            raise ValueError(f"Expected `boxes` with a box for each of {shape[1]} scores. Received: {boxes.shape[-2]} boxes.")
        for name, array, rank in (("boxes", boxes, 3), ("box", box, 2)):
            if array.ndim == rank and len(array) != num_samples:
                raise ValueError(f"Expected one row of `{name}` per sample, {num_samples} of them. Received: {len(array)}.")
        overlap = _intersection_over_union(boxes, box[..., None, :])
        if np.any(overlap.max(axis=-1) <= 0):
            raise ValueError(f"Expected a `box` that meets one of the detector's boxes. Received: {self!r}, which meets none.")
        best = np.broadcast_to(overlap.argmax(axis=-1), (num_samples,)).astype("int32")
        return np.stack([best, column("class_index", self.class_index, num_samples, shape[-1])], axis=1)

    def _score(self, scores, parameters, link):
        flat = ops.reshape(scores, (-1, scores.shape[-1]))
        rows = ops.arange(ops.shape(scores)[0], dtype="int32") * ops.shape(scores)[1] + parameters[:, 0]
        found = ops.take(flat, rows, axis=0)
        index = ops.where(parameters[:, 1] < 0, ops.cast(ops.argmax(found, axis=-1), "int32"), parameters[:, 1])
        return taken_entries(found, index), ops.stack([parameters[:, 0], index], axis=1)

    def _resolved(self, parameters):
        return dataclasses.replace(self, class_index=np.asarray(parameters)[:, 1])

    def _label(self, sample, class_names):
        index = at(self.class_index, sample)
        box = ", ".join(f"{each:.4g}" for each in (self.box[sample] if self.box.ndim == 2 else self.box))
        return f"{'best class' if index is None else named(index, class_names)} in box ({box})"


def _coordinates(name, value, what, ranks):
    array = real_array(name, value, what).astype("float64")
    if array.ndim not in ranks or array.shape[-1] != 4 or not array.size or not np.isfinite(array).all():
        raise ValueError(f"Expected `{name}` to be {what}. Received: {name}={short(value)}")
    return array


def _intersection_over_union(one, other):
    """The intersection over union of boxes `(..., 4)`."""
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    areas = [np.clip(each[..., 2:] - each[..., :2], 0, None).prod(axis=-1) for each in (one, other)]
    return shared / np.maximum(areas[0] + areas[1] - shared, np.finfo("float64").tiny)
