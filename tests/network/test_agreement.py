"""The scores that are explained are those of the model itself."""

import contextlib
import copy
import dataclasses

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai import attribution
from keras_xai.attribution import LIME, IntegratedGradients, Occlusion, Saliency
from keras_xai.losses import fbi_penalty
from keras_xai.metrics import Deletion
from keras_xai.network import Network
from keras_xai.network import scores as scores_module
from keras_xai.network.scores import Scores
from keras_xai.openbox import OpenBox
from tests.slow import quickly

X = np.random.default_rng(0).normal(size=(4, 10)).astype("float32")


def table_model(*extra, units=3):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((10,)), layers.Dense(16, "relu"), *extra, layers.Dense(units)])


def drop(model, x, entry=0):
    """The right value of occluding one entry of each sample."""
    hidden = x.copy()
    hidden[:, entry] = 0
    return model.predict(x, verbose=0)[:, 1] - model.predict(hidden, verbose=0)[:, 1]


@pytest.mark.parametrize("mode", quickly(["int8", "float8", "int4"], "int8"))
@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have a `quantize`")
def test_quantized_models(mode):
    model = table_model()
    before, explanation = drop(model, X), Saliency(model)(X, target=1)
    model.quantize(mode)
    assert np.abs(drop(model, X) - before).max() > 1e-4  # the quantized function is another one
    np.testing.assert_allclose(Occlusion(model)(X, target=1).values[:, 0], drop(model, X), atol=1e-5)
    assert np.isfinite(Deletion(model)(explanation)).all()
    with pytest.raises(ValueError, match="'dense.*' \\(Dense\\), which has none, as rounding"):
        IntegratedGradients(model)(X, target=1)
    with pytest.raises(ValueError, match="quantized"):
        OpenBox(model)
    with pytest.raises(ValueError, match="quantized"):
        fbi_penalty(model, X, np.zeros(4, int))


class StaysRandom(layers.Dropout):
    def call(self, x):
        return super().call(x, training=True)


class SharedNoise(layers.Layer):
    """The same noise for all rows: neither rows nor batches tell."""

    def __init__(self, **options):
        super().__init__(**options)
        self.generator = keras.random.SeedGenerator(0)

    def call(self, x):
        return x + keras.random.normal((1, x.shape[-1]), seed=self.generator)


class BatchCentered(layers.Layer):
    def call(self, x):
        return x - ops.mean(x, axis=0, keepdims=True)


class ByRow(layers.Layer):
    def call(self, x):
        return x * (1 + ops.cast(ops.arange(ops.shape(x)[0]), x.dtype)[:, None])


REFUSED = {
    "random": (lambda: StaysRandom(0.5, name="culprit"), "draws random numbers at inference.*'culprit'.* stay random"),
    "shared noise": (lambda: SharedNoise(name="culprit"), "draws random numbers at inference.*'culprit'"),
    "whole batch": (lambda: BatchCentered(name="culprit"), "in two batches.*'culprit.mean' \\(Mean\\).*whole batch"),
    "row": (lambda: ByRow(name="culprit"), "in two rows of a batch.*'culprit' \\(ByRow\\)"),
}


@pytest.mark.parametrize("make, message", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("count", [1, 4])
def test_scores_that_depend_on_more_than_the_sample_are_refused(make, message, count):
    model = table_model(make())
    state = [ops.convert_to_numpy(variable) for variable in model.variables]
    for method in (Occlusion(model), Saliency(model), LIME(model, num_samples=10, seed=0)):
        with pytest.raises(ValueError, match=f"{message}"):
            method(X[:count], target=1)
    with pytest.raises(ValueError, match=message):
        Deletion(model)(Saliency(table_model())(X, target=1))
    for variable, before in zip(model.variables, state, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), before)


def test_layers_that_are_random_in_training_only_are_not():
    model = table_model(layers.Dropout(0.5), layers.GaussianNoise(0.3), layers.BatchNormalization())
    np.testing.assert_allclose(Occlusion(model)(X, target=1).values[:, 0], drop(model, X), atol=1e-5)


def test_layers_that_changed_after_the_model_was_read():
    normalization = layers.Normalization(name="scaling")
    normalization.adapt(X)
    model = keras.Sequential([keras.Input((10,)), normalization, layers.Dense(3)])
    method, box = Saliency(model), OpenBox(model)
    right = method(X, target=1).values
    box(X)
    normalization.adapt(10 * X)
    for each in (lambda: method(X, target=1), lambda: box(X)):
        with pytest.raises(ValueError, match="'scaling'.* were changed after the model was read.*again"):
            each()
    np.testing.assert_allclose(Saliency(model)(X, target=1).values, right / 10, rtol=1e-4)


