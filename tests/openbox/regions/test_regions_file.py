"""The file of a `RegionClassifier`."""

import contextlib
import json
import pathlib
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

from keras_xai.data.archive import write
from keras_xai.openbox import OpenBox, RegionClassifier
from tests.tolerance import rounding
from tests.zoo import in_dtype

ROUNDING = rounding("float64", size=10, terms=20)


def _model(slope=0.0, seed=0):
    with in_dtype("float64"):
        keras.utils.set_random_seed(seed)
        return keras.Sequential(
            [
                keras.Input((2,)),
                layers.Dense(6),
                layers.LeakyReLU(slope),
                layers.Dense(4),
                layers.LeakyReLU(slope),
                layers.Dense(3),
            ]
        )


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(50, 2))


@pytest.fixture(scope="module")
def box():
    return OpenBox(_model(), batch_size=16)


@pytest.fixture
def path(tmp_path, box, x):
    path = tmp_path / "regions.npz"
    box.convert(x, verbose=0).save(path)
    return path


def _load(path, box):
    return RegionClassifier.load(path, box, verbose=0)


@pytest.mark.parametrize(
    "labels",
    [None, np.array(["a", "bc", "d"]), np.array(["a", "bc", "d"], dtype=object), [5, 7, 11], [0.0, 1.0, 2.0], [-1, 0, 1]],
)
def test_all_comes_back(labels, tmp_path, box, x):
    classifier = box.convert(x, None if labels is None else np.asarray(labels)[np.arange(50) % 3], verbose=0)
    classifier.save(tmp_path / "file")  # no suffix is added
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    loaded = _load(str(tmp_path / "file"), box)
    for name in ("predict", "apply"):
        np.testing.assert_array_equal(getattr(loaded, name)(x), getattr(classifier, name)(x))
    for name in ("predict_proba", "decision_function"):
        np.testing.assert_allclose(getattr(loaded, name)(x), getattr(classifier, name)(x), rtol=0, atol=ROUNDING)
    assert loaded.classes_.dtype == classifier.classes_.dtype
    np.testing.assert_array_equal(loaded.classes_, classifier.classes_)
    np.testing.assert_array_equal(loaded.regions_.names, classifier.regions_.names)
    assert loaded.n_features_in_ == 2 and not hasattr(loaded, "feature_names_in_")
    known = len(loaded.regions_)
    loaded.fit(x)
    assert len(loaded.regions_) == known


@pytest.mark.filterwarnings("error::FutureWarning")  # which it is before scikit-learn 1.2
def test_names_of_features_come_back(tmp_path, box, x):
    frame = pd.DataFrame(x, columns=["width", "height"])
    box.convert(frame, verbose=0).save(tmp_path / "regions.npz")
    loaded = _load(tmp_path / "regions.npz", box)
    assert loaded.feature_names_in_.tolist() == ["width", "height"]
    with pytest.raises((ValueError, FutureWarning), match="(?i)feature names"):
        loaded.predict(frame[["height", "width"]])


def test_the_file_describes_itself_without_pickles(path):
    with np.load(path, allow_pickle=False) as archive:
        header = json.loads(str(archive["header"]))
        assert header["format"] == "keras_xai regions" and header["version"] == 1
        assert isinstance(header["fingerprint"], int)
        assert all(archive[name].dtype != object for name in archive.files)


def test_another_model(path, x):
    with pytest.raises(ValueError, match="another model, or of this model with other weights"):
        _load(path, OpenBox(_model(seed=1)))
    model = _model()
    model.layers[0].bias.assign_add(np.full(6, 1e-3))
    with pytest.raises(ValueError, match="another model, or of this model with other weights"):
        _load(path, OpenBox(model))


def test_a_model_with_the_same_weights_that_is_another_function(path):
    """No checksum of weights tells a ReLU from a leaky one."""
    with pytest.raises(ValueError, match="another model with the same weights"):
        _load(path, OpenBox(_model(slope=0.2)))


def test_the_model_after_saving_and_loading_it(path, tmp_path, box, x):
    _model().save(tmp_path / "model.keras")
    other = OpenBox(keras.models.load_model(tmp_path / "model.keras"), dtype="float32")
    np.testing.assert_allclose(_load(path, other).predict_proba(x), _load(path, box).predict_proba(x), atol=1e-6)


def _truncated(content):
    return content[: len(content) // 2]


def _flipped(content):
    place = content.index(b"patterns.npy") + 200  # inside the packed patterns
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "change, message",
    [
        (_truncated, "truncated, corrupted or other file"),
        (_flipped, "truncated, corrupted or other file"),
        (lambda content: b"", "truncated, corrupted or other file"),
        (lambda content: b"not an archive at all", "truncated, corrupted or other file"),
        (lambda content: content[: content.index(b"PK\x01\x02")], "truncated, corrupted or other file"),
    ],
)
def test_damaged_files(change, message, path, box):
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(
        ValueError, match=f"Expected a file written by `RegionClassifier.save`. Received: .*{message}.*regions.npz"
    ):
        _load(path, box)


def test_every_damaged_byte_is_noticed_or_harmless(path, box, x):
    """Whatever byte changes, there is a clear error or nothing was lost."""
    content, expected = path.read_bytes(), _load(path, box)
    generator = np.random.default_rng(0)
    for place in generator.choice(len(content), size=60, replace=False):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with contextlib.suppress(ValueError):
            loaded = _load(path, box)
            np.testing.assert_allclose(loaded.predict_proba(x), expected.predict_proba(x), rtol=0, atol=ROUNDING)
            np.testing.assert_array_equal(loaded.regions_.names, expected.regions_.names)


