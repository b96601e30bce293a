"""SHAP by coalitions: shap's `KernelExplainer` and `PartitionExplainer`."""

import abc
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from scipy.cluster.hierarchy import complete
from scipy.spatial.distance import squareform

from keras_xai.attribution.parts import Batch, Part
from keras_xai.attribution.perturbation.hiding import Hiding, Parted, padding_of_sample, stacked
from keras_xai.attribution.perturbation.isolation import isolated, random_state
from keras_xai.attribution.perturbation.segments import Segments, blocks
from keras_xai.data.progress import progress
from keras_xai.graph.target import Target
from keras_xai.network.scores import Scores


@final
class Game:
    """The coalition game: the mean score over the background for each set of shown parts.

    Args:
        hiding: Evaluates the model.
        parted: The sample.
        indices: The classes, arrays `(1,)`.

    Attributes:
        parted: The sample.
        none: The score with all parts hidden.
        all: The score with all parts shown.
        played: Number of evaluations of the mean.
    """

    def __init__(self, hiding: Hiding, parted: Parted, indices: Sequence[np.ndarray]):
        self._hiding = hiding
        self._indices = indices
        self.parted = parted
        self.played = 0
        self.none, self.all = self(np.repeat([[False], [True]], parted.count, axis=1))

    def __call__(self, shown: np.ndarray) -> np.ndarray:
        """The means `(k,)` for coalitions `(k, parts)`, 1 or true for each shown part."""
        self.played += len(shown)
        return self._hiding(self.parted, self._indices, np.asarray(shown) > 0)


