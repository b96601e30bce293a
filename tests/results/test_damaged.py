"""A damaged file of each result gives equal data or one documented error."""

import json

import numpy as np
import pytest

from keras_xai.data import archive
from keras_xai.results import Explanation
from tests.data.damage import archive_of, damaged, entries_of
from tests.results.examples import RESULTS


def _check(name, path, count):
    result = RESULTS[name]()
    kind = type(result)
    result.save(path)
    content, refused = path.read_bytes(), 0
    for damage, changed in damaged(content, np.random.default_rng(0), count):
        path.write_bytes(changed)
        try:
            assert kind.load(path) == result, damage
        except ValueError as error:
            assert f"written by `{kind.__name__}.save`" in str(error) and path.name in str(error), damage  # noqa: PT017
            refused += 1
    assert refused > count  # so that damages were done


@pytest.mark.parametrize("name", RESULTS)
def test_damages_are_noticed_or_harmless(name, tmp_path):
    _check(name, tmp_path / "file.npz", 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", RESULTS)
def test_many_damages_are_noticed_or_harmless(name, tmp_path):
    _check(name, tmp_path / "file.npz", 150)


def _crafted(path, change):
    """An explanation whose header was changed."""
    RESULTS["Explanation of columns"]().save(path)
    header, arrays = archive.read(path, "keras_xai Explanation", 1, "Explanation.save")
    change(header, arrays)
    archive.write(path, header, arrays, compressed=True)


def _deep(value, depth):
    return value if depth == 0 else {"list": [_deep(value, depth - 1)]}


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda header, arrays: header["fields"].update(baseline=header["fields"]["values"]), "do not belong together"),
        (
            lambda header, arrays: header["fields"].update(baseline={"list": [header["fields"]["values"]] * 200}),
            "do not belong together",
        ),
        (lambda header, arrays: header["fields"].update(values={"array": "array_77"}), "do not belong together .*array_77"),
        (lambda header, arrays: arrays.update(more=np.zeros(3)), "'more'. belong to no field"),
        (lambda header, arrays: header["fields"].update(values={"pickle": "x"}), "do not belong together"),
        (lambda header, arrays: header["fields"].update(values={"plain": {"a": [1]}}), "do not belong together"),
        (lambda header, arrays: header["fields"].update(values=_deep({"plain": 1}, 450)), ""),
        (lambda header, arrays: header.update(fields=3), "do not belong together"),
    ],
)
def test_headers_that_others_wrote(change, message, tmp_path):
    path = tmp_path / "file.npz"
    try:
        _crafted(path, change)
    except RecursionError:
        pytest.skip("such a header cannot be written")
    with pytest.raises(ValueError, match=f"(?s)written by `Explanation.save`.*{message}.*file.npz"):
        Explanation.load(path)


def test_entries_that_share_their_bytes_are_not_unpacked(tmp_path, monkeypatch):
    """The central directory can name one compressed entry many times."""
    path = tmp_path / "file.npz"
    RESULTS["Explanation of columns"]().save(path)
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    directory = content[start:end]
    count = len(entries_of(content))
    again = directory[directory.index(b"PK\x01\x02", 4) :].replace(b"array_", b"brray_")  # all but the header
    tail = bytearray(content[end:])
    tail[8:12] = (2 * count - 1).to_bytes(2, "little") * 2
    tail[12:16] = (len(directory) + len(again)).to_bytes(4, "little")
    path.write_bytes(content[:start] + directory + again + bytes(tail))
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("read before it was checked"))
    with pytest.raises(ValueError, match=r"written by `Explanation.save`.*file.npz"):
        Explanation.load(path)


def test_a_size_that_cannot_be_is_not_unpacked(tmp_path, monkeypatch):
    """Both places that declare a size agree, and the compressed bytes cannot hold so much."""
    path = tmp_path / "file.npz"
    RESULTS["Explanation of columns"]().save(path)
    entries = entries_of(path.read_bytes())
    place = entries["array_0.npy"].index(b"(6, 3)")
    huge = b"(6000000, 3)"
    header = entries["array_0.npy"].replace(b"(6, 3), }" + b" " * 6, huge + b", }")
    assert place and header != entries["array_0.npy"]
    content = archive_of({**entries, "array_0.npy": header})
    size, declared = len(header), len(header) - 6 * 3 * 8 + 6000000 * 3 * 8
    start = content.index(b"PK\x01\x02")
    assert content[start:].count(size.to_bytes(4, "little")) >= 1
    content = content[:start] + content[start:].replace(size.to_bytes(4, "little"), declared.to_bytes(4, "little"))
    path.write_bytes(content)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("read before it was checked"))
    with pytest.raises(ValueError, match="array_0.npy' does not have the size that it declares"):
        Explanation.load(path)


def test_files_hold_a_checksum_of_each_array(tmp_path):
    path = tmp_path / "file.npz"
    RESULTS["Walls"]().save(path)
    with np.load(path) as file:
        header = json.loads(str(file["header"]))
        assert set(header["arrays"]) | {"header"} == set(file.files)


def test_narrow_floats_come_back_as_wider_ones(tmp_path):
    import ml_dtypes

    values = np.array([[1.5, -2.25]]).astype(ml_dtypes.bfloat16)
    Explanation(values, np.zeros(1, int), values, None, None, 1.0, "m").save(tmp_path / "file")
    loaded = Explanation.load(tmp_path / "file")
    assert loaded.values.dtype == "float32" and loaded.values.tolist() == [[1.5, -2.25]]