def _entries(path):
    with np.load(path) as archive:
        entries = {name: archive[name] for name in archive.files}
    return json.loads(str(entries.pop("header"))), entries


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda header, arrays: header.update(version=2), "version 2 of the format while 1 is supported .a later version"),
        (lambda header, arrays: header.update(version=0), "version 0 of the format"),
        (lambda header, arrays: header.update(version="x"), "version 'x' of the format"),
        (lambda header, arrays: header.pop("version"), "version None of the format"),
        (lambda header, arrays: header.update(format="something"), "a file of the format 'something'"),
        (lambda header, arrays: header.pop("fingerprint"), "fingerprint"),
        (lambda header, arrays: header.update(shapes=[[3]]), "another model, with 3 classes and inputs of the shapes"),
        (lambda header, arrays: header.update(shapes=7), "header"),
        (lambda header, arrays: arrays.pop("lengths"), "without the entries .*lengths"),
        (lambda header, arrays: arrays.update(lengths=arrays["lengths"] + 1), "do not belong together"),
        (lambda header, arrays: arrays.update(lengths=-arrays["lengths"]), "do not belong together"),
        (
            lambda header, arrays: arrays.update(lengths=arrays["lengths"][:0], names=arrays["names"][:0]),
            "do not belong together",
        ),
        (lambda header, arrays: arrays.update(names=arrays["names"][:, :3]), "do not belong together"),
        (lambda header, arrays: arrays.update(names=arrays["names"][[0] * len(arrays["names"])]), "do not belong together"),
        (lambda header, arrays: arrays.update(names=arrays["names"].astype(float)), "do not belong together"),
        (lambda header, arrays: arrays.update(classes=arrays["classes"][:2]), "another model, with 2 classes"),
        (lambda header, arrays: arrays.update(probe=arrays["probe"][:, :1]), "with the same weights"),
        (lambda header, arrays: arrays.update(patterns=arrays["patterns"][::-1].copy()), "corrupted patterns"),
        (
            lambda header, arrays: arrays.update(lengths=np.array([2**62, 2**62, 2**62, 2**62 + len(arrays["patterns"])])),
            "do not belong together",
        ),
        (
            lambda header, arrays: arrays.update(names=np.roll(arrays["names"], 1, axis=0)),
            "names and patterns that do not belong",
        ),
        (lambda header, arrays: arrays.update(names=arrays["names"] ^ np.uint8(1)), "names and patterns that do not belong"),
        (lambda header, arrays: arrays.update(classes=arrays["classes"][[0, 1, 1]]), "'classes'"),
        (lambda header, arrays: arrays.update(classes=arrays["classes"][::-1].copy()), "'classes'"),
        (lambda header, arrays: arrays.update(features=np.array(["a", "b", "c"])), "names of 3 features and inputs of"),
        (lambda header, arrays: arrays.update(features=np.array(["a", "a"])), "'features'"),
        (lambda header, arrays: arrays.update(probe=arrays["probe"][:3]), "'probe'"),
        (lambda header, arrays: arrays.update(probe=np.full_like(arrays["probe"], np.inf)), "'probe'"),
        (lambda header, arrays: arrays.update(probe=arrays["probe"].astype(str)), "'probe'"),
        (lambda header, arrays: header.update(dtype="int8"), "'dtype'"),
        (lambda header, arrays: header.update(object_labels=True), "'object_labels'"),
        (lambda header, arrays: header.update(shapes=[[-2]]), "another model, with 3 classes and inputs of the shapes"),
        (lambda header, arrays: arrays.update(more=np.zeros(2)), "the entries .'more'."),
    ],
)
def test_files_whose_contents_are_others(change, message, path, box):
    header, arrays = _entries(path)
    change(header, arrays)
    write(path, header, arrays)
    with pytest.raises(ValueError, match=f"(?s)Expected a file written by.*{message}"):
        _load(path, box)


def test_files_of_others(path, box):
    np.savez(path, a=np.zeros(3))
    with pytest.raises(ValueError, match=r"entries \['a'\] and without a header"):
        _load(path, box)
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match="not an archive"):
        _load(path, box)
    np.savez(path, header=np.array([object()]), allow_pickle=True)
    with pytest.raises(ValueError, match="Expected a file written by"):
        _load(path, box)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.npy", "text")
    with pytest.raises(ValueError, match="Expected a file written by"):
        _load(path, box)
    with pytest.raises(FileNotFoundError):
        _load(path.with_name("missing"), box)


def test_a_file_is_replaced_whole_or_not_at_all(path, box, x, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(np, "savez", lambda file, **arrays: file.write(b"half") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        box.convert(x, verbose=0).save(path)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["regions.npz"]
    monkeypatch.undo()
    box.convert(x[:5], verbose=0).save(path)
    assert len(_load(path, box).regions_) < len(set(box(x, verbose=0).region_id))
    assert [each.name for each in path.parent.iterdir()] == ["regions.npz"]


def test_labels_that_cannot_be_written(tmp_path, box, x):
    classifier = box.convert(x, verbose=0)
    classifier.classes_ = np.array([("a", 1), None, 3], dtype=object)
    with pytest.raises(ValueError, match="Expected labels to be numbers or strings"):
        classifier.save(tmp_path / "regions.npz")
    assert not list(tmp_path.iterdir())


def test_files_are_readable_by_those_who_may_read_others(tmp_path):
    write(tmp_path / "a", {}, {})
    pathlib.Path(tmp_path / "b").write_bytes(b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
