"""Tokens, and derivatives that do not exist: never zeros."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.attribution import (
    LRP,
    DeepLIFT,
    GradientSHAP,
    GradientTimesInput,
    IntegratedGradients,
    Occlusion,
    Saliency,
    SmoothGrad,
)
from keras_xai.features import maximize_activation
from tests.slow import quickly

TOKENS = np.random.default_rng(0).integers(1, 20, (2, 6))
X = np.random.default_rng(1).normal(size=(3, 6)).astype("float32")
GRADIENT_METHODS = {
    "saliency": Saliency,
    "times input": GradientTimesInput,
    "integrated": lambda model: IntegratedGradients(model, steps=8),
    "smooth": lambda model: SmoothGrad(model, num_samples=4, seed=0),
    "expected": lambda model: GradientSHAP(model, num_samples=20, seed=0),
    "differences": DeepLIFT,
    "lrp": LRP,
}


def text_model(dtype, before=lambda x: x):
    keras.utils.set_random_seed(0)
    tokens = keras.Input((6,), dtype=dtype)
    x = layers.Embedding(20, 4)(before(tokens))
    return keras.Model(tokens, layers.Dense(3)(layers.GlobalAveragePooling1D()(layers.Reshape((6, 4))(x))))


@pytest.mark.parametrize("name", quickly(GRADIENT_METHODS, "saliency", "integrated"))
def test_tokens_in_floats_are_tokens(name):
    method = GRADIENT_METHODS[name]
    whole, real = (method(text_model(dtype))(TOKENS, target=1).values for dtype in ("int32", "float32"))
    assert np.abs(whole).min(axis=1).max() > 1e-5
    np.testing.assert_array_equal(real, whole)


def test_their_gradient_is_that_of_the_vectors():
    model = text_model("float32")
    x = keras.Input((6, 4))
    behind = keras.Model(x, model.layers[-1](model.layers[-2](x)))
    vectors = ops.convert_to_numpy(model.layers[1](TOKENS))
    np.testing.assert_allclose(
        GradientTimesInput(model)(TOKENS, target=1).values,
        GradientTimesInput(behind)(vectors, target=1).values.sum(axis=-1),
        rtol=1e-5,
    )


PASSED = {
    "cast": lambda x: ops.cast(x, "int32"),
    "reshaped": layers.Reshape((2, 3)),
    "expanded": lambda x: ops.expand_dims(ops.cast(x, "int64"), 1),
}


@pytest.mark.parametrize("name", quickly(PASSED, "reshaped"))
def test_tokens_that_are_cast_or_reshaped(name):
    plain, moved = (Saliency(text_model("float32", each))(TOKENS, target=1).values for each in (lambda x: x, PASSED[name]))
    np.testing.assert_allclose(moved, plain, rtol=1e-5)


def test_a_code_beside_numbers():
    code, numbers = keras.Input((1,), name="code"), keras.Input((6,), name="numbers")
    parts = [layers.Flatten()(layers.Embedding(7, 3)(code)), numbers]
    model = keras.Model([code, numbers], layers.Dense(1)(layers.Dense(8, "tanh")(layers.Concatenate()(parts))))
    given = [np.array([[1], [3], [6]]), X]
    found = IntegratedGradients(model, steps=16)(given)
    assert np.abs(found.values[0]).max() > 1e-4
    sums = sum(each.sum(axis=1) for each in found.values)
    rise = model.predict(given, verbose=0) - model.predict([0 * each for each in given], verbose=0)
    np.testing.assert_allclose(sums, rise[:, 0], rtol=1e-3, atol=1e-5)


def test_one_input_for_codes_and_numbers_is_refused():
    x = keras.Input((6,), name="mixed")
    both = layers.Concatenate()([layers.Flatten()(layers.Embedding(9, 2)(x)), x])
    with pytest.raises(ValueError, match="input 'mixed' of dtype float32, which is used by"):
        Saliency(keras.Model(x, layers.Dense(2)(both)))(np.floor(np.abs(X)), target=0)


class Rounded(layers.Layer):
    def call(self, x):
        return ops.round(x)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


BREAKS = {
    "round": (lambda x: ops.round(x), "Round"),
    "floor": (lambda x: ops.floor(x), "Floor"),
    "sign": (lambda x: ops.sign(x), "Sign"),
    "custom": (Rounded(name="rounded"), "'rounded' \\(Round\\)"),
    "integers": (lambda x: ops.cast(ops.cast(3 * x, "int32"), "float32"), "Cast"),
    "argmax": (lambda x: ops.one_hot(ops.argmax(x, axis=-1), 4), "Argmax"),
    "comparison": (lambda x: ops.cast(x > 0, "float32"), "Greater"),
    "bins": (lambda x: ops.cast(layers.Discretization([0.0, 1.0])(x), "float32"), "Discretization"),
}


def broken(step, beside=False):
    x = keras.Input((6,), name="numbers")
    hidden = layers.Dense(4, "tanh", name="hidden")(x)
    lost = layers.Dense(3)(step(hidden))
    return keras.Model(x, lost + layers.Dense(3)(hidden) if beside else lost)


@pytest.mark.parametrize("name", quickly(BREAKS, "round", "custom", "integers", "comparison"))
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another path"])
def test_derivatives_that_do_not_exist_are_refused_by_name(name, beside):
    step, named = BREAKS[name]
    if beside and name == "comparison":
        pytest.skip("a comparison beside a path of real numbers chooses a branch")
    model = broken(step, beside)
    with pytest.raises(ValueError, match=f"derivative with respect to the input 'numbers'.*{named}"):
        Saliency(model)(X, target=0)
    if named == "Round" and not beside:
        assert np.isfinite(Occlusion(model)(X, target=0).values).all()


@pytest.mark.parametrize("name", quickly(GRADIENT_METHODS, "times input", "smooth"))
def test_every_gradient_method_refuses_them(name):
    with pytest.raises(ValueError, match="round"):
        GRADIENT_METHODS[name](broken(lambda x: ops.round(x)))(X, target=0)


def test_what_a_score_does_not_depend_on_is_zero():
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    first, second = layers.Dense(2, name="first")(a), layers.Dense(2, name="second")(ops.round(b))
    model = keras.Model([a, b], [first, second])
    of_a, of_b = Saliency(model)([X, X], target={"first": 0}).values
    assert np.abs(of_a).min() > 0 and not of_b.any()
    with pytest.raises(ValueError, match="the input 'b'.*Round"):
        Saliency(model)([X, X], target={"second": 0})


def test_comparisons_that_choose_a_branch_are_differentiated():
    x = keras.Input((6,))
    model = keras.Model(x, layers.Dense(1, use_bias=False)(ops.where(x > 0, x, 0.5 * x)))
    slope = np.where(X > 0, 1, 0.5) * ops.convert_to_numpy(model.layers[-1].kernel)[:, 0]
    np.testing.assert_allclose(Saliency(model)(X).values, slope, rtol=1e-5)


def test_an_input_of_tokens_cannot_be_climbed():
    with pytest.raises(ValueError, match="one real-valued input"):
        maximize_activation(text_model("float32"), units=0)
