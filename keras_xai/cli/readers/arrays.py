"""Arrays: `.npz` and `.npy` files."""

import pathlib
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_xai.cli.errors import Failure
from keras_xai.cli.readers.data import Data
from keras_xai.cli.readers.pixels import for_model, model_size

if TYPE_CHECKING:
    from keras_xai.cli.readers.takes import Takes

SUFFIXES = (".npz", ".npy")
# Samples and labels, the first that a file has.
_KEYS = (("x", "y"), ("x_test", "y_test"), ("images", "labels"), ("x_val", "y_val"), ("x_train", "y_train"))


def read_arrays(
    paths: Sequence[pathlib.Path], takes: "Takes", *, labels: str | None = None, preprocessing: str | None = None
) -> Data:
    """Reads arrays as what a model takes. Bytes, for a model of images, are taken for pixels from 0 to 255 and preprocessed.

    Args:
        paths: The files; `.npz` with the arrays `x` and, if there are labels, `y`, or `x_test` and `y_test`, or an array for each input.
        takes: What the model takes.
        labels: The name of the array of labels in an `.npz` file.
        preprocessing: Name of a preprocessing of images from 0 to 255.

    Raises:
        Failure: If a file is none of NumPy, has no such arrays, or they do not fit the model.
    """
    read = [_read(path, takes, labels) for path in paths]
    names = list(dict.fromkeys(key for _, key, _ in read))
    x = _joined([each for each, _, _ in read], paths)
    y = None if any(each is None for *_, each in read) else np.concatenate([each for *_, each in read])
    notes = [f"Samples are {', '.join(names)}."] if names != [""] else []
    if isinstance(x, dict):
        return Data(x=x, num_samples=len(next(iter(x.values()))), y=y, notes=tuple(notes))
    if x.ndim == 0 or not len(x):
        raise Failure(f"'{paths[0]}' has no samples: an array of shape {x.shape}. The model takes {takes.description}.")
    if (takes.is_images or takes.is_gray) and (x.dtype == np.uint8 or preprocessing is not None):
        pixels = _pixels(x, takes, paths[0])
        found = for_model(pixels, takes, preprocessing)
        notes += found.notes
        return Data(
            x=found.x, num_samples=len(x), y=y, images=found.images, preprocessing=found.preprocessing, notes=tuple(notes)
        )
    x, note = _shaped(x, takes)
    return Data(x=x, num_samples=len(x), y=y, notes=(*notes, *note, "Values were taken as they are."))


def load(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name; that of an `.npy` file has the name "".

    Raises:
        Failure: If it is none of NumPy, or contains Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except TypeError:  # an array, which is no context manager
        pass
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise Failure(_unread(path, error)) from error
    found = np.load(path, allow_pickle=False)
    return {"": found}


def _unread(path, error):
    if "allow_pickle" in str(error) and "Object arrays" in str(error):
        return f"'{path}' contains Python objects, which are not read. Save arrays of numbers: numpy.savez({path.name!r}, x=x, y=y)"
    return f"'{path}' cannot be read: it is damaged, or no file of NumPy."


def _read(path, takes, labels) -> tuple[Any, str, np.ndarray | None]:
    """Samples, their name and labels of one file."""
    arrays = load(path)
    if set(arrays) == {""}:
        if labels is not None:
            raise Failure(
                f"'{path}' has samples alone and no array '{labels}' for --labels. Give a text file with a label in each line, or an .npz "
                "file."
            )
        return arrays[""], "", None
    if labels is not None and labels not in arrays:
        raise Failure(f"'{path}' has no array '{labels}' for --labels. Its arrays: {', '.join(arrays)}.")
    y = None if labels is None else arrays.pop(labels)
    if takes.by_name and set(takes.names) <= set(arrays):
        y = arrays.get("y") if y is None and "y" not in takes.names else y
        return {name: arrays[name] for name in takes.names}, ", ".join(takes.names), _flat(path, y)
    if takes.by_name:
        missing = [name for name in takes.names if name not in arrays]
        raise Failure(
            f"'{path}' does not have the arrays that the model takes, {', '.join(takes.names)}. Missing: {', '.join(missing)}. "
            f"Received: {', '.join(arrays)}."
        )
    for samples, own in _KEYS:
        if samples in arrays:
            return arrays[samples], samples, _flat(path, arrays.get(own) if y is None else y)
    if len(arrays) == 1:
        ((name, x),) = arrays.items()
        return x, name, _flat(path, y)
    raise Failure(
        f"'{path}' has several arrays: {', '.join(arrays)}. Name the samples x and the labels y: "
        f"numpy.savez({path.name!r}, x=samples, y=labels)"
    )


def _flat(path, y):
    if y is None:
        return None
    if y.ndim == 0:
        raise Failure(f"'{path}': expected one label for each sample. Received: the single value {y}.")
    if y.size != len(y):
        # One-hot labels.
        if y.ndim == 2 and (y.sum(axis=1) == 1).all() and np.isin(y, (0, 1)).all():
            return y.argmax(axis=1)
        raise Failure(f"'{path}': expected one label for each sample. Received: labels of shape {y.shape}.")
    return y.reshape(-1)


def _joined(parts, paths):
    if isinstance(parts[0], dict):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise Failure(f"Expected samples of one shape in all files. Received: {', '.join(map(str, sorted(shapes)))}.")
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _pixels(x, takes, path):
    """Red, green and blue, in the model's size."""
    from PIL import Image

    if x.ndim == 3:
        x = np.repeat(x[..., np.newaxis], 3, axis=-1)
    elif x.ndim == 4 and x.shape[-1] == 1:
        x = np.repeat(x, 3, axis=-1)
    elif x.ndim == 4 and x.shape[-1] == 4:
        x = x[..., :3]
    if x.ndim != 4 or x.shape[-1] != 3 or x.min() < 0 or x.max() > 255:
        raise Failure(
            f"'{path}': expected images from 0 to 255, (n, height, width) or (n, height, width, 1, 3 or 4). Received: an array of shape "
            f"{x.shape} with values from {x.min():g} to {x.max():g}. Without --preprocessing, values of floats are taken as they are."
        )
    if x.dtype.kind == "f" and x.max() <= 1:
        raise Failure(
            f"'{path}': --preprocessing is for pixels from 0 to 255. Received: numbers from {x.min():g} to {x.max():g}. Leave out "
            "--preprocessing if the model takes them as they are, or multiply them by 255."
        )
    (height, width), _ = model_size(takes, [x.shape[1:3]])
    if x.shape[1:3] == (height, width):
        return x
    resized = [Image.fromarray(each.astype("uint8")).resize((width, height), Image.Resampling.BILINEAR) for each in x]
    return np.stack([np.asarray(each) for each in resized])


def _shaped(x, takes):
    """Samples with the axis of one channel that the model has."""
    spec = takes.specs[0]
    if x.ndim == len(spec.shape) - 1 and takes.layouts[0].channel is not None and spec.shape[takes.layouts[0].channel] == 1:
        return takes.layouts[0].restored(x[..., np.newaxis]), ["An axis of one channel was added."]
    return x, []
