"""Tables, texts, series and arrays become what the model takes, or are refused in words."""

import functools

import keras
import numpy as np
import pandas as pd
import pytest

from keras_xai.cli.errors import Failure
from keras_xai.cli.readers.read import read
from keras_xai.cli.readers.takes import Takes


@pytest.fixture(scope="module")
def takes(models):
    return functools.cache(lambda name: Takes.of(keras.saving.load_model(models / f"{name}.keras")))


def test_columns_in_their_order(tmp_path, takes, frame):
    frame.to_csv(tmp_path / "a.csv", index=False)
    data = read([tmp_path / "a.csv"], takes("table"), labels="kind")
    np.testing.assert_allclose(data.x.to_numpy(), frame.iloc[:, :4])
    assert data.y.tolist() == frame["kind"].tolist() and list(data.x.columns) == list(frame.columns[:4])
    chosen = read([tmp_path / "a.csv"], takes("table"), columns=["weight", "width", "height", "length"])
    np.testing.assert_allclose(chosen.x["weight"], frame["weight"])
    assert chosen.x.columns[0] == "weight" and chosen.y is None


def test_columns_by_name(tmp_path, takes, frame):
    frame[frame.columns[::-1]].to_csv(tmp_path / "a.csv", index=False)
    data = read([tmp_path / "a.csv"], takes("columns"), labels="kind")
    assert set(data.x) == set(frame.columns[:4])
    np.testing.assert_allclose(data.x["width"][:, 0], frame["width"], rtol=1e-6)


@pytest.mark.parametrize(
    "change, model, message",
    [
        (
            lambda f: f.drop(columns="kind").assign(depth=1.0),
            "columns",
            "Not an input: depth. If 'depth' is the label, add --labels",
        ),
        (lambda f: f.drop(columns=["kind", "width"]), "columns", "Missing: width"),
        (lambda f: f.rename(columns={"width": "Width"}), "columns", "Missing: width. Not an input: Width, kind"),
        (lambda f: f, "table", "has 5 columns: .*, kind. If 'kind' is the label, add --labels kind"),
        (lambda f: f.iloc[:, :2], "table", "The model takes rows of 4 numbers. .* has 2 columns: length, width"),
        (lambda f: f.drop(columns="length"), "table", "column 'kind' has entries that are not numbers, such as 'a'"),
        (lambda f: f.iloc[:, :4].reindex([0, 1, 99]), "table", "missing in row 3, column 'length'"),
        (lambda f: f.iloc[:0], "table", "has no rows"),
        (lambda f: f, "gray", "is a table. The model takes images of 8 x 8 x 1"),
    ],
)
def test_other_tables_are_refused(tmp_path, takes, frame, change, model, message):
    change(frame).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(Failure, match=message):
        read([tmp_path / "a.csv"], takes(model))


def test_parquet(tmp_path, takes, frame, monkeypatch):
    path = tmp_path / "table.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setattr(pd, "read_parquet", lambda given: frame.copy() if given == path else None)
    found = read([path], takes("table"), labels="kind")
    np.testing.assert_array_equal(found.x, frame.iloc[:, :4])
    assert found.x.index[0] == 1  # rows are numbered as in messages
    assert found.y.tolist() == frame["kind"].tolist()

    def missing(path):
        raise ImportError("Unable to find a usable engine; tried using: 'pyarrow', 'fastparquet'.")

    monkeypatch.setattr(pd, "read_parquet", missing)
    with pytest.raises(Failure, match=r"table.parquet' is a Parquet file, for which pandas needs .*: pip install pyarrow"):
        read([path], takes("table"))


def test_separators_indices_and_tables_without_names(tmp_path, takes, frame):
    numbers = frame.iloc[:, :4]
    numbers.to_csv(tmp_path / "semicolon.csv", sep=";", index=False)
    numbers.to_csv(tmp_path / "tab.tsv", sep="\t", index=False, encoding="utf-8-sig")
    numbers.to_csv(tmp_path / "index.csv")
    numbers.to_csv(tmp_path / "bare.csv", index=False, header=False)
    for name in ("semicolon.csv", "tab.tsv", "index.csv", "bare.csv"):
        np.testing.assert_allclose(read([tmp_path / name], takes("table")).x.to_numpy(), numbers, err_msg=name)
    both = read([tmp_path / "semicolon.csv", tmp_path / "index.csv"], takes("table"))
    assert both.num_samples == 60
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(Failure, match="cannot be read as a table"):
        read([tmp_path / "binary.csv"], takes("table"))


