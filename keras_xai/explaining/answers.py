"""What a model answers: predictions, probabilities, names."""

import dataclasses
from typing import TYPE_CHECKING, Any, final

import numpy as np
from keras import ops

from keras_xai.data.batches import rows
from keras_xai.explaining import budget as clock
from keras_xai.explaining.budget import Budget
from keras_xai.explaining.subject import Subject
from keras_xai.network.batching import batch_size_for

if TYPE_CHECKING:
    import pandas as pd


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
    """The answers of a model for samples.

    Attributes:
        subject: The model and the samples.
        kind: `"classes"` for one class of several, `"binary"` for yes or no, `"labels"` for several classes at once, `"value"` for a
            number, `"score"` if the explained score is given by a function.
        outputs: `(p, classes)`, or `(p, 1)`, for the first p samples.
        are_probabilities: Whether the outputs are probabilities.
    """

    subject: Subject
    kind: str
    outputs: np.ndarray
    are_probabilities: bool

    def __len__(self) -> int:
        return len(self.outputs)

    @property
    def has_classes(self) -> bool:
        """Whether the model answers with classes."""
        return self.kind in ("classes", "binary", "labels")

    @property
    def predicted(self) -> np.ndarray:
        """The predicted class of each sample, integers `(p,)`; its number, for a model that predicts numbers."""
        if self.kind == "binary":
            return (self.outputs[:, 0] >= 0.5).astype(int)
        return self.outputs.argmax(axis=1) if self.has_classes else self.outputs[:, 0]

    def chances(self, sample: int) -> list[tuple[int, float]]:
        """The classes of a sample with their outputs, the highest first."""
        if self.kind == "binary":
            chance = float(self.outputs[sample, 0])
            pairs = [(0, 1 - chance), (1, chance)]
        else:
            pairs = list(enumerate(map(float, self.outputs[sample])))
        return sorted(pairs, key=lambda pair: -pair[1])

    @property
    def confidence(self) -> np.ndarray:
        """The probability, or the output, of the predicted class `(p,)`."""
        if self.kind == "binary":
            return np.maximum(self.outputs[:, 0], 1 - self.outputs[:, 0])
        return self.outputs.max(axis=1)

    @property
    def wrong(self) -> np.ndarray:
        """The samples whose class is not that of their label, those first that the model is most sure of."""
        labels = self.subject.labels
        if labels is None or not self.has_classes:
            return np.zeros(0, int)
        wrong = np.flatnonzero(self.predicted != labels[: len(self)])
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")]

    def explained(self, chosen: np.ndarray) -> Any:
        """The `target` for some samples: the given one, or the predicted class of each."""
        given = self.subject.target
        if given is None:
            return self.predicted[chosen] if self.has_classes else None
        if isinstance(given, dict):
            return {name: _taken(each, chosen, len(self.subject)) for name, each in given.items()}
        return _taken(given, chosen, len(self.subject))

    def name(self, index: int) -> str:
        """The name of a class."""
        names = self.subject.class_names
        return f"class {index}" if names is None else names[int(index)]

    def table(self) -> "pd.DataFrame":
        """The answers as a data frame."""
        import pandas as pd

        found: dict[str, Any] = {}
        labels = self.subject.labels
        if self.has_classes:
            found["prediction"] = [self.name(index) for index in self.predicted]
            found["probability" if self.are_probabilities else "score"] = self.confidence
            if labels is not None:
                found["label"] = [self.name(index) for index in labels[: len(self)]]
                found["correct"] = self.predicted == labels[: len(self)]
        else:
            found["prediction" if self.kind == "value" else "score"] = self.outputs[:, 0]
            if labels is not None:
                found["label"] = labels[: len(self)]
        index = pd.RangeIndex(len(self)) if self.subject.index is None else self.subject.index[: len(self)]
        is_named = any(name is not None for name in index.names)
        return pd.DataFrame(found, index=index if is_named or index.nlevels > 1 else index.rename("sample"))


def _taken(choice, chosen, count):
    """A target of some of the samples, if it has a row for each."""
    if hasattr(choice, "taken"):
        return choice.taken(chosen) if choice.num_samples is not None else choice
    if choice is None or callable(choice) or np.ndim(choice) != 1:
        return choice
    return np.asarray(choice)[chosen]


def ask(subject: Subject, budget: Budget) -> Answers:
    """Runs the model on the samples until the budget is spent, on one at least, and measures what a pass costs."""
    scores = subject.scores
    arrays = scores.typed(subject.arrays)
    goal = scores.target(subject.target, len(subject))
    by_class = list(goal.by_class.values())
    position = by_class[0] if len(by_class) == len(goal.positions) == 1 else None
    if position is None:
        evaluate = scores.evaluator(goal, batch_size_for(scores.graph, dtype=scores.dtype))

        def run(part):
            return evaluate([array[part] for array in arrays], [index[part] for index in goal.indices])[:, None]
    else:
        predict = scores.predictions()

        def run(part):
            return ops.convert_to_numpy(predict([array[part] for array in arrays])[position])

    outputs = [_measured(run, budget)]
    size = batch_size_for(scores.graph, dtype=scores.dtype)
    for part in rows(len(subject), size):
        part = slice(max(part.start, 1), part.stop)
        count = part.stop - part.start
        if count <= 0:
            continue
        if not budget.fits(count, share=0.5):
            break
        start = clock.now()
        outputs.append(run(part))
        budget.pass_seconds = min(budget.pass_seconds, (clock.now() - start) / count) or budget.pass_seconds
    found = np.concatenate(outputs)
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(bad):
        raise ValueError(
            f"Expected a model that answers with finite numbers. Received: NaN or infinity for {len(bad):,} of {len(found):,} samples, "
            f"first for sample {bad[0]}. Leave these samples out, such as texts without a word, or check the weights of the model."
        )
    link = None if position is None else scores.links[position]
    size = found.shape[-1]
    kind = (
        "score"
        if position is None
        else "classes"
        if size > 1 and link != "sigmoid"
        else "labels"
        if size > 1
        else "binary"
        if link == "sigmoid"
        else "value"
    )
    return Answers(subject, kind, found, link is not None)


def _measured(run, budget):
    """The outputs for the first sample; the budget learns what a pass costs, and what it costs to compile one."""
    one = slice(0, 1)
    times = []
    for _ in range(3):
        start = clock.now()
        found = run(one)
        times.append(clock.now() - start)
    budget.pass_seconds = min(times[1:])
    budget.setup_seconds = max(times[0] - budget.pass_seconds, 0.02)
    return found
