"""Preprocessing of images: from red, green and blue to what a model takes, and back."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Self, final

import numpy as np

from keras_xai.data.checks import check_choice, is_number

PreprocessingName = Literal["caffe", "tf", "torch", "unit", "raw"]
Triple = tuple[float, float, float]

# Rounding, resizing by a cubic spline and means that differ by half a gray level lead that far out of the range.
_TOLERANCE = 0.03
_LEAST_SPREAD = 0.05


@final
@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """An affine map of each color: `x = image[order] * scale + offset`, of an image from 0 to 255.

    Args:
        order: Order of the model's channels, `"rgb"` or `"bgr"`.
        scale: The factor of each of the model's channels, or one for all.
        offset: What is added to each of them, or one number for all.

    Raises:
        ValueError: If the order is another one, a scale is 0, or they are not finite numbers.

    Example:

    >>> import numpy as np
    >>> from keras_xai.data.preprocessing import PREPROCESSINGS
    >>> red = np.array([[[255.0, 0.0, 0.0]]])
    >>> x = PREPROCESSINGS["tf"].apply(red)
    >>> x.tolist(), PREPROCESSINGS["tf"].undo(x).tolist()
    ([[[1.0, -1.0, -1.0]]], [[[1.0, 0.0, 0.0]]])
    """

    order: Literal["rgb", "bgr"] = "rgb"
    scale: float | Triple = 1.0
    offset: float | Triple = 0.0

    def __post_init__(self):
        check_choice("order", self.order, ("rgb", "bgr"))
        for name in ("scale", "offset"):
            given = getattr(self, name)
            numbers = tuple(np.ravel(np.asarray(given, dtype=object)).tolist())
            numbers = numbers * 3 if len(numbers) == 1 else numbers
            if len(numbers) != 3 or not all(is_number(each) and np.isfinite(each) for each in numbers):
                raise ValueError(f"Expected `{name}` to be a finite number, or three. Received: {name}={given!r}")
            object.__setattr__(self, name, tuple(map(float, numbers)))
        if 0 in np.ravel(self.scale):
            raise ValueError(f"Expected a `scale` that can be undone, other than 0. Received: scale={self.scale!r}")

    def apply(self, images: Any) -> np.ndarray:
        """What the model takes.

        Args:
            images: `(..., 3)`, red, green and blue from 0 to 255.
        """
        images = np.asarray(images)
        dtype = images.dtype if images.dtype.kind == "f" else "float32"
        return (self._ordered(_colors(images)) * self.scale + self.offset).astype(dtype)

    def undo(self, x: Any) -> np.ndarray:
        """The image: red, green and blue from 0 to 1. What is out of this range is clipped.

        Args:
            x: `(..., 3)`, what the model takes.
        """
        return np.clip(self._unit(x), 0, 1)

    def fits(self, x: Any) -> bool:
        """Whether samples may have been preprocessed so: their colors are in range, and differ by more than a few levels.

        Args:
            x: `(n, ..., 3)`, what the model takes.
        """
        colors = self._unit(x)
        if not colors.size or not np.isfinite(colors).all():
            return False
        colors = colors.reshape(-1, 3)
        low, high = colors.min(axis=0), colors.max(axis=0)
        in_range = low.min() >= -_TOLERANCE and high.max() <= 1 + _TOLERANCE
        return bool(in_range and (high - low).max() >= _LEAST_SPREAD)

    def to_fields(self) -> dict[str, Any]:
        """Returns the contents as strings and numbers."""
        return {"order": self.order, "scale": list(self.scale), "offset": list(self.offset)}  # type: ignore[arg-type]

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Creates a preprocessing from what `to_fields` has returned."""
        return cls(fields["order"], tuple(fields["scale"]), tuple(fields["offset"]))

    def _unit(self, x):
        return self._ordered((_colors(x) - self.offset) / np.asarray(self.scale)) / 255

    def _ordered(self, colors):
        return colors[..., ::-1] if self.order == "bgr" else colors


def _colors(images):
    colors = np.asarray(images).astype("float64")
    if colors.ndim == 0 or colors.shape[-1] != 3:
        raise ValueError(f"Expected images with three colors, (..., 3). Received: shape {colors.shape}")
    return colors


_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

# The first three are the modes of `keras.applications.imagenet_utils.preprocess_input`.
PREPROCESSINGS: dict[PreprocessingName, Preprocessing] = {
    "caffe": Preprocessing("bgr", 1.0, (-103.939, -116.779, -123.68)),
    "tf": Preprocessing("rgb", 1 / 127.5, -1.0),
    "torch": Preprocessing("rgb", tuple(1 / 255 / _DEVIATION), tuple(-_MEAN / _DEVIATION)),
    "unit": Preprocessing("rgb", 1 / 255),
    "raw": Preprocessing("rgb"),
}


def check_preprocessing(given: Any) -> Preprocessing | None:
    """The preprocessing that an argument stands for.

    Args:
        given: A name of `PREPROCESSINGS`, a `Preprocessing`, or `None`.

    Raises:
        ValueError: If it is something else.
    """
    if given is None or isinstance(given, Preprocessing):
        return given
    found = PREPROCESSINGS.get(given) if isinstance(given, str) else None  # type: ignore[call-overload]
    if found is None:
        raise ValueError(
            f"Expected `preprocessing` to be one of {list(PREPROCESSINGS)}, a `Preprocessing`, or None. Received: "
            f"preprocessing={given!r}"
        )
    return found