def test_labels_beside_the_samples(tmp_path, takes, frame):
    frame.iloc[:3, :4].to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "labels.txt").write_text("0\n2\n1\n")
    for labels in ("0,2,1", str(tmp_path / "labels.txt")):
        assert read([tmp_path / "a.csv"], takes("table"), labels=labels).y.tolist() == ["0", "2", "1"]
    with pytest.raises(Failure, match="--labels has 2 labels. Expected one for each of 3 samples"):
        read([tmp_path / "a.csv"], takes("table"), labels="0,1")


def test_series(tmp_path, takes):
    x = np.random.default_rng(0).normal(size=(2, 12, 2))
    paths = [tmp_path / f"{i}.csv" for i in range(2)]
    for path, each in zip(paths, x, strict=True):
        np.savetxt(path, each, delimiter=",", header="left,right", comments="")
    np.testing.assert_allclose(read(paths, takes("series")).x, x, rtol=1e-6)
    np.savetxt(paths[1], x[1][:7], delimiter=",", header="left,right", comments="")
    with pytest.raises(Failure, match="Expected series of 12 times, one in each row. '.*1.csv' has 7 rows"):
        read(paths, takes("series"))


def test_texts_as_tokens(tmp_path, takes):
    (tmp_path / "a.txt").write_text("A good, good film!\n\nbad story\n")
    (tmp_path / "words.txt").write_text("\n[UNK]\ngood\nbad\nfilm\n")
    data = read([tmp_path / "a.txt"], takes("tokens"), vocabulary=tmp_path / "words.txt")
    assert data.x.tolist() == [[1, 2, 2, 4, 0], [3, 1, 0, 0, 0]]
    assert data.vocabulary == ["", "[UNK]", "good", "bad", "film"]
    assert "2 of 6 words are not in the vocabulary." in data.notes
    (tmp_path / "bare.txt").write_text("good\nbad\nfilm\n")
    assert read([tmp_path / "a.txt"], takes("tokens"), vocabulary=tmp_path / "bare.txt").x.tolist() == data.x.tolist()
    with pytest.raises(Failure, match="The model takes tokens. Give its vocabulary by --vocabulary"):
        read([tmp_path / "a.txt"], takes("tokens"))
    (tmp_path / "a.txt").write_bytes("schön".encode("latin1"))
    with pytest.raises(Failure, match="is not a text in UTF-8"):
        read([tmp_path / "a.txt"], takes("tokens"))


def test_strings_are_taken_as_they_are(tmp_path):
    count = keras.layers.TextVectorization(vocabulary=["good"], output_mode="count")
    model = keras.Sequential([keras.Input((), dtype="string"), count, keras.layers.Dense(1)])
    (tmp_path / "a.txt").write_text("A good film\nbad\n")
    assert read([tmp_path / "a.txt"], Takes.of(model)).x.tolist() == ["A good film", "bad"]


def test_arrays(tmp_path, takes):
    x, y = np.random.default_rng(0).normal(size=(6, 4)), np.arange(6) % 3
    np.savez(tmp_path / "a.npz", x_test=x, y_test=y[:, np.newaxis], x_train=x[:2], y_train=y[:2])
    data = read([tmp_path / "a.npz"], takes("table"))
    assert data.y.tolist() == y.tolist()
    np.testing.assert_array_equal(data.x, x)
    np.savez(tmp_path / "a.npz", x=x, kind=np.eye(3)[y])
    assert read([tmp_path / "a.npz"], takes("table"), labels="kind").y.tolist() == y.tolist()
    np.save(tmp_path / "a.npy", x)
    np.testing.assert_array_equal(read([tmp_path / "a.npy"] * 2, takes("table")).x, np.concatenate([x, x]))
    columns = {name: x[:, i] for i, name in enumerate(takes("columns").names)}
    np.savez(tmp_path / "a.npz", **columns, y=y)
    data = read([tmp_path / "a.npz"], takes("columns"))
    assert data.y.tolist() == y.tolist() and set(data.x) == set(columns)


def test_bytes_of_images_are_preprocessed_and_floats_are_not(tmp_path, takes):
    x = np.random.default_rng(0).integers(0, 256, size=(2, 8, 8), dtype="uint8")
    np.savez(tmp_path / "a.npz", x=x)
    data = read([tmp_path / "a.npz"], takes("gray"), preprocessing="unit")
    np.testing.assert_allclose(data.x[..., 0], x / 255, rtol=1e-6)
    with pytest.raises(Failure, match="by --preprocessing"):
        read([tmp_path / "a.npz"], takes("gray"))
    np.savez(tmp_path / "a.npz", x=x / 255)
    np.testing.assert_array_equal(read([tmp_path / "a.npz"], takes("gray")).x, x[..., np.newaxis] / 255)


