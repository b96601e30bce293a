"""Files are written beside their target and renamed, and are read or refused."""

import os
import pathlib

import keras
import matplotlib.figure
import numpy as np
import pytest
from keras import layers

from keras_xai.attribution import Explanation, Saliency
from keras_xai.callbacks import ExplanationLogger
from keras_xai.data import archive
from keras_xai.data.fields import read_fields, write_fields
from keras_xai.diagnosis import Protocol, diagnose
from keras_xai.features import TSNE
from keras_xai.models import FBIModel
from keras_xai.openbox import OpenBox
from keras_xai.report import Page
from keras_xai.report.figure import new_figure

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4,)), layers.Dense(5, "relu", name="hidden"), layers.Dense(2, "softmax")])
    network.compile("sgd", "sparse_categorical_crossentropy")
    return network


def _diagnosis(model):
    protocol = Protocol(tsne=TSNE(perplexity=2, iterations=255), repeats=1, components=2)
    return diagnose(model, X, np.arange(20) % 2, ["hidden"], k=2, protocol=protocol)


def _logged(model, path):
    logger = ExplanationLogger(Saliency(model), X[:2], folder=path.parent)
    logger.set_model(model)
    logger.on_train_begin()
    logger.on_epoch_end(0)


# Everything that writes a file, and the name of the file.
WRITERS = {
    "Explanation.save": ("file.npz", lambda model, path: Saliency(model)(X).save(path)),
    "Diagnosis.save": ("file.npz", lambda model, path: _diagnosis(model).save(path)),
    "RegionClassifier.save": ("file.npz", lambda model, path: OpenBox(model).convert(X, verbose=0).save(path)),
    "Page.save": ("file.html", lambda model, path: Page("Title").save(path)),
    "ExplanationLogger": ("Saliency_epoch_0001.png", _logged),
    "savefig": ("file.svg", lambda model, path: new_figure().savefig(path)),
    "FBIModel.save_weights": ("file.weights.h5", lambda model, path: FBIModel(model).save_weights(path)),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_failure_leaves_the_file_that_was_there(name, fails, model, tmp_path, monkeypatch):
    file, write = WRITERS[name]
    path = tmp_path / file
    path.write_bytes(b"what was there")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, fails, full)
        with pytest.raises(OSError, match="No space left"):
            write(model, path)
    assert path.read_bytes() == b"what was there"
    assert [each.name for each in tmp_path.iterdir()] == [file]
    path.chmod(0o640)
    write(model, path)
    assert path.read_bytes() != b"what was there"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == [file]


@pytest.mark.parametrize(
    "name, module, writer",
    [
        ("Explanation.save", np, "savez_compressed"),
        ("RegionClassifier.save", np, "savez"),
        ("ExplanationLogger", matplotlib.figure.Figure, "savefig"),
    ],
)
def test_a_write_that_breaks_off_leaves_nothing(name, module, writer, model, tmp_path, monkeypatch):
    file, write = WRITERS[name]

    def half(*arguments, **options):
        for target in arguments:
            if hasattr(target, "write"):
                target.write(b"half")
            elif isinstance(target, pathlib.Path):
                target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, writer, half)
    with pytest.raises(OSError, match="No space left"):
        write(model, tmp_path / file)
    assert not list(tmp_path.iterdir())


def test_figures_get_the_end_that_matplotlib_adds(tmp_path):
    for name, options in (("one", {}), ("two.", {}), ("three.svg", {}), ("four", {"format": "pdf"})):
        new_figure().savefig(tmp_path / name, **options)
        plain = tmp_path / "plain"
        plain.mkdir(exist_ok=True)
        matplotlib.figure.Figure().savefig(plain / name, **options)
    ours, theirs = ({each.name for each in folder.iterdir() if each.is_file()} for folder in (tmp_path, tmp_path / "plain"))
    assert ours == theirs and len(ours) == 4


def test_links_and_devices_stay_what_they_are(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with archive.replacing_bytes(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_bytes() == b"new"
    with archive.replacing_bytes(os.devnull) as file:
        file.write(b"nothing")
    assert not pathlib.Path(os.devnull).is_file()


def test_fields_come_back(tmp_path):
    fields = {"a": np.arange(3), "b": {"c": [1, None, "text", (2.5, np.ones(2))]}, "d": np.float32(0.5), "f": len}
    write_fields(tmp_path / "file", fields, "Thing")
    assert [path.name for path in tmp_path.iterdir()] == ["file.npz"]
    for name in ("file", "file.npz"):
        found = read_fields(tmp_path / name, "Thing")
        assert found["a"].tolist() == [0, 1, 2] and found["b"]["c"][3][1].tolist() == [1, 1]
        assert found["b"]["c"][:3] == [1, None, "text"] and found["d"] == 0.5 and found["f"].__name__ == "len"
    with pytest.raises(ValueError, match="written by `Other.save`. Received: a file of the format 'keras_xai Thing'"):
        read_fields(tmp_path / "file", "Other")
    with pytest.raises(TypeError, match="arrays of numbers or strings"):
        write_fields(tmp_path / "file", {"a": np.array([object()])}, "Thing")
    assert read_fields(tmp_path / "file", "Thing")["d"] == 0.5


def test_every_damage_is_one_error(tmp_path):
    path = tmp_path / "file.npz"
    Explanation(np.ones((2, 3)), np.array([0, 1]), np.ones((2, 3)), None, None, 1.0, "m").save(path)
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        try:
            Explanation.load(path)
        except ValueError as error:
            assert "file.npz" in str(error)  # noqa: PT017
    for length in range(0, len(content), 50):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"written by `Explanation.save`.*file.npz"):
            Explanation.load(path)


def test_sizes_are_checked_before_anything_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "file.npz"
    write_fields(path, {"a": np.zeros(10)}, "Thing")
    with np.load(path) as file:
        header = file["header"]
    import io
    import zipfile

    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(path, "w") as file:
        text = io.BytesIO()
        np.save(text, header)
        file.writestr("header.npy", text.getvalue())
        file.writestr("array_0.npy", buffer.getvalue() + bytes(80))
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("read before it was checked"))
    with pytest.raises(ValueError, match="does not have the size that it declares"):
        read_fields(path, "Thing")
