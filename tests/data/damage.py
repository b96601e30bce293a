"""Ways in which files are damaged."""

import io
import zipfile
from collections.abc import Iterator

import numpy as np


def damaged(content: bytes, draw: np.random.Generator, count: int) -> Iterator[tuple[str, bytes]]:
    """Names of damages and the damaged contents of an archive.

    Args:
        content: Of the file.
        draw: Of the places.
        count: Of the places for each sort of damage.
    """
    for place in draw.choice(len(content), size=min(count, len(content)), replace=False).tolist():
        flipped = bytes([content[place] ^ (1 << int(draw.integers(8)))])
        yield f"bit of byte {place}", content[:place] + flipped + content[place + 1 :]
        yield f"byte {place}", content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]
        yield f"cut at {place}", content[:place]
        yield f"twice from {place}", content[:place] + content[place:] + content[place:]
        yield f"zeros from {place}", content[:place] + bytes(len(content) - place)
    entries = entries_of(content)
    for one, other in zip(entries, [*list(entries)[1:], next(iter(entries))], strict=True):
        yield f"{one} is {other}", archive_of({**entries, one: entries[other], other: entries[one]})
        yield f"no {one}", archive_of({name: value for name, value in entries.items() if name != one})
        yield f"{one} also as {other}", archive_of({**entries, other: entries[one]})
    yield "one too many", archive_of({**entries, "array_99.npy": entries["header.npy"]})


def entries_of(content: bytes) -> dict[str, bytes]:
    """The unpacked entries of an archive, by name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(entries: dict[str, bytes]) -> bytes:
    """An archive with these entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in entries.items():
            archive.writestr(name, value)
    return buffer.getvalue()