def test_lora():
    model = table_model()
    method = Saliency(model)
    method(X, target=1)
    model.layers[0].enable_lora(2)
    method(X, target=1)  # whose weights are zero at first
    model.layers[0].lora_kernel_b.assign(np.ones((2, 16)))
    with pytest.raises(ValueError, match="LoRA.*changed after"):
        method(X, target=1)
    np.testing.assert_allclose(Occlusion(model)(X, target=1).values[:, 0], drop(model, X), atol=1e-5)
    found = IntegratedGradients(model)(X, target=1)
    assert np.abs(found.convergence_delta).max() < 1e-2 * np.abs(found.values).max()


def test_weights_may_change():
    model = table_model()
    method = Saliency(model)
    before = method(X, target=1).values
    model.layers[-1].kernel.assign(2 * model.layers[-1].kernel)
    model.trainable = False
    np.testing.assert_allclose(method(X, target=1).values, 2 * before, rtol=1e-5)


def test_a_wrong_function_is_noticed(monkeypatch):
    model = table_model()
    monkeypatch.setattr(scores_module, "expand", lambda graph, **_: _with_another_last_layer(graph))
    with pytest.raises(ValueError, match="does not return the scores that keras_xai computes: they differ by up to"):
        Saliency(model)(X, target=1)


def _with_another_last_layer(graph):
    last = copy.copy(graph.steps[-1].operation)
    last.bias.assign([0.1, 0.0, 0.0])
    return dataclasses.replace(graph, steps=(*graph.steps[:-1], dataclasses.replace(graph.steps[-1], operation=last)))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16", "float64"])
def test_rounding_is_no_difference(policy):
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        x = keras.Input((10,))
        h = layers.Dense(300, "relu")(100 * x)
        for _ in range(3):
            h = layers.LayerNormalization()(h + layers.Dense(300, "gelu")(h))
        model = keras.Model(x, layers.Dense(5, "softmax", dtype="float32")(h))
    finally:
        keras.config.set_dtype_policy(previous)
    Scores(model).check_same_function([X])


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16", "float64"])
def test_more_than_rounding_is_one(policy, monkeypatch):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((10,)), layers.Dense(8, "relu", dtype=policy), layers.Dense(3, dtype=policy)])
    wrong = {"float32": 1.01, "mixed_float16": 1.3, "mixed_bfloat16": 3.0, "float64": 1 + 1e-6}[policy]
    monkeypatch.setattr(Network, "outputs", lambda self, values: [wrong * values[each] for each in self.graph.outputs])
    with pytest.raises(ValueError, match="differ by up to"):
        Scores(model).check_same_function([X])


def test_more_than_rounding_is_one_beside_what_attention_hides(monkeypatch):
    """Attention adds -1e9 to hidden entries, of which a rounding error would be large."""
    keras.utils.set_random_seed(0)
    tokens = keras.Input((4,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(tokens)
    x = layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 4)(x, x))
    scores = Scores(keras.Model(tokens, layers.Dense(3)(x)), unroll=True)
    monkeypatch.setattr(Network, "outputs", lambda self, values: [1.01 * values[each] for each in self.graph.outputs])
    with pytest.raises(ValueError, match="differ by up to"):
        scores.check_same_function([np.array([[1, 2, 0, 0]])])


def test_several_inputs_and_outputs_in_dicts():
    a, b = keras.Input((10,), name="b_first"), keras.Input((4,), dtype="int32", name="a_second")
    hidden = layers.Concatenate()([a, layers.Flatten()(layers.Embedding(5, 2)(b))])
    outputs = {"z": layers.Dense(2, "softmax")(hidden), "y": [layers.Dense(3)(hidden), layers.Dense(1, "sigmoid")(hidden)]}
    model = keras.Model({"one": a, "two": b}, {"z": outputs["z"], "y": outputs["y"][0], "x": outputs["y"][1]})
    Scores(model).check_same_function([X, np.zeros((4, 4), "int32")])


