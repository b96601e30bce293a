"""Decision features of tables, series and hidden layers, for the page of `openbox`."""

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    from keras_xai.openbox import LinearPieces
    from keras_xai.report import Page

_MOST_FEATURES, _MOST_PAIRS, _MOST_REGIONS, _MOST_ROWS = 25, 7, 40, 10


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
    pairs = np.array([pair(local, i, names) for i in range(len(local))])
    kept = np.argsort(-np.abs(weights).mean(axis=0), kind="stable")[:_MOST_FEATURES]
    order = kept if len(kept) < weights.shape[1] else np.arange(weights.shape[1])
    weights, features = weights[:, order], [features[i] for i in order]
    # One line for each piece and pair of classes, those with the most samples.
    keys = [f"{region} {pair}" for region, pair in zip(local.region_id, pairs, strict=True)]
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    largest = np.argsort(-counts, kind="stable")[:_MOST_REGIONS]
    common = list(dict.fromkeys(pairs[first[largest]]))[:_MOST_PAIRS]
    drawn = np.array([i for i in largest if pairs[first[i]] in common])
    page.heading("Decision features of the linear pieces")
    page.figure(
        parallel_coordinates(
            weights[first[drawn]],
            counts[drawn],
            feature_names=features,
            labels=pairs[first[drawn]],
            label="change of the score difference for a change of the feature by 1",
        ),
        "A line is a linear piece, the wider the more samples are on it. Its height is the weight by which it prefers the first "
        "class of its color to the second."
        + (
            f" Of the features, the {len(order)} with the largest weights are shown." if len(order) < local_size(local) else ""
        ),
    )
    strongest = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, :3]
    page.table(
        [
            (i + 1, pairs[i], ", ".join(f"{features[j]} {weights[i, j]:+.3g}" for j in strongest[i]))
            for i in range(min(_MOST_ROWS, len(local)))
        ],
        header=("sample", "prefers", "largest weights"),
        caption="The first samples. A positive weight: more of the feature raises the score difference.",
    )


def local_size(local: "LinearPieces") -> int:
    """The number of features of a sample."""
    return sum(int(np.prod(each.shape[1:])) for each in keras.tree.flatten(local.x))


def pair(local: "LinearPieces", i: int, names: list[str] | None) -> str:
    """The predicted class of a sample, and the runner-up."""
    if local.scores.shape[1] == 1:
        first, second = (1, 0) if local.scores[i, 0] > 0 else (0, 1)
    else:
        scores = local.scores[i, local.outputs[i]]
        first, second = local.outputs[i, np.argsort(-scores, kind="stable")[:2]]
    return f"{_name(first, names)} over {_name(second, names)}"


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
