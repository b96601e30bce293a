"""`Regions`: the regions of a network by name, their patterns packed, and their linear pieces, found when they are needed."""

import contextlib
import threading
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import cachetools
import numpy as np
from keras import ops

from keras_xai.data.checks import check_count
from keras_xai.data.structure import packed
from keras_xai.openbox.engine import Engine, check_finite
from keras_xai.openbox.names import names_of
from keras_xai.openbox.space import Space

# Higher levels take up to four times as long for 4 % less on the patterns of a convolutional network.
_COMPRESSION = 1


class Regions:
    """Regions of a network, numbered in the order in which they were found.

    A region is stored as its activation pattern, packed to bits and compressed, and its 128-bit name. Coefficients are computed from
    the pattern, and recently used ones are cached.

    Pieces are computed in the box's own type, as by calling the box. So the names are the `region_id` of `LinearPieces`, the scores are
    those of the model, and the cost is half of that in float64. A float32 pattern next to a wall may be that of the neighbor. The two
    pieces agree on the wall, so their predictions differ only by rounding.

    Args:
        box: The network.
        shapes: Shape of each input, without the batch dimension.
        cache_bytes: Maximum size of the cached coefficients in bytes.
    """

    def __init__(self, box: Engine, shapes: Sequence[tuple[int, ...]], *, cache_bytes: int):
        self.box = box
        self._shapes = tuple(tuple(shape) for shape in shapes)
        self._numbers: dict[bytes, int] = {}
        self._patterns: list[bytes] = []
        self._fingerprint = box.programs.fingerprint()
        self._attach(cache_bytes)

    def _attach(self, cache_bytes):
        """The attributes that are not saved but recreated."""
        self._cache: cachetools.LRUCache = cachetools.LRUCache(cache_bytes, getsizeof=_size)
        self._lock = (
            threading.Lock()
        )  # two threads that find one region must not add it twice; the cache is not safe for threads
        self._origins = [np.zeros((1, *shape), self.box.dtype) for shape in self._shapes]
        self.space = Space(self._shapes, lambda arrays: packed(arrays, self.box.network.graph))

    def add_packed(self, names: Sequence[bytes], patterns: Sequence[bytes]) -> None:
        """Adds new regions, in the form returned by `packed`."""
        for name, pattern in zip(names, patterns, strict=True):
            self._numbers[name] = len(self._patterns)
            self._patterns.append(pattern)

    def packed(self) -> tuple[list[bytes], list[bytes]]:
        """The names and the packed patterns of all regions."""
        return list(self._numbers), list(self._patterns)

    def __getstate__(self) -> dict:
        kept = {name: value for name, value in vars(self).items() if name not in ("_cache", "_lock", "_origins", "space")}
        return {**kept, "cache_bytes": self._cache.maxsize}

    def __setstate__(self, state: dict) -> None:
        cache_bytes = state.pop("cache_bytes")
        vars(self).update(state)
        self._attach(cache_bytes)

    def __len__(self) -> int:
        return len(self._patterns)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each input, without the batch dimension."""
        return self._shapes

    @property
    def names(self) -> np.ndarray:
        """`(regions,)` strings, as `LinearPieces.region_id`."""
        return np.array([name.hex() for name in self._numbers], dtype="<U32")

    def check_names(self) -> None:
        """Raises a `ValueError` if a pattern is not one of this network, or does not have the given name."""
        specs, names = self.box.programs.layout(self._origins).patterns, self.names
        for start in range(0, len(self), self.box.batch_size):
            patterns = unpack(self._patterns[start : start + self.box.batch_size], specs)
            found = names_of(patterns, len(patterns[0]) if patterns else len(names[start : start + self.box.batch_size]))
            wrong = np.flatnonzero(found != names[start : start + self.box.batch_size])
            if len(wrong):
                raise ValueError(f"Expected patterns with their names. Received: another name for region {start + wrong[0]}.")

    @property
    def fingerprint(self) -> int:
        """The checksum of the weights that the regions belong to."""
        return self._fingerprint

    @property
    def num_bytes(self) -> int:
        """Bytes of all packed patterns."""
        return sum(map(len, self._patterns))

    def check_weights(self) -> None:
        """Raises a `RuntimeError` if the model has other weights than those that the regions belong to."""
        if self.box.programs.fingerprint() != self._fingerprint:
            raise RuntimeError(
                "The model's weights have changed since these regions were found, so that they are no longer regions of the "
                "model. Call `fit` on the samples again."
            )

    def find(self, batch: Sequence[np.ndarray], start: int = 0) -> np.ndarray:
        """The regions of a batch of samples; unknown regions are added.

        Args:
            batch: One array `(n, *shape)` for each input.
            start: Number of the first sample, for messages.

        Returns:
            `(n,)` integers.

        Raises:
            ValueError: If the samples have another shape than those before, for a model that takes several; or if the
                scores are not finite.
        """
        shapes = tuple(array.shape[1:] for array in batch)
        if shapes != self._shapes:
            raise ValueError(f"Expected samples of the shapes {list(self._shapes)}, as in `fit`. Received: {list(shapes)}.")
        with np.errstate(over="ignore"):  # told by the check of the scores
            inputs = [array.astype(self.box.dtype) for array in batch]
        scores, patterns = self.box.programs.identify(inputs)
        check_finite(ops.convert_to_numpy(scores), start, self.box.dtype)
        patterns = [ops.convert_to_numpy(pattern) for pattern in patterns]
        names = [bytes.fromhex(name) for name in names_of(patterns, len(batch[0]))]
        with self._lock:
            first = {name: place for place, name in reversed(list(enumerate(names))) if name not in self._numbers}
            new = sorted(first.values())
            if new:
                self.add_packed([names[place] for place in new], pack([pattern[new] for pattern in patterns], len(new)))
        return np.array([self._numbers[name] for name in names])

    def pieces(self, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yields the linear pieces of regions, cached ones first, so the order is not that of `numbers`.

        Args:
            numbers: Regions, without repetitions.

        Yields:
            `(place, coefficients, intercepts)`: where the region is among `numbers`, `(C, d)` and `(C,)`.
        """
        missing = []
        for place, number in enumerate(numbers):
            with self._lock:
                piece = self._cache.get(number)
            if piece is None:
                missing.append(place)
            else:
                yield place, *piece
        size = self.box.batch_size
        for places in (missing[start : start + size] for start in range(0, len(missing), size)):
            for place, piece in zip(places, self._solve([numbers[place] for place in places]), strict=True):
                with self._lock, contextlib.suppress(ValueError):  # of a piece that is larger than the cache
                    self._cache[numbers[place]] = piece
                yield place, *piece

    def evaluate(self, batch: Sequence[np.ndarray], start: int = 0) -> np.ndarray:
        """The scores `(n, C)` of a batch by the linear pieces of its regions, in float64; arguments as for `find`."""
        found = self.find(batch, start)
        x = self.space.vectors(batch)
        scores = np.empty((len(x), self.box.num_outputs))
        numbers = np.unique(found).tolist()
        for place, coefficients, intercepts in self.pieces(numbers):
            rows = found == numbers[place]
            # In double precision: the sum has as many terms as the input has entries.
            scores[rows] = x[rows] @ coefficients.T.astype("float64") + intercepts
        return scores

    def _solve(self, numbers):
        """The linear pieces of one batch of regions, computed from their patterns."""
        specs = self.box.programs.layout(self._origins).patterns
        patterns = unpack([self._patterns[number] for number in numbers], specs)
        origins = [np.repeat(origin, len(numbers), axis=0) for origin in self._origins]
        coefficients, intercepts = self.box.programs.solve(patterns, origins)
        joined = self.space.vectors([ops.convert_to_numpy(each) for each in coefficients])
        intercepts = ops.convert_to_numpy(intercepts)
        # Copy, because a view would keep the whole batch in memory.
        return [(joined[:, i].copy(), intercepts[:, i].copy()) for i in range(len(numbers))]


