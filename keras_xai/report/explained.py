"""Names of what is explained, for pictures."""

from collections.abc import Mapping, Sequence

import numpy as np

from keras_xai.results.explanation import Explanation
from keras_xai.targets import ScoreTarget


def explained(explanation: Explanation, sample: int, class_names: Sequence[str] | None = None) -> list[str]:
    """The explained class of a sample, or what else is explained; a line for each output that has one.

    Args:
        explanation: The explanation.
        sample: Index of the sample.
        class_names: Names of the classes; two for a single sigmoid, of classes 0 and 1.

    Raises:
        ValueError: If a class has no name.
    """
    target = explanation.target
    named = target if isinstance(target, Mapping) else {"": target}
    return [
        f"{output} {each.label(sample, class_names)}".strip()
        if isinstance(each, ScoreTarget)
        else _class(explanation, output, int(each[sample]), sample, class_names)
        for output, each in named.items()
        if isinstance(each, ScoreTarget) or np.ndim(each) == 1
    ]


def _class(explanation, output, index, sample, class_names):
    probability, prediction = (
        (each.get(output) if isinstance(each, Mapping) else each) for each in (explanation.probability, explanation.prediction)
    )
    names = None if output or class_names is None else class_names
    if probability is not None:
        name = f"{output} class {index}".strip() if names is None or len(names) != 2 else names[index]
        value = float(probability[sample])
        return f"{name} (p = {value:.3g})"
    if prediction is not None:
        # What ends in no sigmoid may be the logit of two classes, and then it speaks for the second.
        name = output or "prediction" if names is None or len(names) > 2 else names[-1]
        return f"{name} = {float(prediction[sample]):.3g}"
    if names is None:
        return f"{output} class {index}".strip()
    if index >= len(names):
        raise ValueError(
            f"Expected `class_names` to name class {index}. Received: {len(names)} names, class_names={class_names!r}"
        )
    return str(names[index])
