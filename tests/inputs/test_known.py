"""Bad inputs that were raw errors or wrong values, each with what it is to be now."""

import pickle
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_xai import attribution, features
from keras_xai.attribution import Explanation, Method, Part, Saliency
from keras_xai.graph import trace
from keras_xai.kinds import Affine, Composite, register
from keras_xai.losses import FBILoss, fbi_penalty
from keras_xai.metrics import Deletion
from keras_xai.models import FBIModel
from keras_xai.openbox import OpenBox
from tests.data.kinds import dataset
from tests.results.examples import RESULTS

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
Y = np.arange(6) % 3


@pytest.fixture
def model():
    return keras.Sequential(
        [keras.Input((4,), name="table"), layers.Dense(6, "relu", name="c1"), layers.Dense(3, "softmax", name="scores")]
    )


def test_layers_that_are_no_paths(model):
    for layer in (3, ["c1"], b"c1"):
        with pytest.raises(ValueError, match="Expected the path of a layer.*Received: layer="):
            OpenBox(model, layer=layer)
    with pytest.raises(ValueError, match="Expected `layers` to be a list of different paths.*Received: layers="):
        FBIModel(model, layers=["c1", "c1"])


@pytest.mark.parametrize(
    "bad, message",
    [
        (lambda x: x * np.nan, "finite numbers"),
        (lambda x: tf.constant(x * np.nan), "finite numbers"),
        (lambda x: x.astype(complex), "real numbers"),
        (lambda x: tf.constant(x.astype(complex)), "real numbers"),
        (lambda x: x.astype(str), "real numbers"),
        (lambda x: tf.constant(x.astype(str)), "real numbers"),
        (lambda x: x[0], "shape"),
        (lambda x: tf.constant(x[0]), "shape"),
        (lambda x: tf.constant(x[:, :3]), "shape"),
        (lambda x: np.ma.masked_array(x, x > 0), "masked entries"),
        (lambda x: tf.RaggedTensor.from_tensor(x, lengths=[2] * 6), "dense"),
        (lambda x: tf.sparse.from_dense(x), "dense"),
    ],
)
def test_fbi_penalty(bad, message, model):
    with pytest.raises(ValueError, match=f"(?s)Expected.*{message}.*Received"):
        fbi_penalty(model, bad(X), Y)
    with pytest.raises(ValueError, match=f"(?s)Expected.*{message}.*Received"):
        FBILoss("sparse_categorical_crossentropy")(model, bad(X), Y)


def test_tensors_that_are_right_are_taken(model):
    expected = fbi_penalty(model, X, Y)
    np.testing.assert_array_equal(fbi_penalty(model, tf.constant(X), Y), expected)
    compiled = tf.function(lambda x: fbi_penalty(model, x, Y))
    np.testing.assert_allclose(compiled(tf.constant(X)), expected, rtol=1e-5)
    one = keras.Sequential([keras.Input((1,)), layers.Dense(2, "relu"), layers.Dense(3)])
    np.testing.assert_array_equal(fbi_penalty(one, tf.constant(X[:, 0]), Y), fbi_penalty(one, X[:, :1], Y))


def test_paths_of_folders():
    for path in ("folder/", "."):
        with pytest.raises(IsADirectoryError, match="Expected `path` to be that of a file. Received: path="):
            RESULTS["Explanation"]().save(path)
    with pytest.raises(TypeError, match="Expected `path` to be a path.*Received: path=3"):
        Explanation.load(3)


def test_a_layer_is_not_taken_for_a_part_of_another():
    """Names with dots, as of models that come from PyTorch: "block.conv" is no part of "block"."""
    x = keras.Input((4,))
    y = layers.Dense(5, "relu", name="block")(x)
    z = layers.Dense(6, "relu", name="block.conv")(y)
    z = layers.Dense(7, "relu", name="block.relu")(z)  # as the activation of "block" is called
    model = keras.Model(x, layers.Dense(3)(z))
    found = features.extreme_examples(model, X, layer="block", k=1, verbose=0)
    assert len(found.units) == 5
    maximized = features.maximize_activation(model, 0, layer="block", ascent=features.Ascent(steps=1), seed=0, verbose=0)
    assert maximized.layer == "block"
    composite = attribution.EpsilonPlus(layers={"block": attribution.Flat()})
    flat = attribution.LRP(model, composite=composite)(X).values
    np.testing.assert_allclose(
        flat, np.broadcast_to(flat[:, :1], flat.shape), rtol=1e-4
    )  # shared equally, by this layer alone
    assert np.ptp(attribution.LRP(model)(X).values, axis=1).min() > 1e-3