def check_cache_bytes(cache_bytes: Any) -> None:
    """Raises a `ValueError` if the number of bytes is invalid."""
    check_count("cache_bytes", cache_bytes, least=0)


def _size(piece):
    return sum(array.nbytes for array in piece)


def pack(patterns: Sequence[np.ndarray], count: int) -> list[bytes]:
    """Patterns as compressed bytes; each entry takes the number of bits of the largest entry in the batch.

    Args:
        patterns: Integer arrays `(count, ...)`.
        count: Number of samples.

    Returns:
        For each sample the number of bits of each array in a byte each, then the bits, compressed.
    """
    widths, planes = bytearray(), [np.zeros((count, 0), "uint8")]
    for pattern in patterns:
        flat = pattern.reshape(count, -1).view(f"u{pattern.dtype.itemsize}")
        widths.append(int(flat.max(initial=0)).bit_length())
        planes += [
            np.packbits((flat >> flat.dtype.type(bit) & flat.dtype.type(1)).astype(bool), axis=1) for bit in range(widths[-1])
        ]
    return [zlib.compress(bytes(widths) + row.tobytes(), _COMPRESSION) for row in np.concatenate(planes, axis=1)]


def unpack(packed: Sequence[bytes], specs: Sequence[tuple[tuple, str]]) -> list[np.ndarray]:
    """The inverse of `pack`.

    Args:
        packed: One for each sample.
        specs: Shape, with a batch dimension, and dtype of each array.

    Raises:
        ValueError: If the bytes are not patterns of these shapes.
    """
    sizes = [int(np.prod(shape[1:], dtype=int)) for shape, _ in specs]
    arrays = [np.empty((len(packed), size), dtype) for size, (_, dtype) in zip(sizes, specs, strict=True)]
    most_bits = [8 * array.itemsize for array in arrays]
    most = len(specs) + sum(bits * -(-size // 8) for bits, size in zip(most_bits, sizes, strict=True))
    for sample, each in enumerate(packed):
        raw = _decompressed(each, most)
        widths, place = raw[: len(specs)], len(specs)
        if (
            len(widths) < len(specs)
            or any(width > bits for width, bits in zip(widths, most_bits, strict=True))
            or len(raw) != place + sum(w * -(-n // 8) for w, n in zip(widths, sizes, strict=True))
        ):
            raise ValueError("Expected patterns of the model's own shapes. Received: packed patterns of another length.")
        for array, width, size in zip(arrays, widths, sizes, strict=True):
            length = -(-size // 8)
            bits = np.frombuffer(raw, "uint8", width * length, place).reshape(width, length)
            place += width * length
            unsigned = array[sample].view(f"u{array.dtype.itemsize}")
            unsigned[:] = 0
            for bit, plane in enumerate(np.unpackbits(bits, axis=1, count=size)):
                unsigned |= plane.astype(unsigned.dtype) << unsigned.dtype.type(bit)
    return [array.reshape(-1, *shape[1:]) for array, (shape, _) in zip(arrays, specs, strict=True)]


def _decompressed(packed, most):
    """Decompressed bytes, at most `most` of them."""
    reader = zlib.decompressobj()
    try:
        raw = reader.decompress(packed, most + 1)
    except zlib.error as error:
        raise ValueError(f"Expected compressed patterns. Received: bytes that cannot be decompressed ({error}).") from error
    if not reader.eof or reader.unused_data or len(raw) > most:
        raise ValueError("Expected patterns of the model's own shapes. Received: packed patterns of another length.")
    return raw
