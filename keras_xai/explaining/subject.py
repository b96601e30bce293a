"""What is to be explained: a model, samples, and what is known of both."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np

from keras_xai.attribution.baseline import baseline_like
from keras_xai.data import streams, tables
from keras_xai.data.arrays import checked
from keras_xai.data.batches import joined
from keras_xai.data.checks import check_names
from keras_xai.data.imagenet import ClassNames, check_class_names
from keras_xai.data.layout import Layout
from keras_xai.data.preprocessing import PREPROCESSINGS
from keras_xai.data.reader import Samples, read_all
from keras_xai.data.structure import names_of, packed
from keras_xai.data.texts import Words, is_string, widened
from keras_xai.explaining.labels import read_labels
from keras_xai.explaining.pictures import check_pictures
from keras_xai.graph.trace import trace
from keras_xai.kinds.expansion import expand, kind_of
from keras_xai.kinds.kind import Kind
from keras_xai.network.attention import attentions_of
from keras_xai.network.preprocessing import preprocessing_of
from keras_xai.network.roles import Role
from keras_xai.network.scores import Scores

_BACKGROUND = 50  # rows of a table that others are compared with
_CELL = 19  # steps that a cell is divided into, about
_FEWEST = 10  # rows of `x` that can stand for typical ones


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A model with samples to explain.

    Attributes:
        model: The model.
        scores: Its scores.
        arrays: The samples, an array for each input.
        labels: Integers `(n,)`, the true classes, or numbers `(n,)` for a model that predicts numbers; `None` if they are not known.
        target: What is explained, as given.
        index: The index of a `DataFrame`, which names its rows; `None` for other samples.
        class_names: The names of the classes; `None` if there are none.
        feature_names: The names of the columns of a table; `None` if they are not known.
        vocabulary: The word of each token; `None` if it is not known.
        show: Makes a picture of an image, see `Explanation.plot`; `None` to draw it as it is.
        background: Typical samples, an array `(m, ...)` for each input; `None` if the data are no table.
        background_is: What the background is, for the page.
    """

    model: keras.Model
    scores: Scores
    arrays: list[np.ndarray]
    labels: np.ndarray | None
    target: Any
    index: Any
    class_names: list[str] | None
    feature_names: list[str] | None
    vocabulary: list[str] | None
    show: Any
    background: list[np.ndarray] | None
    background_is: str

    def __len__(self) -> int:
        return len(self.arrays[0])

    def x(self, rows: Any = slice(None)) -> Any:
        """Samples in the form that the model takes."""
        return self.packed([array[rows] for array in self.arrays])

    def packed(self, arrays: list[np.ndarray]) -> Any:
        """Arrays, one for each input, in the form that the model takes."""
        return packed(arrays, self.scores.graph)

    @functools.cached_property
    def kinds(self) -> list[str]:
        """What each input is that can be explained: `"image"`, `"volume"`, `"series"`, `"text"` or `"table"`; `""` for others."""
        every = zip(
            self.scores.graph.input_specs,
            self.scores.layouts,
            self.scores.roles,
            self.arrays,
            self.scores.explainable,
            strict=True,
        )
        return [_kind(spec, layout, role, array) if known else "" for spec, layout, role, array, known in every]

    @property
    def kind(self) -> str:
        """What the samples are, `"mixed"` if inputs differ."""
        found = {kind for kind in self.kinds if kind}
        return found.pop() if len(found) == 1 else "mixed"

    @property
    def has_unknown_colors(self) -> bool:
        """Whether there are images of three colors whose preprocessing is not known, other than values from 0 to 1, which are colors."""
        pictures = _pictures(self.arrays, self.scores.layouts) if self.show is None else []
        return any(each.min() < 0 or each.max() > 1 for each in pictures)

    def row_name(self, sample: int) -> str:
        """The name of a sample: its label in the index of a `DataFrame`, else its number, from 1."""
        if self.index is None:
            return str(sample + 1)
        label = self.index[sample]
        return ", ".join(map(str, label)) if isinstance(label, tuple) else str(label)

    @functools.cached_property
    def has_attention(self) -> bool:
        """Whether the model has attention."""
        shapes = [array.shape[1:] for array in self.arrays] if self.scores.has_open_sizes else None
        return bool(attentions_of(expand(trace(self.model, shapes=shapes), defuse=True)))

    @functools.cached_property
    def unrolled_factor(self) -> float:
        """How many times as large the network is with its recurrent layers divided into the steps of their cells."""
        steps = self.scores.graph.steps
        times = sum(
            step.input_specs[0].shape[1] or self.arrays[0].shape[1]
            for step in steps
            if type(kind_of(step)).unrolled is not Kind.unrolled
        )
        return (len(steps) + _CELL * times) / max(len(steps), 20)

    @property
    def place_sizes(self) -> dict[str, tuple[int, ...]]:
        """For each input by name, the sizes of its places; empty where entries stand alone."""
        graph = self.scores.graph
        return {
            name: () if layout.is_apart or is_string(spec) else layout.sizes(array.shape)
            for name, spec, layout, array in zip(
                names_of(graph.input_structure, graph.input_specs),
                graph.input_specs,
                self.scores.layouts,
                self.arrays,
                strict=True,
            )
        }

    def num_parts(self, along: int) -> int:
        """The number of parts of a sample: columns, tokens, or `along` parts along each axis of places."""
        every = zip(self.place_sizes.values(), self.arrays, self.kinds, strict=True)
        return sum(
            math.prod(min(size, along) for size in sizes) if sizes else math.prod(array.shape[1:])
            for sizes, array, kind in every
            if kind
        )

    @property
    def num_background(self) -> int:
        """The number of typical samples."""
        return 1 if self.background is None else len(self.background[0])

    def typical(self, rows: slice | np.ndarray) -> Any:
        """What hidden parts of some samples are replaced by: the mean color or level of each, the typical entry of a table, padding."""
        return self._replacement(lambda array: array[rows], means=lambda array: array[rows])

    def typical_of_all(self, token: int = 0) -> Any:
        """The same for all samples, in the shape of one.

        Args:
            token: What tokens are replaced by.
        """
        return self._replacement(lambda array: array[0], means=lambda array: array.mean(axis=0, keepdims=True), token=token)

    def _replacement(self, shaped, means, token=0):
        every = zip(self.scores.graph.input_specs, self.scores.layouts, self.kinds, self.arrays, strict=True)
        found = []
        for position, (spec, layout, kind, array) in enumerate(every):
            shape = shaped(array).shape
            if kind == "table" and self.background is not None:
                found.append(np.broadcast_to(_typical(self.background[position]), shape))
            elif kind in ("image", "volume", "series"):
                last = layout.channels_last(means(array.astype(self.scores.dtype)))
                mean = last.mean(axis=tuple(range(1, last.ndim - 1)), keepdims=True)
                found.append(layout.restored(np.broadcast_to(mean, last.shape)).reshape(shape))
            elif is_string(spec):
                found.append(np.array(["", "[UNK]"][token]))  # texts differ in their number of words
            else:
                found.append(np.full(shape, token))
        return self.packed(found)


