"""Pixels from 0 to 255 as what a model takes: its size, its colors, its preprocessing."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

from keras_xai.cli.errors import Failure
from keras_xai.cli.preprocessings import MEANINGS

if TYPE_CHECKING:
    from keras_xai.cli.readers.takes import Takes
    from keras_xai.data.preprocessing import Preprocessing

# Of models that take any size.
_USUAL, _LARGEST = 224, 512
_LUMINANCE = (0.299, 0.587, 0.114)  # as Pillow has it, ITU-R 601-2


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Pixels:
    """Images for a model.

    Attributes:
        x: What the model takes.
        images: `(n, height, width, 1 or 3)`, from 0 to 255.
        preprocessing: The preprocessing.
        notes: What was done, as sentences.
    """

    x: np.ndarray
    images: np.ndarray
    preprocessing: Any
    notes: tuple[str, ...]


def model_size(takes: "Takes", sizes: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], str]:
    """The height and width for images, and a note if they were chosen because the model takes any.

    Args:
        takes: What the model takes.
        sizes: Height and width of each image.
    """
    height, width = takes.layouts[0].sizes(takes.specs[0].shape)
    if height is not None and width is not None:
        return (height, width), ""
    if len(set(sizes)) == 1 and max(sizes[0]) <= _LARGEST and height is width is None:
        return sizes[0], ""
    chosen = (height or _USUAL, width or _USUAL)
    return chosen, f"The model takes images of any size; {chosen[1]} x {chosen[0]} was chosen."


def for_model(pixels: np.ndarray, takes: "Takes", preprocessing: str | None) -> Pixels:
    """Converts colors and values.

    Args:
        pixels: `(n, height, width, 3)`, red, green and blue from 0 to 255.
        takes: What the model takes.
        preprocessing: Name of the preprocessing; `None` to find it from the model.

    Raises:
        Failure: If it is not found, or does not fit the colors of the model.
    """
    layout, spec = takes.layouts[0], takes.specs[0]
    channels = 1 if layout.channel is None else spec.shape[layout.channel]
    found, note = _preprocessing(takes, preprocessing, channels)
    notes = [note]
    if channels == 1:
        gray = np.einsum("nhwc,c->nhw", pixels.astype("float64"), _LUMINANCE)[..., np.newaxis]
        if np.ptp(pixels, axis=-1).any():
            notes.append("The model takes gray images: colors were converted to gray levels.")
        images = np.rint(gray).astype("uint8")
        x = found.apply(np.repeat(images, 3, axis=-1))[..., :1]
    else:
        images = pixels
        x = found.apply(pixels)
    if channels == 4:
        # The fourth channel of an image without transparency is full, on the scale of the others.
        full = found.apply(np.full((1, 3), 255))[:, :1]
        x = np.concatenate([x, np.broadcast_to(full, (*x.shape[:-1], 1))], axis=-1)
    return Pixels(np.asarray(layout.restored(x), dtype=spec.dtype), images, found, tuple(notes))


def _constants(preprocessing) -> tuple[list[float], list[float]]:
    """The scale and the offset of each color."""
    return np.ravel(preprocessing.scale).tolist(), np.ravel(preprocessing.offset).tolist()


def _preprocessing(takes, name, channels) -> tuple["Preprocessing", str]:
    from keras_xai.network.preprocessing import preprocessing_of

    found = preprocessing_of(name, takes.model)
    if found is None and channels == 1:
        found = _of_gray(takes)
    if found is None:
        raise Failure(
            "The model does not tell which values of pixels it was trained with. Give them by --preprocessing:\n"
            + "\n".join(f"  {name:<6} {meaning}" for name, meaning in MEANINGS.items())
        )
    if channels == 1 and any(len(set(each)) > 1 for each in _constants(found)):
        raise Failure(f"The preprocessing {named(found)} is for three colors. The model takes gray images: tf, unit or raw.")
    source = "as given by --preprocessing" if name else "found from the model"
    return found, f"Preprocessing: {named(found)}, {source}."


def _of_gray(takes):
    """`raw` for a model that begins by rescaling, which is only found for images of three colors elsewhere."""
    from keras_xai.data.preprocessing import PREPROCESSINGS
    from keras_xai.graph.trace import trace
    from keras_xai.kinds.affine import Scaling, Standardization
    from keras_xai.kinds.expansion import kind_of

    first = next(iter(trace(takes.model).steps), None)
    begins = first is not None and isinstance(kind_of(first), (Scaling, Standardization))
    return PREPROCESSINGS["raw"] if begins else None


def named(preprocessing: "Preprocessing") -> str:
    """A preprocessing in words: its name, or its formula."""
    from keras_xai.data.preprocessing import PREPROCESSINGS

    constants = _constants(preprocessing)
    for name, each in PREPROCESSINGS.items():
        if each.order == preprocessing.order and np.allclose(_constants(each), constants, rtol=1e-3):
            return name
    scale, offset = (", ".join(f"{value:.4g}" for value in each) for each in constants)
    return f"{preprocessing.order} * ({scale}) + ({offset})"
