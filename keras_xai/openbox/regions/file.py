"""The file of a `RegionClassifier`: an `.npz` archive without pickled objects, written atomically.

Its entries:

- `header`: JSON text. `format` and `version`; `dtype` of the box; `fingerprint`, a CRC-32 of the model's weights; `shapes`
  of the inputs; `object_labels`, whether the labels were Python strings.
- `names`: `(regions, 16)` bytes, the names of regions.
- `patterns`: Concatenated packed patterns, as bytes; `lengths`: `(regions,)`, the length of each.
- `classes`: `(classes,)` labels; `features`: `(d,)` feature names, or none.
- `probe`: `(k, C)`, scores of the linear pieces of the first k regions at one point. A checksum of weights does not distinguish a ReLU from
  a leaky one; these scores do.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_xai.data import archive
from keras_xai.openbox.engine import Engine
from keras_xai.openbox.regions.store import Regions

FORMAT = "keras_xai regions"
VERSION = 1
_WRITER = "RegionClassifier.save"
_ARRAYS = ("names", "patterns", "lengths", "classes", "features", "probe")
_HEADER = {"dtype": str, "fingerprint": int, "shapes": list, "object_labels": bool}
_PROBED = 8
# Two devices differ by much less in float32, two functions by much more.
_TOLERANCE = 1e-3


def save(path: Any, regions: Regions, classes: np.ndarray, features: Sequence[str]) -> None:
    """Writes regions, labels and feature names.

    Raises:
        ValueError: If the labels are neither numbers nor strings.
    """
    labels = classes
    if classes.dtype == object:
        if not all(isinstance(label, str) for label in classes):
            raise ValueError(f"Expected labels to be numbers or strings. Received: {classes.tolist()}")
        labels = classes.astype(str)
    names, patterns = regions.packed()
    header = {
        "dtype": regions.box.dtype,
        "fingerprint": regions.fingerprint,
        "shapes": regions.shapes,
        "object_labels": classes.dtype == object,
    }
    arrays = {
        "names": np.frombuffer(b"".join(names), "uint8").reshape(-1, 16),
        "patterns": np.frombuffer(b"".join(patterns), "uint8"),
        "lengths": np.array([len(pattern) for pattern in patterns], "int64"),
        "classes": labels,
        "features": np.array(features, dtype=str),
        "probe": _probe(regions),
    }
    archive.write(path, {"format": FORMAT, "version": VERSION, **header}, arrays)


def load(path: Any, box: Engine, *, num_classes: int, cache_bytes: int) -> tuple[Regions, np.ndarray, np.ndarray]:
    """Reads the regions, labels and feature names that `save` wrote.

    Raises:
        ValueError: As in `read`, or if the regions are not those of the box.
    """
    header, arrays = read(path, _ARRAYS)
    names, lengths, classes = arrays["names"], arrays["lengths"], arrays["classes"]
    _check_entries(path, header, arrays)
    ends = np.cumsum(lengths)
    if header["fingerprint"] != box.programs.fingerprint():
        raise _refusal(path, "regions of another model, or of this model with other weights")
    specs = [spec.shape[1:] for spec in box.network.graph.input_specs]
    if len(classes) != num_classes or not _fit(header["shapes"], specs):
        raise _refusal(
            path, f"regions of another model, with {len(classes)} classes and inputs of the shapes {header['shapes']}"
        )
    features = arrays["features"]
    if len(features) and [list(features.shape)] != header["shapes"]:
        raise _refusal(
            path,
            f"names of {len(features)} features and inputs of the shapes {header['shapes']}, which do not belong together",
        )
    regions = Regions(box, [tuple(shape) for shape in header["shapes"]], cache_bytes=cache_bytes)
    bytes_of_all = arrays["patterns"].tobytes()
    patterns = [bytes_of_all[end - length : end] for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)]
    regions.add_packed([name.tobytes() for name in names], patterns)
    _check_probe(path, regions, arrays["probe"])
    try:
        regions.check_names()
    except ValueError as error:
        raise _refusal(path, f"names and patterns that do not belong together ({error})") from error
    if header["object_labels"]:
        classes = classes.astype(object)
    return regions, classes, features.astype(object)


def _check_entries(path, header, arrays):
    """Compares the parts of a file with each other, before any of them is used."""
    names, patterns, lengths, classes, features, probe = (arrays[name] for name in _ARRAYS)
    count, size = len(np.atleast_1d(lengths)), patterns.size
    contradictions = {
        "lengths": lengths.dtype != "int64" or lengths.ndim != 1 or not count or (lengths < 1).any() or (lengths > size).any(),
        "names": names.dtype != "uint8" or names.shape != (count, 16) or len(np.unique(names, axis=0)) < count,
        "classes": classes.ndim != 1 or classes.dtype.kind not in "biufUS" or not np.array_equal(np.unique(classes), classes),
        "features": features.ndim != 1 or features.dtype.kind != "U" or len(set(features.tolist())) < len(features),
        "probe": probe.dtype.kind != "f"
        or probe.ndim != 2
        or len(probe) != min(_PROBED, count)
        or not np.isfinite(probe).all(),
        "dtype": header["dtype"] not in ("float32", "float64"),
        "object_labels": header["object_labels"] and classes.dtype.kind != "U",
    }
    wrong = [name for name, contradicts in contradictions.items() if contradicts]
    # Not only by the sum, which could overflow.
    if not wrong and (patterns.dtype != "uint8" or patterns.ndim != 1 or int(lengths.sum(dtype="float64")) != size):
        wrong = ["patterns", "lengths"]
    if wrong:
        raise _refusal(path, f"an archive whose entries do not belong together, or are not what `save` writes: {wrong}")


def _fit(shapes, specs):
    return len(shapes) == len(specs) and all(
        isinstance(shape, list)
        and len(shape) == len(spec)
        and all(isinstance(size, int) and size > 0 for size in shape)
        and all(want in (None, got) for want, got in zip(spec, shape, strict=True))
        for shape, spec in zip(shapes, specs, strict=True)
    )


def _probe(regions):
    """The scores of some pieces at one point without symmetry, which could hide a difference."""
    point = np.cos(np.arange(regions.space.num_dims))
    numbers = list(range(min(_PROBED, len(regions))))
    scores = {place: coefficients @ point + intercepts for place, coefficients, intercepts in regions.pieces(numbers)}
    return np.array([scores[place] for place in numbers])


def _check_probe(path, regions, expected):
    try:
        found = _probe(regions)
    except ValueError as error:
        raise _refusal(path, f"regions of another model, or corrupted patterns ({error})") from error
    limit = _TOLERANCE * max(1, float(np.abs(expected).max(initial=0)))
    if found.shape != expected.shape or not np.abs(found - expected).max() <= limit:
        raise _refusal(path, "regions of another model with the same weights")


def read(path: Any, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays called `names`.

    Raises:
        ValueError: If the file was not written by `save`, is incomplete or corrupted, or of a later version.
    """
    header, arrays = archive.read(path, FORMAT, VERSION, _WRITER, names)
    wrong = [name for name, kind in _HEADER.items() if not isinstance(header.get(name), kind)]
    if wrong:
        raise _refusal(path, f"an archive whose header lacks {wrong}")
    return header, arrays


def _refusal(path, received):
    return archive.refusal(path, _WRITER, received)
