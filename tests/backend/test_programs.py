"""Programs run eagerly at first, where that costs less than compiling them."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_xai.backend import compiled, folded, linearize, record, stacked, traced
from keras_xai.backend.tensorflow.eager import CALLS

VECTOR = [((None,), "float32")]


def _watched(function):
    """The function, and a list of whether each of its calls was an eager one."""
    seen = []

    def within(x):
        seen.append(tf.executing_eagerly())
        return function(x)

    return within, seen


def _calls(function, x, count=CALLS + 2, signature=VECTOR, **options):
    watched, seen = _watched(function)
    program = compiled(watched, signature, **options)
    return [program(x) for _ in range(count)], seen


def test_the_first_calls_run_eagerly():
    found, seen = _calls(lambda x: (ops.sum(x * x), None, 2), np.arange(3.0))
    assert seen == [True] * CALLS + [False]
    for total, nothing, number in found:
        assert float(total) == 5.0 and total.dtype == tf.float32
        assert nothing is None and tf.is_tensor(number) and int(number) == 2


def test_nests_of_arrays_have_the_dtypes_of_the_signature():
    signature = [[((None, 2), "float32"), ((None,), "int32")]]
    found, seen = _calls(lambda given: [given[0], given[1]], [np.ones((2, 2)), np.arange(2)], signature=signature)
    assert [[x.dtype for x in each] for each in found] == [[tf.float32, tf.int32]] * len(found)
    assert seen[0]


@pytest.mark.parametrize("loop", [folded, stacked])
@pytest.mark.parametrize("rounds, eager", [(8, True), (9, False)])
def test_long_loops_are_compiled_at_once(loop, rounds, eager):
    def function(x):
        if loop is folded:
            return folded(lambda i, state: [state[0] + x], rounds, [x])[0]
        return stacked(lambda i: x, rounds, "float32")

    (found,), seen = _calls(function, np.ones(2), 1)
    assert seen == ([True] if eager else [True, False])  # the trial ends at the loop
    np.testing.assert_array_equal(found, np.full(2, rounds + 1) if loop is folded else np.ones((rounds, 2)))


@pytest.mark.parametrize("size, eager", [(2**20, True), (2**20 + 1, False)])
def test_large_batches_are_compiled_at_once(size, eager):
    assert _calls(lambda x: x, np.ones(size), 1)[1] == [eager]


@pytest.mark.parametrize("array, eager", [(np.ones(1024, "int32"), True), (np.ones(1025, "int32"), False), (["a"] * 9, False)])
def test_tokens_and_texts_count_for_what_they_become(array, eager):
    array = np.asarray(array)
    dtype = "string" if array.dtype.kind == "U" else "int32"
    assert _calls(lambda x: x, array, 1, [((None,), dtype)])[1] == [eager]


def test_a_function_that_is_traced_within_an_eager_call_is_no_part_of_it():
    seen = []

    def function(x):
        traced(lambda y: seen.append(folded(lambda i, state: [state[0] + y], 100, [y])[0]), VECTOR)
        return x

    assert _calls(function, np.ones(2), 1)[1] == [True]
    assert len(seen) == 1


@pytest.mark.parametrize("derivative", [linearize, record])
@pytest.mark.parametrize("copies, eager", [(2, True), (40, False)])
def test_samples_repeated_to_a_large_batch_are_compiled_at_once(derivative, copies, eager):
    def function(x):
        points = [ops.tile(x, (copies, 1))]
        if derivative is linearize:
            return linearize(lambda inputs: ([ops.sum(inputs[0] ** 2)], None), points).pull([tf.constant(1.0)])
        return record(lambda inputs: [ops.sum(inputs[0] ** 2)], points).pull([tf.constant(1.0)])

    ((found,),), seen = _calls(function, np.ones((1, 2**15)), 1, [((None, 2**15), "float32")])
    assert seen == ([True] if eager else [True, False])
    assert found.shape[0] == copies and float(found[0, 0]) == 2.0


@pytest.mark.parametrize("options", [{"eager_first": False}, {"jit_compile": True}])
def test_programs_that_are_compiled_at_once(options):
    assert _calls(lambda x: x, np.ones(2), **options)[1] == [False]


def test_an_error_of_an_eager_call_is_an_error():
    def function(x):
        raise ZeroDivisionError

    program = compiled(function, VECTOR)
    for _ in range(CALLS + 1):
        with pytest.raises(ZeroDivisionError):
            program(np.ones(2))


def test_a_product_is_prepared_when_it_is_used():
    """The transpose of the vector-Jacobian product costs a pass."""
    line = linearize(lambda inputs: ([ops.sin(inputs[0])], None), [tf.constant([0.0, 1.0])])
    assert "push" not in vars(line)
    np.testing.assert_allclose(line.push([tf.constant([1.0, 2.0])])[0], [1.0, 2 * np.cos(1.0)], rtol=1e-6)
    assert line.push is line.push