def read_subject(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    target: Any,
    background: Any,
    class_names: ClassNames | None,
    feature_names: Sequence[str] | None,
    vocabulary: Sequence[str] | None,
    preprocessing: Any,
) -> Subject:
    """Reads and checks what `explain` is given, before any work.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built, or samples, labels, names or the target do not fit.
    """
    scores = Scores(model)
    arrays, y, columns = _read(x, y, scores)
    goal = scores.target(target, len(arrays[0]))
    num_classes = _num_classes(scores, goal)
    names = check_class_names(class_names, num_classes, "class of the model" if num_classes else "")
    subject = Subject(
        model=model,
        scores=scores,
        arrays=arrays,
        labels=None if y is None else read_labels(y, len(arrays[0]), num_classes, names),
        target=target,
        index=x.index if tables.is_frame(x) else None,
        class_names=names,
        feature_names=columns,
        vocabulary=None if vocabulary is None else check_names("vocabulary", vocabulary),
        show=_shown(preprocessing_of(preprocessing, model), arrays, scores.layouts),
        background=None,
        background_is="",
    )
    _check_vocabulary(subject)
    if feature_names is not None:
        subject = dataclasses.replace(subject, feature_names=_feature_names(feature_names, subject))
    if "table" in subject.kinds:
        found, described = _background(background, subject)
        return dataclasses.replace(subject, background=found, background_is=described)
    if background is not None:
        raise ValueError(
            f"Expected no `background` for a model without columns of a table. Received: a model of {sorted(set(subject.kinds))}, for "
            f"which a part that is hidden takes the mean of the sample, or padding."
        )
    return subject


def _kind(spec, layout: Layout, role: Role, array) -> str:
    if isinstance(spec, Words):
        return "text"
    if layout.is_tokens or is_string(spec):
        return "text" if math.prod(array.shape[1:]) > 1 and role is Role.TOKENS else "table"
    if layout.is_apart:
        return "table"
    return {1: "series", 2: "image"}.get(len(layout.places), "volume")