def test_names_of_calls_are_distinct():
    x = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    other = layers.Dense(4, name="shared:1")
    model = keras.Model(x, layers.Dense(2, name="end")(shared(other(shared(x)))))
    paths = [step.path for step in trace(model).steps]
    assert paths == ["shared", "shared:1", "shared:2", "end"]
    assert trace(model).find("shared:1").operation is other


def test_outputs_of_one_layer_have_distinct_names():
    x = keras.Input((4,))
    head = layers.Dense(3, name="head")
    model = keras.Model(x, [head(x), head(layers.Dense(4, "relu")(x))])
    assert trace(model).output_names == ("head", "head:1")
    first, second = (Saliency(model)(X, {name: 0}).values for name in ("head", "head:1"))
    alone = [Saliency(keras.Model(x, output))(X, 0).values for output in model.outputs]
    np.testing.assert_array_equal(first, alone[0])
    np.testing.assert_array_equal(second, alone[1])
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    "target",
    [
        lambda scores: scores[:, 0] - ops.mean(scores[:, 0]),
        lambda scores: scores[:, 0] / ops.max(scores),
        lambda scores: scores[::-1, 1],
        lambda scores: [scores[0][0]] * 6,
        lambda scores: ops.softmax(scores, axis=0)[:, 2],
    ],
)
def test_targets_that_mix_samples(target, model):
    with pytest.raises(ValueError, match="Expected a callable `target` whose value of a sample depends on the scores of that"):
        Saliency(model)(X, target)


@pytest.mark.parametrize(
    "target",
    [
        lambda scores: scores[:, 0] - ops.mean(scores, axis=-1),
        lambda scores: ops.log(scores[:, 1]),  # NaN for some scores
        lambda scores: [scores[i][i % 3] for i in range(6)],
        lambda scores: ops.max(scores, axis=-1),
    ],
)
def test_targets_that_do_not(target, model):
    bound = Saliency(model).scores.target(target, 6)
    assert bound.choices[0][1] is not None


def test_a_target_that_returns_nothing(model):
    with pytest.raises(ValueError, match="must map the scores to one value per sample. Received: None"):
        Saliency(model)(X, lambda scores: None)


def test_a_list_of_values_needs_all_samples_at_once(model):
    method = Saliency(model, batch_size=4)
    target = [0, 1, 2, 0, 1, 2]

    def function(scores):
        return [scores[i][k] for i, k in enumerate(target)]

    np.testing.assert_allclose(method(X, function).values, method(X, target).values, rtol=1e-5)
    with pytest.raises(ValueError, match="Expected a callable `target`.*Received"):
        method(dataset(X), function)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
