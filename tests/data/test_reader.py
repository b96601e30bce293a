"""What the reader takes, what it refuses and in which words, and that memory follows the batch."""

import sys
import types
import weakref

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from keras_xai.data import streams
from keras_xai.data.batches import joined, rows
from keras_xai.data.reader import Samples, count_of, in_float64, read_all
from keras_xai.graph import trace
from tests.data.kinds import BATCH, KINDS, STREAMS, Batches, dataset, in_batches

X = np.arange(40, dtype="float32").reshape(10, 4)


def _graph(*inputs, structure=None):
    tensors = [keras.Input(shape, name=name, dtype=dtype) for name, shape, dtype in inputs]
    flat = [layers.Flatten()(tensor) for tensor in tensors if tensor.dtype != "string"]
    total = layers.Dense(1)(layers.Concatenate()(flat) if len(flat) > 1 else flat[0]) if flat else None
    return tensors, total


@pytest.fixture(scope="module")
def one():
    (x,), y = _graph(("table", (4,), "float32"))
    return trace(keras.Model(x, y))


@pytest.fixture(scope="module")
def column():
    (x,), y = _graph(("age", (1,), "float32"))
    return trace(keras.Model(x, y))


@pytest.fixture(scope="module")
def by_name():
    tensors, y = _graph(("chol", (1,), "float32"), ("age", (1,), "float32"))
    return trace(keras.Model({tensor.name: tensor for tensor in tensors}, y))


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind, one):
    samples = Samples(KINDS[kind](X), one, BATCH)
    batches = list(samples)
    assert [len(batch[0]) for batch in batches] == [4, 4, 2]
    np.testing.assert_array_equal(joined([batch[0] for batch in batches]), X)
    assert samples.num_samples == (None if kind in STREAMS else 10)
    assert samples.num_batches in (None, 3)
    np.testing.assert_array_equal(read_all(KINDS[kind](X), one)[0], X)


def test_known_numbers_of_batches(one):
    for kind in ("tf.data", "PyDataset", "tensor"):
        assert Samples(KINDS[kind](X), one, BATCH).num_batches == 3
    assert Samples(KINDS["tf.data of unknown length"](X), one, BATCH).num_batches is None


class _Loader:
    """Stands for the `DataLoader` of PyTorch, whose default is to make lists."""

    def __init__(self, *arrays):
        self._arrays = arrays

    def __iter__(self):
        return ([_Tensor(each) for each in batch] for batch in in_batches(*self._arrays))

    def __len__(self):
        raise TypeError("an IterableDataset has no length")


class _Tensor:
    """Stands for a tensor of PyTorch on another device, which NumPy cannot read."""

    def __init__(self, array, device="cuda"):
        self._array, self._device, self.shape = array, device, array.shape

    def detach(self):
        return self

    def cpu(self):
        return _Tensor(self._array, "cpu")

    def __array__(self, dtype=None, copy=None):
        if self._device != "cpu":
            raise TypeError("can't convert a tensor on another device to numpy")
        return self._array


def test_loaders_of_pytorch(one, monkeypatch):
    data = types.SimpleNamespace(DataLoader=_Loader)
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(utils=types.SimpleNamespace(data=data)))
    loader = _Loader(X, np.arange(10))
    samples = Samples(loader, one, 3)
    assert samples.num_batches is None
    np.testing.assert_array_equal(samples.arrays()[0], X)
    assert streams.labels_of(loader) is None and streams.first_batch(loader).shape == (4, 4)
    np.testing.assert_array_equal(read_all(_Tensor(X), one)[0], X)


def test_real_loaders_of_pytorch(one):
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.arange(10))
    np.testing.assert_array_equal(read_all(torch.utils.data.DataLoader(data, batch_size=4), one)[0], X)


@pytest.mark.parametrize(
    "x",
    [
        np.arange(3.0),
        [0.0, 1.0, 2.0],
        pd.Series([0.0, 1.0, 2.0]),
        pd.DataFrame({"any": [0.0, 1.0, 2.0]}),
        np.arange(3.0)[:, None],
    ],
    ids=["array", "list", "Series", "DataFrame", "two axes"],
)
def test_one_axis_is_taken_for_a_column(x, column):
    (array,) = read_all(x, column)
    np.testing.assert_array_equal(array, [[0.0], [1.0], [2.0]])


def test_a_last_axis_of_one_is_added_and_taken_as_predict_does():
    (x,), y = _graph(("image", (5, 5, 1), "float32"))
    model = keras.Model(x, y)
    images = np.random.default_rng(0).normal(size=(3, 5, 5))
    (array,) = read_all(images, trace(model))
    np.testing.assert_array_equal(array[..., 0], images)
    assert model.predict(images, verbose=0).shape == (3, 1)
    (x,), y = _graph(("table", (4,), "float32"))
    assert read_all(X[..., None], trace(keras.Model(x, y)))[0].shape == (10, 4)


