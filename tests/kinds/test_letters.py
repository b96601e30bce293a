"""The letters of products of tensors: `einsum` with them is the product."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.graph import trace
from keras_xai.kinds.expansion import kind_of

PRODUCTS = {
    "matmul": (ops.matmul, (2, 3, 4), (2, 4, 5)),
    "matmul of a matrix for each stack": (ops.matmul, (2, 3, 4, 6), (3, 6, 5)),
    "einsum": (lambda x, y: ops.einsum("bqk,bkc->bcq", x, y), (3, 4), (4, 5)),
    "einsum with an ellipsis": (lambda x, y: ops.einsum("...qk,...kc->...qc", x, y), (2, 3, 4), (2, 4, 5)),
    "einsum with an ellipsis that one lacks": (lambda x, y: ops.einsum("b...k,bkc->b...c", x, y), (2, 3, 4), (4, 5)),
    "dot of the last axes": (lambda x, y: layers.Dot(axes=2)([x, y]), (3, 4), (5, 4)),
    "dot of two axes": (lambda x, y: layers.Dot(axes=(2, 1))([x, y]), (3, 4), (4, 5)),
    "dot of first axes": (lambda x, y: layers.Dot(axes=1)([x, y]), (3, 4), (3, 5)),
}
UNKNOWN = {
    "normalized": (lambda x, y: layers.Dot(axes=2, normalize=True)([x, y]), (3, 4), (5, 4)),
    "vectors": (lambda x, y: layers.Dot(axes=1)([x, y]), (4,), (4,)),
    "entries": (ops.multiply, (3, 4), (3, 4)),
}


def step_of(product, *shapes):
    inputs = [keras.Input(shape) for shape in shapes]
    (step,) = trace(keras.Model(inputs, product(*inputs))).steps
    return step


@pytest.mark.parametrize("name", PRODUCTS)
def test_einsum_of_the_letters_is_the_product(name):
    product, *shapes = PRODUCTS[name]
    step = step_of(product, *shapes)
    one, other, output = kind_of(step).letters(step)
    rng = np.random.default_rng(0)
    tensors = [rng.normal(size=(2, *shape)) for shape in shapes]
    expected = ops.convert_to_numpy(step(*tensors)[0])
    np.testing.assert_allclose(np.einsum(f"{one},{other}->{output}", *tensors), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", UNKNOWN)
def test_other_products_have_none(name):
    step = step_of(*UNKNOWN[name])
    assert kind_of(step).letters(step) is None