def test_other_arrays_are_refused(tmp_path, takes):
    np.savez(tmp_path / "a.npz", first=np.ones((2, 4)), second=np.ones(2))
    with pytest.raises(Failure, match="has several arrays: first, second. Name the samples x"):
        read([tmp_path / "a.npz"], takes("table"))
    with pytest.raises(Failure, match="Missing: height, length, weight, width. Received: first, second"):
        read([tmp_path / "a.npz"], takes("columns"))
    with pytest.raises(Failure, match="has no array 'kind' for --labels. Its arrays: first, second"):
        read([tmp_path / "a.npz"], takes("table"), labels="kind")
    np.savez(tmp_path / "a.npz", x=np.array([{}, None]))
    with pytest.raises(Failure, match="contains Python objects, which are not read"):
        read([tmp_path / "a.npz"], takes("table"))
    (tmp_path / "a.npz").write_text("no arrays")
    with pytest.raises(Failure, match="it is damaged, or no file of NumPy"):
        read([tmp_path / "a.npz"], takes("table"))


def test_words_are_read_as_they_are_written(tmp_path):
    inputs = {"code": keras.Input((1,), name="code", dtype="string"), "age": keras.Input((1,), name="age", dtype="int32")}
    looked_up = keras.layers.StringLookup(vocabulary=["007", "TRUE"], output_mode="one_hot")(inputs["code"])
    merged = keras.layers.Concatenate()([looked_up, keras.layers.Rescaling(1.0)(inputs["age"])])
    takes = Takes.of(keras.Model(inputs, keras.layers.Dense(2, "softmax")(merged)))
    (tmp_path / "a.csv").write_text("code,age,kind\n007,3,01\nTRUE,4.0,02\n")
    data = read([tmp_path / "a.csv"], takes, labels="kind")
    assert data.x["code"].ravel().tolist() == ["007", "TRUE"] and data.y.tolist() == ["01", "02"]
    assert data.x["age"].ravel().tolist() == [3, 4]
    (tmp_path / "a.csv").write_text("code,age\n007,3\n007,1.7\n")
    with pytest.raises(Failure, match="whole numbers in column 'age'. Received: 1.7 in row 2"):
        read([tmp_path / "a.csv"], takes)


def test_tables_of_other_columns_are_refused(tmp_path, takes, frame):
    x = frame.iloc[:, :4]
    x.to_csv(tmp_path / "a.csv", index=False)
    x.iloc[:, ::-1].to_csv(tmp_path / "b.csv", index=False)
    data = read([tmp_path / "a.csv", tmp_path / "b.csv"], takes("table"))
    np.testing.assert_allclose(data.x.to_numpy(), np.concatenate([x, x]))
    x.to_csv(tmp_path / "b.csv", index=False, header=False)
    with pytest.raises(Failure, match="same columns in all tables. .*b.csv' has 0, 1, 2, 3, .*a.csv' has length, width"):
        read([tmp_path / "a.csv", tmp_path / "b.csv"], takes("table"))


def test_labels_that_would_be_ignored_are_refused(tmp_path, takes, frame):
    np.save(tmp_path / "a.npy", frame.iloc[:, :4].to_numpy())
    with pytest.raises(Failure, match="no array 'y' for --labels"):
        read([tmp_path / "a.npy"], takes("table"), labels="y")
    np.savez(tmp_path / "a.npz", x=frame.iloc[:, :4].to_numpy(), y=1)
    with pytest.raises(Failure, match="one label for each sample. Received: the single value 1"):
        read([tmp_path / "a.npz"], takes("table"))


def test_preprocessing_is_for_pixels(tmp_path, takes):
    x = np.random.default_rng(0).random((2, 8, 8))
    np.savez(tmp_path / "a.npz", x=x)
    with pytest.raises(Failure, match="for pixels from 0 to 255. Received: numbers from 0"):
        read([tmp_path / "a.npz"], takes("gray"), preprocessing="unit")
    np.savez(tmp_path / "a.npz", x=255 * x)
    assert read([tmp_path / "a.npz"], takes("gray"), preprocessing="unit").x.max() > 0.9


def test_a_text_ends_with_its_line(tmp_path, takes):
    (tmp_path / "a.txt").write_bytes("fine\x0cday\u2028here\x85there\r\nbad day\n".encode())
    (tmp_path / "words.txt").write_text("fine\nday\nbad\n")
    data = read([tmp_path / "a.txt"], takes("tokens"), vocabulary=tmp_path / "words.txt")
    assert data.x.tolist() == [[2, 3, 1, 1, 0], [4, 3, 0, 0, 0]]
