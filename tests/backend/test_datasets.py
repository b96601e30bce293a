"""What is asked of `tf.data` datasets, without reading them."""

import numpy as np
import pytest
import tensorflow as tf

from keras_xai.backend import element_spec, has_values, is_endless, is_native_dataset, num_batches


def _range(count):
    return tf.data.Dataset.range(count)


@pytest.mark.parametrize(
    "dataset, count, endless",
    [
        (_range(5).batch(2), 3, False),
        (_range(0), 0, False),
        (_range(5).repeat(), None, True),
        (_range(5).filter(lambda number: number > 2), None, False),
    ],
    ids=["finite", "empty", "endless", "unknown"],
)
def test_number_of_batches(dataset, count, endless):
    assert is_native_dataset(dataset)
    assert num_batches(dataset) == count
    assert is_endless(dataset) is endless


@pytest.mark.parametrize("other", [np.zeros(3), [1], iter(_range(2)), None])
def test_others_are_no_datasets(other):
    assert not is_native_dataset(other)


def test_element_spec_has_no_values():
    x, y = element_spec(tf.data.Dataset.from_tensor_slices((np.zeros((4, 2)), np.zeros(4, "int64"))).batch(2))
    assert (tuple(x.shape), y.dtype) == ((None, 2), tf.int64)
    assert not has_values(x)
    assert has_values(tf.constant([1.0]))
    assert has_values(np.zeros(2))


def test_tensors_of_a_traced_function_have_no_values():
    found = []
    tf.function(lambda x: found.append(has_values(x)) or x)(tf.constant(1.0))
    assert found == [False]
