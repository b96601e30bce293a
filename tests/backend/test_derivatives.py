"""Products with a Jacobian, against the Jacobian itself."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xai.backend import compiled, folded, linearize, stacked

MATRIX = np.random.default_rng(0).normal(size=(3, 4))


def _function(inputs):
    x, y = inputs
    return [tf.sin(x @ MATRIX) * y, tf.square(y)], "auxiliary"


@pytest.mark.parametrize("jit_compile", [False, True])
def test_products_equal_those_with_the_jacobian(jit_compile):
    generator = np.random.default_rng(1)
    x, y, dx, dy = (generator.normal(size=shape) for shape in ((2, 3), (2, 4), (2, 3), (2, 4)))
    a, b = generator.normal(size=(2, 4)), generator.normal(size=(2, 4))

    def products(x, y, dx, dy, a, b):
        line = linearize(_function, [x, y])
        assert line.auxiliary == "auxiliary"
        return line.outputs, line.push([dx, dy]), line.pull([a, b])

    signature = [(array.shape, "float64") for array in (x, y, dx, dy, a, b)]
    outputs, pushed, pulled = compiled(products, signature, jit_compile=jit_compile)(x, y, dx, dy, a, b)

    np.testing.assert_allclose(outputs[0], np.sin(x @ MATRIX) * y)
    slope = np.cos(x @ MATRIX) * y
    np.testing.assert_allclose(pushed[0], dx @ MATRIX * slope + np.sin(x @ MATRIX) * dy)
    np.testing.assert_allclose(pushed[1], 2 * y * dy)
    np.testing.assert_allclose(pulled[0], (a * slope) @ MATRIX.T)
    np.testing.assert_allclose(pulled[1], a * np.sin(x @ MATRIX) + 2 * b * y)


def test_inputs_that_do_not_matter_have_zero_derivative():
    line = linearize(lambda inputs: ([2 * inputs[0]], None), [tf.ones(2), tf.ones(3)])
    np.testing.assert_array_equal(line.pull([tf.ones(2)])[1], np.zeros(3))


def test_loops():
    x = tf.constant([1.0, 2.0])
    rows = compiled(lambda x: stacked(lambda i: tf.cast(i, x.dtype) * x, 3, "float32"), [((2,), "float32")])(x)
    np.testing.assert_array_equal(rows, [[0, 0], [1, 2], [2, 4]])
    total = compiled(
        lambda x: folded(lambda i, state: [state[0] + tf.cast(i, x.dtype) * x], 4, [tf.zeros(2)]), [((2,), "float32")]
    )(x)
    np.testing.assert_array_equal(total[0], [6, 12])


def test_a_reverse_loop_of_a_network_runs_the_forward_pass_once():
    """Ten products cost ten backward passes, not ten more forward ones: there is one forward convolution in the graph."""
    convolution = keras.layers.Conv2D(2, 3)
    convolution.build((None, 5, 5, 1))

    def rows(x):
        line = linearize(lambda inputs: ([convolution(inputs[0])], None), [x])
        return stacked(lambda i: line.pull([tf.cast(i, x.dtype) * tf.ones_like(line.outputs[0])])[0], 10, "float32")

    program = tf.function(rows, input_signature=[tf.TensorSpec((None, 5, 5, 1))], autograph=False)
    operations = program.get_concrete_function().graph.get_operations()
    assert [operation.type for operation in operations].count("Conv2D") == 1
