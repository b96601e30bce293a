"""The kinds of data that samples can come as: each makes one of arrays `(n, ...)`, in batches of 4 where it has batches."""

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

BATCH = 4


def in_batches(x, *more):
    """Batches `x` or tuples of them, of arrays in any structure."""
    count = len(keras.tree.flatten(x)[0])
    for start in range(0, count, BATCH):
        part = slice(start, start + BATCH)
        batch = tuple(keras.tree.map_structure(lambda array, part=part: array[part], each) for each in (x, *more))
        yield batch if more else batch[0]


class Batches(keras.utils.PyDataset):
    """A `PyDataset` of batches."""

    def __init__(self, *arrays):
        super().__init__()
        self._batches = [batch if isinstance(batch, tuple) else (batch,) for batch in in_batches(*arrays)]

    def __len__(self):
        return len(self._batches)

    def __getitem__(self, index):
        return self._batches[index]


def dataset(*arrays):
    """A `tf.data.Dataset` of batches."""
    return tf.data.Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0]).batch(BATCH)


def labels(x):
    """Labels, which nothing is to look at."""
    return np.arange(len(x)) % 2


# Of one array.
AT_ONCE = {
    "tensor": tf.constant,
    "nested list": lambda x: x.tolist(),
    "variable": keras.Variable,
    "float64": lambda x: x.astype("float64"),
}
STREAMS = {
    "tf.data": dataset,
    "tf.data of (x, y)": lambda x: dataset(x, labels(x)),
    "tf.data of (x, y, weight)": lambda x: dataset(x, labels(x), np.ones(len(x), "float32")),
    "tf.data of unknown length": lambda x: dataset(x).filter(lambda batch: True),
    "PyDataset": Batches,
    "PyDataset of (x, y)": lambda x: Batches(x, labels(x)),
    "generator": in_batches,
    "generator of (x, y, weight)": lambda x: in_batches(x, labels(x), np.ones(len(x))),
    "iterator of lists": lambda x: ([sample.tolist() for sample in batch] for batch in in_batches(x)),
}
KINDS = AT_ONCE | STREAMS
# Of a table `(n, columns)`.
COLUMNS = ["age", "chol", "rate", "thal"]
TABLES = {
    "DataFrame": lambda x: pd.DataFrame(x, columns=COLUMNS),
    "DataFrame of nullable numbers": lambda x: pd.DataFrame(x, columns=COLUMNS).astype("Float32"),
    "generator of DataFrames": lambda x: (pd.DataFrame(batch, columns=COLUMNS) for batch in in_batches(x)),
}
