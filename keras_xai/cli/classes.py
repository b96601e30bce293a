"""Classes: their names, labels as indices, and the class to explain."""

import json
import pathlib
from typing import Any

import click
import numpy as np

from keras_xai.cli.errors import Failure
from keras_xai.cli.readers.texts import lines_of

_HINT = "'--classes'"
_MOST = 10


def class_names(given: str | None, model: Any) -> list[str] | None:
    """The names of the classes of a model.

    Args:
        given: `"imagenet"`, a file with a name in each line or a JSON list, or names separated by commas; `None` for no names.
        model: The model.

    Raises:
        click.BadParameter: If it is none of these, or there are not as many names as classes.
    """
    if given is None:
        return None
    names = _names(given)
    count = num_classes(model)
    if count is not None and len(names) != count:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise click.BadParameter(
            f"The model has {count} classes. Received: {len(names)} names, {shown}. Give one for each class, in the order of its outputs.",
            param_hint=_HINT,
        )
    return names


def num_classes(model: Any) -> int | None:
    """The number of classes of a model, 2 for one with a single output; `None` if it does not have one score for each class."""
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 2 or not isinstance(shape[1], int):
        return None
    return max(shape[1], 2)


def _names(given):
    path = pathlib.Path(given)
    if given == "imagenet":
        from keras_xai.data.imagenet import imagenet_names

        return list(imagenet_names())
    if path.is_file():
        return _of_json(path) if path.suffix.lower() == ".json" else lines_of(path)
    if "," in given:
        return [name.strip() for name in given.split(",")]
    raise click.BadParameter(
        f"Expected 'imagenet', a file with a name in each line, or names separated by commas. Received: '{given}'.",
        param_hint=_HINT,
    )


def _of_json(path):
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"'{path}' is no JSON: {error}", param_hint=_HINT) from error
    if isinstance(found, dict) and set(found) == {str(i) for i in range(len(found))}:
        found = [found[str(i)] for i in range(len(found))]
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise click.BadParameter(f"'{path}': expected a list of names.", param_hint=_HINT)
    return found


def written(y: np.ndarray, names: list[str] | None) -> np.ndarray:
    """Labels that are written in a file: names of classes if all of them are, such as the digits 1 to 9, otherwise numbers if they are.

    Args:
        y: `(n,)`, strings, or numbers of an array, which stay as they are.
        names: The names of the classes, if they are known.
    """
    if y.dtype.kind in "OUS" and names is not None and {str(label) for label in y} <= set(names):
        return y
    return numbers(y)


def numbers(y: Any) -> Any:
    """Strings `(n,)` as integers, floats or, of "True" and "False", 0 and 1, if all are; others stay as they are."""
    if y is None or y.dtype.kind not in "OUS":
        return y
    found = [str(label) for label in y]
    if set(found) <= {"True", "False"}:
        return np.array([label == "True" for label in found], "int64")
    try:
        values = np.array([float(label) for label in found])
    except ValueError:
        return y
    whole = np.isfinite(values).all() and (values == np.rint(values)).all()
    return values.astype("int64") if whole else values


def predicts_number(model: Any) -> bool:
    """Whether a model has one output that is neither a probability nor, for all that is known, the score of a class."""
    from keras_xai.network.scores import Scores

    shape = getattr(model, "output_shape", None)
    return isinstance(shape, tuple) and shape[1:] == (1,) and Scores(model).links[0] is None


def label_indices(y: np.ndarray | None, names: list[str] | None, model: Any) -> np.ndarray | None:
    """Labels as indices of classes.

    Args:
        y: `(n,)`, indices or names; or `None`.
        names: The names of the classes, if they are known.
        model: The model.

    Raises:
        Failure: If a label is no class.
    """
    count = num_classes(model)
    if y is None or count is None:
        return numbers(y)
    y = written(y, names)
    if y.dtype.kind in "OUS":
        return _by_name(y, names)
    whole = y.astype("int64")
    if (whole != y).any() or whole.min() < 0 or whole.max() >= count:
        wrong = y[(whole != y) | (whole < 0) | (whole >= count)][0]
        raise Failure(f"Expected labels from 0 to {count - 1}, the indices of the model's classes. Received: {wrong}.")
    return whole


def _by_name(y, names):
    given = [str(label) for label in y]
    if names is None:
        found = sorted(set(given))
        raise Failure(
            f"The labels are names: {', '.join(found[:_MOST])}{', ...' if len(found) > _MOST else ''}. Give --classes with all names in "
            "the order of the model's outputs."
        )
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise Failure(f"The labels {', '.join(unknown[:_MOST])} are not among the classes: {', '.join(names[:_MOST])}.")
    twice = [name for name in dict.fromkeys(given) if names.count(name) > 1]
    if twice:
        raise Failure(
            f"The labels {', '.join(twice[:_MOST])} are each the name of several classes. Give the indices of the classes, from 0."
        )
    return np.array([names.index(label) for label in given])


def target_index(given: str | None, names: list[str] | None, model: Any) -> int | None:
    """The class to explain.

    Args:
        given: Its name or index, `None` for the predicted class of each sample.
        names: The names of the classes, if they are known.
        model: The model.

    Raises:
        click.BadParameter: If there is no such class.
    """
    if given is None:
        return None
    if names is not None and names.count(given) > 1:
        several = ", ".join(str(i) for i, name in enumerate(names) if name == given)
        raise click.BadParameter(
            f"'{given}' is the name of several classes. Give an index: {several}.", param_hint="'--target'"
        )
    if names is not None and given in names:
        return names.index(given)
    count = num_classes(model)
    if given.isascii() and given.isdigit() and (count is None or int(given) < count):
        return int(given)
    known = f"an index from 0 to {count - 1}" if count is not None else "an index"
    close = [name for name in names or () if given.lower() in name.lower()][:_MOST]
    raise click.BadParameter(
        f"Expected {known}{' or the name of a class' if names else ''}. Received: '{given}'."
        + (f" Similar names: {', '.join(close)}." if close else ""),
        param_hint="'--target'",
    )