class Coalitions(abc.ABC):
    """Base class of both explainers: shap sees indices of shown parts, never samples.

    The model runs in batches, whatever the size of the samples and of the background.

    Args:
        scores: The model's scores.
        batch_size: Rows per forward pass.
    """

    def __init__(self, scores: Scores, batch_size: int):
        self._scores = scores
        self._batch_size = batch_size

    @final
    def prepare(self, target: Target) -> Callable[[Batch], Part]:
        """Compiles the function that explains batches for a target."""
        predicted = self._scores.predictor(target)
        hiding = Hiding(self._scores, target, self._batch_size)

        def explain(batch):
            indices = [np.asarray(each) for each in predicted(batch.inputs, batch.indices)]
            found, gaps, base, passes = [], [], [], batch.passes_to_predict
            for i, number in enumerate(progress(batch.numbers, len(batch.numbers))):
                sample = [x[i] for x in batch.inputs]
                scores = self._scores
                padding = padding_of_sample(scores, sample)
                parted = Parted.of(sample, batch.baseline, self._parts(sample), scores.layouts, scores.explainable, padding)
                game = Game(hiding, parted, [each[[i]] for each in indices])
                values = np.full(parted.count, game.all - game.none)
                if parted.count > 1:
                    with isolated(random_state(batch.seed, number)):
                        values = self._values(game)
                found.append(parted.shared(values))
                gaps.append(game.all - game.none - values.sum())
                base.append(game.none)
                passes += game.played * len(batch.baseline[0])
            return Part(stacked(found), indices, np.array(gaps), passes, base_score=np.array(base))

        return explain

    @abc.abstractmethod
    def _parts(self, sample: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The part number of each position."""

    @abc.abstractmethod
    def _values(self, game: Game) -> np.ndarray:
        """The value of each part."""


@final
class Kernel(Coalitions):
    """Kernel SHAP: Shapley values by weighted regression on random coalitions.

    Args:
        scores: The model's scores.
        segments: Divides samples into parts.
        num_samples: Number of coalitions; by default twice the number of parts plus 2048, as in shap.
        batch_size: Rows per forward pass.
    """

    def __init__(self, scores: Scores, segments: Segments, num_samples: int | None, batch_size: int):
        super().__init__(scores, batch_size)
        self._segments = segments
        self._num_samples = num_samples

    def _parts(self, sample):
        return self._segments.of(sample)

    def _values(self, game):
        from shap import KernelExplainer

        count = game.parted.count
        number = 2 * count + 2048 if self._num_samples is None else self._num_samples
        if number < min(2 * count, 2**count - 2):
            raise ValueError(
                f"Expected `num_samples` to be at least {min(2 * count, 2**count - 2)} for the {count} parts of a sample, so that the "
                f"regression has one solution. Received: num_samples={number}. With fewer `segments`, fewer samples suffice."
            )
        explainer = KernelExplainer(game, np.zeros((1, count)))
        # All parts get a value: shap's default would select ten of them first.
        return explainer.shap_values(np.ones((1, count)), nsamples=number, l1_reg=False, silent=True)[0]


@final
class Partition(Coalitions):
    """Partition SHAP: Owen values along a hierarchy of parts.

    Args:
        scores: The model's scores.
        num_samples: Maximum number of coalitions; 500 by default, as in shap.
        batch_size: Rows per forward pass.
    """

    def __init__(self, scores: Scores, num_samples: int | None, batch_size: int):
        super().__init__(scores, batch_size)
        self._num_samples = 500 if num_samples is None else num_samples
        self._trees: dict[bytes, np.ndarray] = {}

    def _parts(self, sample):
        return blocks(sample, self._scores.layouts)

    def _values(self, game):
        from shap import PartitionExplainer

        explainer = PartitionExplainer(game, _Masker(self._tree(game.parted)))
        shown = np.ones((1, game.parted.count))
        # Not this method's batch size: the size of shap's batches determines which nodes it visits next.
        return explainer(shown, max_evals=self._num_samples, batch_size=10, silent=True).values[0]

    def _tree(self, parted):
        columns = _columns(parted)
        if columns is not None:
            return _correlated(columns)
        key = parted.count.to_bytes(8) + b"".join(
            np.asarray(numbers.shape).tobytes() + numbers.tobytes() for numbers in parted.numbers
        )
        tree = self._trees.get(key)
        if tree is None:
            tree = halved(_coordinates(parted))
            self._trees = {key: tree}  # images of the same size share a tree
        return tree


@final
class _Masker:
    """The masker that shap asks for the rows of a coalition: returns the coalition itself."""

    def __init__(self, clustering):
        self.clustering = clustering
        self.shape = (1, len(clustering) + 1)

    def __call__(self, mask: np.ndarray, x: Any) -> np.ndarray:
        return mask[np.newaxis]


def halved(places: np.ndarray) -> np.ndarray:
    """A binary partition tree that halves the longest side at each node, as shap's image masker builds it.

    Args:
        places: Distinct integer coordinates, `(count, axes)`.

    Returns:
        `(count - 1, 4)`, in the format of `scipy.cluster.hierarchy` without distances; the root comes last.
    """
    count = len(places)
    tree = np.zeros((max(count - 1, 0), 4))
    row = count - 2
    branches = [(np.arange(count), -1, 0)]
    while branches:
        members, parent, side = branches.pop()
        node = members[0] if len(members) == 1 else count + row
        if parent >= 0:
            tree[parent, side] = node
        if len(members) == 1:
            continue
        low, high = places[members].min(axis=0), places[members].max(axis=0)
        axis = np.argmax(high - low)
        left = places[members, axis] < low[axis] + (high[axis] - low[axis] + 1) // 2
        tree[row, 3] = len(members)
        branches += [(members[~left], row, 1), (members[left], row, 0)]
        row -= 1
    return tree


def _coordinates(parted):
    """Coordinates of the start of each part; different inputs of a model are far apart."""
    rank = max(numbers.ndim for numbers in parted.numbers)
    places = np.zeros((parted.count, 1 + rank), int)
    for i, numbers in enumerate(parted.numbers):
        parts, first = np.unique(numbers, return_index=True)
        parts, first = parts[parts < parted.count], first[parts < parted.count]
        places[parts, 0] = i << 40
        if numbers.ndim:
            places[parts, 1 : 1 + numbers.ndim] = np.stack(np.unravel_index(first, numbers.shape), axis=1)
    return places


def _columns(parted):
    """The background of table features, if it is large enough to estimate their correlation."""
    (numbers, *more), (background, *_) = parted.numbers, parted.hidden
    if more or not parted.layouts[0].is_apart or background.ndim != 2 or background.dtype.kind != "f" or len(background) < 3:
        return None
    return background[:, numbers < parted.count]


def _correlated(columns):
    """A tree of features that joins the most correlated ones first, as in shap's tabular masker."""
    with np.errstate(invalid="ignore", divide="ignore"):
        distances = 1 - np.nan_to_num(np.corrcoef(columns, rowvar=False))  # constants have no correlation
    np.fill_diagonal(distances, 0)
    return complete(squareform(distances.clip(min=0), checks=False))
