"""Image files."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.cli.errors import Failure
from keras_xai.cli.readers.data import Data
from keras_xai.cli.readers.pixels import for_model, model_size

if TYPE_CHECKING:
    from PIL import Image

    from keras_xai.cli.readers.takes import Takes

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_SIXTEEN_BITS = 257  # 65535 / 255


def read_images(paths: Sequence[pathlib.Path], takes: "Takes", preprocessing: str | None) -> Data:
    """Reads image files as what a model takes: upright, in its colors and size, preprocessed.

    Args:
        paths: The files.
        takes: What the model takes.
        preprocessing: Name of the preprocessing; `None` to find it from the model.

    Raises:
        Failure: If the model takes no images, a file is none, or the preprocessing is not known.
    """
    if not (takes.is_images or takes.is_gray):
        raise Failure(f"'{paths[0]}' is an image. The model takes {takes.description}.")
    images, notes = [], []
    for path in paths:
        image, changes = _opened(path)
        images.append(image)
        if changes:
            notes.append(f"{path.name}: {', '.join(changes)}.")
    size, note = model_size(takes, [(image.height, image.width) for image in images])
    pixels = []
    for path, image in zip(paths, images, strict=True):
        fitted, changed = _fitted(image, size)
        if changed:
            notes.append(f"{path.name}: {changed}.")
        pixels.append(np.asarray(fitted))
    found = for_model(np.stack(pixels), takes, preprocessing)
    notes += [note] if note else []
    return Data(
        x=found.x,
        num_samples=len(paths),
        names=[path.name for path in paths],
        images=found.images,
        preprocessing=found.preprocessing,
        notes=(*notes, *found.notes),
    )


def _opened(path) -> tuple["Image.Image", list[str]]:
    """An image in red, green and blue, and what was changed."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    changes = []
    try:
        with Image.open(path) as file:
            frames = getattr(file, "n_frames", 1)
            if frames > 1:
                changes.append(f"the first of {frames} frames")
            upright = ImageOps.exif_transpose(file)
            if file.getexif().get(0x0112, 1) != 1:
                changes.append("turned upright as its EXIF data say")
            return _in_colors(path, upright, changes), changes
    except UnidentifiedImageError as error:
        raise Failure(f"'{path}' is no image, or of a format that Pillow does not read.") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise Failure(f"The image '{path}' cannot be read: {error}") from error


def _in_colors(path, image, changes):
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        return _of_depth(path, image, changes)
    if image.has_transparency_data:
        changes.append("its transparent parts laid on white")
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _of_depth(path, image, changes):
    """Gray images of 16 or 32 bits, which Pillow would clip at 255."""
    from PIL import Image

    values = np.asarray(image).astype("float64")
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" and low >= 0 and high <= 1:
        scale, what = 255.0, "values from 0 to 1"
    elif low >= 0 and high <= 255 and not image.mode.startswith("I;16"):
        scale, what = 1.0, "values from 0 to 255"
    elif low >= 0 and high <= 65535:
        scale, what = 1 / _SIXTEEN_BITS, "16 bits"
    else:
        raise Failure(
            f"'{path}' has values from {low:g} to {high:g}. Expected an image of 8 or 16 bits, or of values from 0 to 1. "
            "Rescale it, or give the samples as an .npz file in the form that the model takes."
        )
    changes.append(f"{what}, rescaled to 8 bits")
    return Image.fromarray(np.rint(values * scale).astype("uint8")).convert("RGB")


def _fitted(image, size) -> tuple["Image.Image", str]:
    """An image in a size: the middle part of the same proportions, resized; and what was done."""
    from PIL import Image

    height, width = size
    if image.size == (width, height):
        return image, ""
    # As much as possible of the image in the model's proportions, so that nothing is distorted.
    scale = min(image.width / width, image.height / height)
    middle_width, middle_height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (image.width - middle_width) // 2, (image.height - middle_height) // 2
    box = (left, top, left + middle_width, top + middle_height)
    cropped = (middle_width, middle_height) != image.size
    done = f"cropped to its middle {middle_width} x {middle_height} and " if cropped else ""
    done = f"{image.width} x {image.height} pixels, {done}resized to {width} x {height}"
    return image.crop(box).resize((width, height), Image.Resampling.BILINEAR), done