@pytest.mark.parametrize("name", quickly(["GradientTimesInput", "IntegratedGradients", "Occlusion"], "GradientTimesInput"))
def test_a_stateful_network_of_fixed_batch_size(name):
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(3, 4, 3)).astype("float32")
    model = keras.Sequential([keras.Input(batch_shape=(1, 4, 3)), layers.SimpleRNN(5, stateful=True), layers.Dense(2)])
    plain = keras.Sequential([keras.Input((4, 3)), layers.SimpleRNN(5), layers.Dense(2)])
    plain.set_weights(model.get_weights())
    method = getattr(attribution, name)
    expected = method(plain)(x, target=1).values
    np.testing.assert_allclose(method(model)(x, target=1).values, expected, rtol=1e-4, atol=1e-6)
    model.predict(x[:1], verbose=0)
    state = [ops.convert_to_numpy(each) for each in model.layers[0].states]
    later = method(model)(x, target=1).values
    assert np.abs(later - expected).max() > 1e-4  # it goes on from its state,
    for before, now in zip(state, model.layers[0].states, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(now), before)  # which stays


def test_states_that_differ_between_rows_are_refused():
    model = keras.Sequential(
        [keras.Input(batch_shape=(2, 8, 3)), layers.LSTM(5, stateful=True, name="memory"), layers.Dense(2)]
    )
    x = np.random.default_rng(0).normal(size=(2, 8, 3)).astype("float32")
    Saliency(model)(x, target=1)
    model.predict(x, verbose=0)
    with pytest.raises(ValueError, match="in two rows of a batch.*'memory' \\(LSTM\\).*reset"):
        Saliency(model)(x, target=1)


def test_values_of_zero_beside_a_jump_are_an_error():
    class Step(layers.Layer):
        def call(self, x):
            return ops.where(x > 0.5, 0 * x + 1, 0 * x)

    model = keras.Sequential([keras.Input((10,)), Step(), layers.Dense(2, kernel_initializer="ones")])
    with pytest.raises(ValueError, match="all values of IntegratedGradients are zero"):
        IntegratedGradients(model)(np.ones((2, 10)), target=1)
    assert not IntegratedGradients(model)(np.zeros((2, 10)) + 0.2, target=1).values.any()


def test_it_is_made_once(monkeypatch):
    model = table_model()
    calls = []
    monkeypatch.setattr(
        type(model), "__call__", lambda self, *args, **kwargs: calls.append(1) or keras.Layer.__call__(self, *args, **kwargs)
    )
    method = Saliency(model)
    for _ in range(3):
        method(X, target=1)
    assert len(calls) == 1


def test_masks_that_are_attached_at_run_time_only_are_told():
    """Keras' `ReversibleEmbedding` attaches its mask in `call()`, where a layer after it may read it."""

    class Averaged(layers.Layer):
        def call(self, x):
            mask = getattr(x, "_keras_mask", None)
            return ops.mean(x if mask is None else x * ops.cast(mask, x.dtype)[..., None], axis=1)

    x = keras.Input((6,), dtype="int32")
    embedded = layers.ReversibleEmbedding(9, 4, mask_zero=True, name="words")(x)
    model = keras.Model(x, layers.Dense(2)(Averaged()(embedded)))
    tokens = np.array([[1, 2, 3, 0, 0, 0], [4, 5, 0, 0, 0, 0]])
    with pytest.raises(ValueError, match="the layers \\['words'\\] attach masks when they run.*as arguments"):
        Saliency(model)(tokens, target=1)


def _depends_on_the_row():
    return ByRow(name="culprit")


@pytest.mark.parametrize("make, names_it", [(layers.Identity, None), (_depends_on_the_row, "culprit")])
@pytest.mark.parametrize("count, rows, more", [(4, 3, [3, 1]), (1, 2, [3, 1])])
def test_one_run_suffices_where_the_scores_are_the_models(make, names_it, count, rows, more, monkeypatch):
    """The control, a layer that depends on the row, takes more runs to name it."""
    model = keras.Sequential([keras.Input((3,)), make(), layers.Dense(2)])
    scores, sizes, run = Saliency(model)._scores, [], Network.run

    def counted(network, inputs, **options):
        sizes.append(len(inputs[0]))
        return run(network, inputs, **options)

    monkeypatch.setattr(Network, "run", counted)
    x = np.random.default_rng(0).normal(size=(count, 3)).astype("float32")
    with contextlib.nullcontext() if names_it is None else pytest.raises(ValueError, match=names_it):
        scores.check_same_function([x])
    assert sizes == [rows, *([] if names_it is None else more)]
