"""Names of what is explained, for pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_xai.data.checks import short
from keras_xai.results.explanation import Explanation
from keras_xai.targets import ScoreTarget


def explained(
    explanation: Explanation,
    sample: int,
    class_names: Sequence[str] | None = None,
    labels: Sequence[Any] | None = None,
    *,
    numbers: bool = True,
) -> list[str]:
    """The explained class of a sample, or what else is explained, with its probability; a line for each output that has one.

    Further lines have the predicted class, if that is another one, and the true one, if it is known.

    Args:
        explanation: The explanation.
        sample: Index of the sample.
        class_names: Names of the classes; two for a single sigmoid, of classes 0 and 1.
        labels: The true class of each sample, or its name.
        numbers: Whether to give probabilities and predictions.

    Raises:
        ValueError: If a class has no name.
    """
    targets = _named_targets(explanation)
    lines = [
        f"{output} {each.label(sample, class_names)}".strip()
        if isinstance(each, ScoreTarget)
        else _class(explanation, output, int(each[sample]), sample, class_names, numbers)
        for output, each in targets.items()
    ]
    for output, each in targets.items():
        predicted = _of(explanation.predicted_class, output)
        if numbers and predicted is not None and int(predicted[sample]) != int(each[sample]):
            lines.append(_prediction(explanation, output, sample, class_names))
    return [*lines, *_true(labels, sample, class_names)]


def explained_by_all(
    explanations: Sequence[Explanation],
    sample: int,
    class_names: Sequence[str] | None = None,
    labels: Sequence[Any] | None = None,
) -> list[str]:
    """What several explanations of a sample have in common: the lines of `explained` if they explain the same.

    Of different classes it is the predicted and the true class. Probabilities of different models are left out.

    Args:
        explanations: The explanations.
        sample: Index of the sample.
        class_names: As in `explained`.
        labels: As in `explained`.
    """
    # Those made by hand may know no probability.
    knowing = [each for each in explanations if each.probability is not None or each.prediction is not None] or explanations
    if all(_goals(each, sample) == _goals(explanations[0], sample) for each in explanations):
        found = [explained(each, sample, class_names, labels) for each in knowing]
        agree = all(lines == found[0] for lines in found)
        return found[0] if agree else explained(knowing[0], sample, class_names, labels, numbers=False)
    predictions = {_prediction(each, "", sample, class_names) for each in knowing}
    common = [line for line in predictions if line and len(predictions) == 1]
    return [*common, *_true(labels, sample, class_names)]


def _goals(explanation, sample):
    """The explained class, or the label of another target, of each output."""
    return {
        output: each.label(sample) if isinstance(each, ScoreTarget) else int(each[sample])
        for output, each in _named_targets(explanation).items()
    }


def _named_targets(explanation):
    """The targets by output that can be named: classes of the samples, and those of the package; not functions of the user."""
    target = explanation.target
    named = target if isinstance(target, Mapping) else {"": target}
    return {output: each for output, each in named.items() if isinstance(each, ScoreTarget) or np.ndim(each) == 1}


def _true(labels, sample, class_names):
    """The line of the true class, if it is known."""
    if labels is None:
        return []
    label = np.asarray(labels)[sample]
    return [f"true: {label if isinstance(label, str) else class_name(int(label), '', class_names)}"]


def _prediction(explanation, output, sample, class_names):
    """The line of the predicted class of an output, empty if none is known."""
    predicted = _of(explanation.predicted_class, output)
    if predicted is None:
        return ""
    name = class_name(int(predicted[sample]), output, None if output else class_names, binary=True)
    return f"predicted: {name} (p = {float(_of(explanation.predicted_probability, output)[sample]):.3g})"


def _class(explanation, output, index, sample, class_names, numbers):
    probability, prediction = (_of(each, output) for each in (explanation.probability, explanation.prediction))
    names = None if output or class_names is None else class_names
    if probability is not None:
        name = class_name(index, output, names, binary=True)
        return f"{name} (p = {float(probability[sample]):.3g})" if numbers else name
    if prediction is not None:
        # What ends in no sigmoid may be the logit of two classes, and then it speaks for the second.
        name = output or "prediction" if names is None or len(names) > 2 else names[-1]
        return f"{name} = {float(prediction[sample]):.3g}" if numbers else name
    return class_name(index, output, names)


def class_name(index: int, output: str, names: Sequence[str] | None, *, binary: bool = False) -> str:
    """The name of a class.

    Args:
        index: The class.
        output: The name of its output; `""` for the only one.
        names: Names of the classes.
        binary: Whether a single name is that of class 1 of two.

    Raises:
        ValueError: If the class has no name.
    """
    if names is None:
        return f"{output} class {index}".strip()
    if binary and len(names) == 1:  # which is that of class 1
        return names[0] if index else f"not {names[0]}"
    if index >= len(names):
        raise ValueError(
            f"Expected `class_names` to name class {index}. Received: {len(names)} names, class_names={short(names)}"
        )
    return str(names[index])


def _of(values, output):
    """What is known of an output, `None` if nothing is."""
    return values.get(output) if isinstance(values, Mapping) else values