def test_sizes_that_are_not_known_are_not_guessed():
    x = keras.Input((None, None, 1))
    graph = trace(keras.Model(x, layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(ValueError, match="add the batch dimension"):
        read_all(np.zeros((5, 5, 1)), graph)


@pytest.mark.parametrize("make", [dict, pd.DataFrame, lambda columns: {k: pd.Series(v) for k, v in columns.items()}])
def test_columns_by_name(make, by_name):
    x = make({"chol": [180, 220], "age": [30, 50]})
    age, chol = read_all(x, by_name)
    assert age.tolist() == [[30], [50]] and chol.tolist() == [[180], [220]]
    for columns, message in (
        ({"age": [1]}, r"\['chol'\] are missing and \[\] are not inputs"),
        ({"age": [1], "chol": [1], "thal": [1]}, r"\[\] are missing and \['thal'\] are not inputs"),
    ):
        with pytest.raises(ValueError, match=message):
            read_all(pd.DataFrame(columns), by_name)


def test_columns_that_are_not_numbers_are_named(one):
    frame = pd.DataFrame(X, columns=list("abcd")).assign(b="fixed", d=pd.Timestamp(0))
    with pytest.raises(ValueError, match=r"real numbers in every column.*Received: .*'b': .*'d': "):
        read_all(frame, one)


def test_missing_entries_of_tables_are_nan(one):
    frame = pd.DataFrame(X, columns=list("abcd")).astype("Float64")
    frame.iloc[2, 1] = pd.NA
    with pytest.raises(ValueError, match="NaN or infinity in 1 of 10 samples, first in sample 2"):
        read_all(frame, one)


def test_strings_go_to_inputs_of_strings():
    inputs = {"thal": keras.Input((1,), dtype="string", name="thal"), "age": keras.Input((1,), name="age")}
    text = layers.StringLookup(vocabulary=["fixed", "normal"], output_mode="one_hot")(inputs["thal"])
    graph = trace(keras.Model(inputs, layers.Dense(1)(layers.Concatenate()([text, inputs["age"]]))))
    frame = pd.DataFrame({"age": [1.0, 2.0], "thal": ["fixed", "normal"]})
    age, thal = read_all(frame, graph)
    assert age.shape == thal.shape == (2, 1) and thal.ravel().tolist() == ["fixed", "normal"]
    with pytest.raises(ValueError, match="Expected strings as input 'thal'"):
        read_all({"age": [1.0], "thal": [2.0]}, graph)


@pytest.mark.parametrize(
    "x, message",
    [
        (tf.ragged.constant([[1.0, 2.0], [3.0]]), "dense array as input 'table'. Received: RaggedTensor"),
        (tf.sparse.from_dense(X), "dense array as input 'table'. Received: SparseTensor"),
        (scipy.sparse.csr_matrix(X), "dense array as input 'table'. Received: csr_matrix"),
        ([[1.0, 2.0], [3.0]], "samples of the same shape as input 'table'. Received: a nested list"),
        (X.astype(complex), "real numbers as input 'table'. Received: an array of dtype complex128"),
        (X.astype(str), "real numbers as input 'table'. Received: an array of dtype <U"),
        (None, "real numbers as input 'table'. Received: an array of dtype object"),
        (
            np.where(X == 5, np.nan, X),
            "finite numbers as input 'table'. Received: NaN or infinity in 1 of 10 samples, first in sample 1",
        ),
        (X[0], "For a single sample, add the batch dimension"),
        (X[None], r"Received: an array of shape \(1, 10, 4\)"),
        (X[:, :3], r"Received: an array of shape \(10, 3\)"),
        (X[:0], "Expected at least one sample"),
        ([], "Expected"),
        ([X, X], "Expected"),
        ({"chair": X}, r"Expected the inputs \['table'\]"),
        (pd.DataFrame(X[:0]), "Expected at least one sample"),
    ],
)
def test_what_is_refused(x, message, one):
    with pytest.raises(ValueError, match=message):
        Samples(x, one, BATCH)
    if x is not None:
        with pytest.raises(ValueError, match=message):
            list(Samples(iter([x]), one, BATCH))


def test_missing_inputs_are_named(by_name):
    names = r"2 inputs, \['age', 'chol'\]"
    for x, message in [
        (
            "a text",
            rf"{names}. Received: one value, 'a text', without \['age', 'chol'\]. The model takes no text: convert it first",
        ),
        (["one text"], rf"{names}. Received: a list of 1 values, without .*takes no text"),
        (np.array(["a", "b"]), rf"{names}. Received: one array of shape \(2,\), without .*takes no text"),
        (
            np.ones((3, 1)),
            rf"{names}. Received: one array of shape \(3, 1\), without \['age', 'chol'\]. Pass a dict with these keys",
        ),
        ({"age": [1.0]}, r"the inputs \['age', 'chol'\]. Received: a dict with the keys \['age'\], without \['chol'\]"),
        ({"age": [1.0], "col": [1.0]}, r"without \['chol'\], of which \['col'\] are unknown"),
    ]:
        with pytest.raises(ValueError, match=message):
            read_all(x, by_name)
    tensors, y = _graph(("a", (1,), "float32"), ("b", (1,), "float32"), ("c", (1,), "float32"))
    listed = trace(keras.Model(tensors, y))
    with pytest.raises(
        ValueError, match=r"3 inputs, \['a', 'b', 'c'\]. Received: a list of 2 values, without \['c'\]. Pass a list of these"
    ):
        read_all([np.ones((2, 1))] * 2, listed)
    with pytest.raises(ValueError, match=r"Received: a list of 4 values. Pass a list of these"):
        read_all([np.ones((2, 1))] * 4, listed)


def test_what_is_refused_of_datasets(one):
    for empty in (dataset(X).take(0), iter([]), Batches(X[:0])):
        with pytest.raises(ValueError, match="Expected at least one batch. Received: a dataset without elements"):
            list(Samples(empty, one, BATCH))

    class Endless(Batches):
        num_batches = None

    for endless in (dataset(X).repeat(), Endless(X)):
        with pytest.raises(ValueError, match=r"Expected a finite dataset.*dataset.take\(n\)"):
            Samples(endless, one, BATCH)
    with pytest.raises(ValueError, match="`batch_size` to be an integer of at least 1. Received: batch_size=True"):
        Samples(X, one, True)


def test_batches_of_several_shapes_are_not_joined():
    x = keras.Input((None, 2))
    graph = trace(keras.Model(x, layers.GlobalAveragePooling1D()(x)))
    samples = Samples(iter([np.zeros((1, 3, 2)), np.zeros((1, 4, 2))]), graph, 2)
    with pytest.raises(ValueError, match=r"samples have the same shape.*Received: samples of \(3, 2\) and of \(4, 2\)"):
        samples.arrays()


def test_arrays_are_not_copied(one):
    assert np.shares_memory(Samples(X, one, 3).arrays()[0], X)
    assert all(np.shares_memory(batch[0], X) for batch in Samples(X, one, 3))
    wide = X.astype("float64")
    assert all(np.shares_memory(batch[0], wide) for batch in in_float64(Samples(wide, one, 3)))


def test_memory_follows_the_batch(one):
    """Of all batches that a generator makes, at most two are alive: the one in use and the one that is made."""
    made, most = [], 0

    class Counted(np.ndarray):
        """An array that can be counted."""

    def make():
        for _ in range(20):
            batch = X.copy().view(Counted)
            made.append(weakref.ref(batch))
            yield batch, np.zeros(10)
            del batch

    seen = 0
    for batch in Samples(make(), one, BATCH):
        most = max(most, sum(each() is not None for each in made))
        seen += len(batch[0])
    assert seen == 200 and len(made) == 20 and most <= 2


def test_numbers_without_reading(one):
    assert count_of(X) == count_of(pd.DataFrame(X)) == count_of({"a": X}) == 10
    reads = []
    assert count_of(reads.append(each) or each for each in [X]) is None
    assert not reads


def test_labels_and_first_batches():
    y = np.arange(10)
    assert [spec.shape.as_list() for spec in streams.labels_of(dataset(X, y))] == [[None]]
    assert streams.labels_of(Batches(X, y))[0].tolist() == [0, 1, 2, 3]
    assert streams.labels_of(dataset(X)) == [] and streams.labels_of(in_batches(X, y)) is None
    np.testing.assert_array_equal(streams.first_batch(dataset(X, y)), X[:4])
    assert streams.first_batch(in_batches(X)) is None
    assert [element.sample_weight for element in streams.elements(in_batches(X, y))] == [None] * 3


@given(count=st.integers(1, 50), batch_size=st.integers(1, 10**12))
@settings(deadline=None, max_examples=50)
def test_rows_make_up_the_whole(count, batch_size):
    parts = rows(count, batch_size)
    assert np.concatenate([np.arange(count)[part] for part in parts]).tolist() == list(range(count))
    assert all(part.stop - part.start <= batch_size for part in parts)


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5), labeled=st.booleans())
@settings(deadline=None, max_examples=30)
def test_any_batches_are_read_in_order(sizes, labeled, one):
    arrays = [np.full((size, 4), i, "float32") for i, size in enumerate(sizes)]
    given_batches = [(array, np.zeros(len(array))) if labeled else array for array in arrays]
    np.testing.assert_array_equal(read_all(iter(given_batches), one)[0], np.concatenate(arrays))