@pytest.mark.parametrize("token", [-1, 10, 2.5])
@pytest.mark.parametrize("name", ["Saliency", "IntegratedGradients", "Occlusion", "LIME"])
def test_tokens_that_no_embedding_has(name, token, dtype):
    model = keras.Sequential(
        [
            keras.Input((3,), dtype=dtype, name="tokens"),
            layers.Embedding(10, 4, name="table"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    x = np.array([[1, 2, 3], [4, 9, 0]], dtype if token != 2.5 else "float32")
    getattr(attribution, name)(model)(x)
    x[1, 1] = token
    with pytest.raises(ValueError, match="Expected tokens of input 'tokens' to be integers from 0 to 9.*'table'.*in sample 1"):
        getattr(attribution, name)(model)(x)
    with pytest.raises(ValueError, match="Expected tokens of input 'tokens'"):
        features.activations(model, x, ["table"], verbose=0)


def test_pickles_of_compiled_models_keep_the_loss(model):
    regularized = FBIModel(model, weight=0.25)
    regularized.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    regularized.fit(X, Y, verbose=0)
    expected = regularized.evaluate(X, Y, verbose=0, return_dict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        copy = pickle.loads(pickle.dumps(regularized))
    assert copy.evaluate(X, Y, verbose=0, return_dict=True) == pytest.approx(expected)
    copy.fit(X, Y, verbose=0)
    assert not pickle.loads(pickle.dumps(FBIModel(keras.models.clone_model(model)))).compiled


def test_a_frozen_fbi_model(model):
    frozen = FBIModel(model, trainable=False)
    assert not frozen.trainable_variables and not model.trainable_variables
    assert not FBIModel.from_config(frozen.get_config()).trainable


def test_a_saved_function_says_that_it_is_gone(model, tmp_path):
    def my_target(scores):
        return scores[:, 0]

    explanation = Saliency(model)(X, my_target)
    explanation.save(tmp_path / "file.npz")
    loaded = Explanation.load(tmp_path / "file.npz")
    assert loaded == explanation
    assert "my_target" in repr(loaded.target) and "not in the file" in repr(loaded.target)
    with pytest.raises(ValueError, match="read from a file, which holds the names of functions only"):
        Deletion(model)(loaded)
    loaded.save(tmp_path / "again.npz")
    assert Explanation.load(tmp_path / "again.npz") == explanation


def test_facets_of_samples_with_few_of_them():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2, "relu", name="hidden"), layers.Dense(2)])
    # The walls x0 = 0 and x0 = 1: between them both are facets, beyond them the nearer one alone.
    model.layers[0].set_weights([np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([0.0, -1.0])])
    local = OpenBox(model)(np.array([[0.4, 5.0], [3.0, -9.0]]), verbose=0)
    found = local.nearest_facets(10, verbose=0)
    assert [len(each) for each in found] == [2, 1]
    for few in (1, 2):
        for one, other in zip(local.nearest_facets(few, verbose=0), found, strict=True):
            np.testing.assert_array_equal(one.distance, other.distance[:few])


class _Nothing(Method):
    """Divides zero by zero."""

    def _prepare(self, target):
        predicted = self.scores.predictor(target)
        return lambda batch: Part([x * np.nan for x in batch.inputs], predicted(batch.inputs, batch.indices), None, 1)


def test_a_custom_method_that_returns_nan(model):
    with pytest.raises(ValueError, match="Expected finite values from `_Nothing`.*scores of the model.*are finite.*_prepare"):
        _Nothing(model)(X)
    model.layers[0].kernel.assign(np.full((4, 6), np.nan))
    with pytest.raises(ValueError, match="scores"):
        _Nothing(model)(X)


INDEXED = [name for name, make in RESULTS.items() if hasattr(make(), "__getitem__")]


def _pieces():
    keras.utils.set_random_seed(0)
    return OpenBox(keras.Sequential([keras.Input((4,)), layers.Dense(3, "relu"), layers.Dense(2)]))(X, verbose=0)


@pytest.mark.parametrize("name", [*INDEXED, "LinearPieces"])
def test_all_results_are_indexed_alike(name):
    result = _pieces() if name == "LinearPieces" else RESULTS[name]()
    count = len(result)
    for bad in (True, np.True_, [[0]], count, -count - 1, 1.0, None, "zz", (0,), [True] * (count + 1), [0.5], np.array([[0]])):
        with pytest.raises((IndexError, KeyError), match="Expected.*`index`.*Received: index="):
            result[bad]
    assert len(result[:0]) == 0 == len(result[[]])
    assert repr(result[:0]) and result[:0]._repr_html_()
    assert len(result[[0]]) == 1 == len(result[-1:]) == len(result[np.arange(count) == 0])
    assert len(result[[0, 0]]) in (1, 2)  # layers have names, and are there once


@pytest.mark.parametrize("samples", [2.0, [[0]], [0.0], True, "all", np.array([[0]])])
def test_samples_to_plot(samples):
    with pytest.raises(ValueError, match="Expected `samples`.*Received: samples="):
        RESULTS["Explanation"]().plot(samples=samples)


def test_a_class_in_place_of_a_kind():
    class Leak(layers.Layer):
        pass

    for kind in (Affine, Composite, None, "affine"):
        with pytest.raises(TypeError, match="Expected `kind` to be an instance of a `Kind`.*Received: kind="):
            register(Leak, kind)


def test_samples_of_padding_only():
    ids, mask = keras.Input((4,), dtype="int32", name="ids"), keras.Input((4,), dtype="int32", name="padding_mask")
    vectors = layers.Embedding(9, 3)(ids)
    vectors = layers.MultiHeadAttention(1, 2)(vectors, vectors, key_mask=mask)
    beside = keras.Model({"ids": ids, "padding_mask": mask}, layers.Dense(2)(layers.Flatten()(vectors)))
    zero = keras.Sequential(
        [
            keras.Input((4,), name="ids"),
            layers.Embedding(9, 3, mask_zero=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2),
        ]
    )
    some = np.array([[1, 2, 0, 0], [0, 0, 0, 0]], "int32")
    for model, x in ((zero, some), (beside, {"ids": some + 1, "padding_mask": some})):
        for method in (Saliency, attribution.Occlusion):
            with pytest.raises(
                ValueError, match=r"something to explain. Received: sample 1, in which all of \['ids'\] is padding"
            ):
                method(model)(x, target=1)
            kept = x[:1] if model is zero else {name: each[:1] for name, each in x.items()}
            method(model)(kept, target=1)  # the advice works


def test_outputs_without_a_default_target():
    maps = keras.Sequential([keras.Input((6, 6, 1)), layers.Conv2D(3, 3, name="maps")])
    method = Saliency(maps)
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 1))
    with pytest.raises(ValueError, match=r"Expected a class output of shape \(n, classes\), or a `target`.*Received"):
        method(x)
    assert method(x, lambda scores: scores[:, 1, 1, 0]).values.any()  # the advice works
