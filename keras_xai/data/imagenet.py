"""The names of the 1,000 classes of ImageNet, in the order of Keras' pretrained networks."""

import functools
import importlib.resources
from collections.abc import Sequence
from typing import Literal

from keras_xai.data.checks import check_names

ClassNames = Sequence[str] | Literal["imagenet"]


@functools.cache
def imagenet_names() -> tuple[str, ...]:
    """The names of the classes, such as "great white shark". Two pairs of classes have the same name, "crane" and "maillot"."""
    text = importlib.resources.files("keras_xai.data").joinpath("imagenet_names.txt").read_text("utf-8")
    return tuple(line.replace("_", " ") for line in text.splitlines())


def check_class_names(class_names: ClassNames | None, count: int | None = None, of: str = "") -> list[str] | None:
    """Checks names of classes, as `check_names` does.

    Args:
        class_names: The names; `"imagenet"` for those of ImageNet; or `None`.
        count: Number of names, `None` for any.
        of: What they name, for the error.

    Raises:
        ValueError: If they are not names, or not as many.
    """
    if class_names is None:
        return None
    if not isinstance(class_names, str):
        return check_names("class_names", class_names, count, of)
    if class_names != "imagenet":
        raise ValueError(f"Expected `class_names` to be a list of names, or 'imagenet'. Received: class_names={class_names!r}")
    names = list(imagenet_names())
    if count not in (None, len(names)):
        raise ValueError(
            f"Expected `class_names` to be a list of {count} names{of and f', one for each {of}'}. Received: "
            f"class_names='imagenet', which has {len(names):,}."
        )
    return names