def _shown(preprocessing, arrays, layouts):
    """What makes pictures of images; without a known preprocessing, the only one of the usual ones that the samples may have."""
    pictures = _pictures(arrays, layouts)
    if not pictures:
        return None
    if preprocessing is None:
        fitting = [each for each in PREPROCESSINGS.values() if all(map(each.fits, pictures))]
        preprocessing = fitting[0] if len(fitting) == 1 else None
    return None if preprocessing is None else lambda image: preprocessing.undo(image) if image.shape[-1] == 3 else image


def _pictures(arrays, layouts):
    """The images of three colors, channels last, an array for each input."""
    return [
        each
        for array, layout in zip(arrays, layouts, strict=True)
        if len(layout.places) == 2 and not layout.is_apart and (each := layout.channels_last(array)).shape[-1] == 3
    ]


def _typical(array):
    """The mean of each entry of typical samples, the most frequent one of codes and words."""
    if array.dtype.kind == "f":
        return array.mean(axis=0)
    columns = array.reshape(len(array), -1)
    found = []
    for column in columns.T:
        values, counts = np.unique(column, return_counts=True)
        found.append(values[counts.argmax()])
    return np.array(found, array.dtype).reshape(array.shape[1:])


def _read(x, y, scores):
    """All samples as arrays, the labels of a dataset if it has any, and the names of the columns of a `DataFrame`."""
    graph = scores.graph
    if not streams.is_stream(x):
        check_pictures(x, scores)
        samples = Samples(x, graph, 1)
        return samples.arrays(), y, samples.feature_names
    batches, labels, names = [], [], None
    for element in streams.elements(x):
        check_pictures(element.x, scores)
        names = tables.feature_names(element.x, graph) if names is None else names
        batches.append(checked(element.x, graph))
        labels.append(element.y)
    if all(each is not None for each in labels):
        if y is not None:
            raise ValueError(
                "Expected y=None with batched samples, whose batches are `(x, y, ...)`. Received: batches and labels."
            )
        y = np.concatenate([np.asarray(each) for each in labels])
    arrays = [
        joined(widened(parts, "") if isinstance(spec, Words) else list(parts))
        for spec, parts in zip(graph.input_specs, zip(*batches, strict=True), strict=True)
    ]
    return arrays, y, names


def _num_classes(scores, goal):
    """The number of classes that names are for; `None` if no class is explained."""
    if len(goal.by_class) != 1:
        return None
    (position,) = goal.by_class.values()
    size = scores.graph.output_specs[position].shape[-1]
    return size if size > 1 else 2 if scores.links[position] == "sigmoid" else None


def _feature_names(names, subject):
    tables = [array for array, kind in zip(subject.arrays, subject.kinds, strict=True) if kind == "table"]
    if len(tables) != 1 or len(subject.arrays) > 1:
        raise ValueError(
            "Expected `feature_names` for a model of one table; columns of several inputs have the names of the inputs. Received: "
            f"feature_names={list(names)!r} for a model of {sorted(set(subject.kinds))}."
        )
    return check_names("feature_names", names, tables[0].shape[1], "column")


def _check_vocabulary(subject):
    if subject.vocabulary is None:
        return
    tokens = [
        array
        for array, kind in zip(subject.arrays, subject.kinds, strict=True)
        if kind == "text" and array.dtype.kind in "fiu"
    ]
    if not tokens:
        raise ValueError(
            f"Expected `vocabulary` for a model of tokens. Received: {len(subject.vocabulary):,} words for a model of "
            f"{sorted({kind for kind in subject.kinds if kind})}."
        )
    largest = int(max(array.max() for array in tokens))
    if largest >= len(subject.vocabulary):
        raise ValueError(
            f"Expected a `vocabulary` with a word for each token. Received: {len(subject.vocabulary):,} words, and the token {largest}."
        )


def _background(background, subject):
    """Typical samples, and what they are."""
    scores, arrays = subject.scores, subject.arrays
    if background is not None:
        given = scores.typed(read_all(background, scores.graph))
        return _drawn(given), f"{min(len(given[0]), _BACKGROUND)} rows of the background"
    if len(arrays[0]) >= _FEWEST:
        return _drawn(scores.typed(arrays)), f"{min(len(arrays[0]), _BACKGROUND)} of the rows themselves"
    zeros = baseline_like([array[:1] for array in arrays], 0, scores)
    return zeros, "a row of zeros"


def _drawn(arrays):
    rows = np.sort(np.random.default_rng(0).permutation(len(arrays[0]))[:_BACKGROUND])
    return [array[rows] for array in arrays]
