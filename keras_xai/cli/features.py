"""Decision features of tables, series and hidden layers, for the page of `openbox`."""

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    from keras_xai.openbox import LinearPieces
    from keras_xai.report import Page

_MOST_FEATURES, _MOST_CLASSES, _MOST_PIECES, _MOST_ROWS = 25, 7, 40, 10
_LONGEST_NAME = 14  # in a legend


def add_features(page: "Page", local: "LinearPieces", x: Any, names: list[str] | None) -> None:
    """Adds the weights of the pieces, by feature.

    Args:
        page: The page.
        local: The pieces.
        x: The samples as they were read, whose columns name the features.
        names: The names of the classes.
    """
    from keras_xai.report import parallel_coordinates

    weights, features = _weights(local, x)
    preferred = np.array([_short(_ranked(local, i)[0], names) for i in range(len(local))])
    kept = np.argsort(-np.abs(weights).mean(axis=0), kind="stable")[:_MOST_FEATURES]
    order = kept if len(kept) < weights.shape[1] else np.arange(weights.shape[1])
    # One line for each piece and pair of classes, those with the most samples.
    keys = [f"{region} {_ranked(local, i)}" for i, region in enumerate(local.region_id)]
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    largest = np.argsort(-counts, kind="stable")
    common = list(dict.fromkeys(preferred[first[largest]]))[:_MOST_CLASSES]
    drawn = [i for i in largest if preferred[first[i]] in common][:_MOST_PIECES]
    page.heading("Decision features of the linear pieces")
    page.figure(
        parallel_coordinates(
            weights[first[drawn]][:, order],
            counts[drawn].tolist(),
            feature_names=[features[i] for i in order],
            labels=preferred[first[drawn]].tolist(),
            label="weight against the runner-up",
        ),
        "A line is a linear piece, the wider the more samples are on it; its color is the class that it prefers. Its height is the change "
        "of the score difference to the runner-up, if the feature changes by 1."
        + (
            f" The {len(order)} of {weights.shape[1]} features with the largest weights are shown."
            if len(order) < weights.shape[1]
            else ""
        ),
    )
    rows = []
    for i in largest[:_MOST_ROWS]:
        row = weights[first[i]]
        strongest = np.argsort(-np.abs(row), kind="stable")[:3]
        rows.append((pair(local, first[i], names), counts[i], ", ".join(f"{features[j]} {row[j]:+.3g}" for j in strongest)))
    page.table(
        rows,
        header=("piece prefers", "samples", "largest weights"),
        caption="The pieces with the most samples. A positive weight: more of the feature raises the score difference.",
    )


def _short(index, names):
    name = _name(index, names)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."


def pair(local: "LinearPieces", i: int, names: list[str] | None) -> str:
    """The predicted class of a sample, and the runner-up."""
    first, second = _ranked(local, i)
    return f"{_name(first, names)} over {_name(second, names)}"


def _ranked(local, i) -> tuple[int, int]:
    if local.scores.shape[1] == 1:
        return (1, 0) if local.scores[i, 0] > 0 else (0, 1)
    scores = local.scores[i, local.outputs[i]]
    first, second = local.outputs[i, np.argsort(-scores, kind="stable")[:2]]
    return int(first), int(second)


def _name(index, names):
    return f"class {index}" if names is None else names[index]


def _weights(local, x) -> tuple[np.ndarray, list[str]]:
    """Weights `(n, features)` of the predicted class against the other, and the features' names."""
    n, is_binary = len(local), local.scores.shape[1] == 1
    found = local.decision_features() if is_binary else local.decision_features(against="runner-up")
    if isinstance(found, dict):
        keys = sorted(found)
        parts = [np.reshape(found[key], (n, -1)) for key in keys]
        names = [
            key if part.shape[1] == 1 else f"{key} {i}"
            for key, part in zip(keys, parts, strict=True)
            for i in range(part.shape[1])
        ]
    else:
        parts = [np.reshape(each, (n, -1)) for each in keras.tree.flatten(found)]
        size = sum(part.shape[1] for part in parts)
        columns = [str(column) for column in getattr(x, "columns", [])]
        names = columns if len(columns) == size else [str(i) for i in range(size)]
    weights = np.concatenate(parts, axis=1)
    # The only score is that of class 1.
    return (weights * np.where(local.scores > 0, 1, -1) if is_binary else weights), names
