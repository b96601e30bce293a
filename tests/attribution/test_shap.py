"""SHAP: against exact Shapley values, against shap itself, and on models of which the values are known."""

import itertools
import math

import keras
import numpy as np
import pytest
import shap
from keras import layers
from tensorflow.python.eager import execute
from tensorflow.python.framework import ops as framework

from keras_xai.attribution.perturbation.isolation import random_state
from keras_xai.attribution.shapley.coalitions import halved
from keras_xai.attribution.shapley.shap import SHAP
from keras_xai.backend import gradients_restored
from keras_xai.openbox import UnsupportedLayerError

pytestmark = pytest.mark.filterwarnings("ignore")  # what shap and Keras say of each other, where shap is called directly


@pytest.fixture(scope="module")
def table():
    keras.utils.set_random_seed(0)
    stack = [keras.Input((5,)), layers.Dense(12, activation="tanh"), layers.Dense(3, kernel_initializer="orthogonal")]
    return keras.Sequential([*stack, layers.Softmax()])


@pytest.fixture(scope="module")
def scores(table):
    return keras.Model(table.inputs, table.layers[-2].output).predict_on_batch


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(3, 5)).astype("float32")


@pytest.fixture(scope="module")
def background():
    return np.random.default_rng(1).normal(size=(4, 5)).astype("float32")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(2).normal(size=(4, 8, 8, 1)).astype("float32")


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(3)
    stack = [keras.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
    return keras.Sequential([*stack, layers.Dense(8, activation="relu"), layers.Dense(3)])


def _game(scores, x, background, target):
    """The mean score over the background, by the set of features that are shown."""

    def worth(shown):
        rows = background.copy()
        rows[:, list(shown)] = x[list(shown)]
        return scores(rows)[:, target].mean(dtype="float64")

    return {frozenset(shown): worth(shown) for k in range(len(x) + 1) for shown in itertools.combinations(range(len(x)), k)}


def _shapley(worth, count):
    values = np.zeros(count)
    for shown in worth:
        for i in set(range(count)) - shown:
            weight = math.factorial(len(shown)) * math.factorial(count - len(shown) - 1) / math.factorial(count)
            values[i] += weight * (worth[shown | {i}] - worth[shown])
    return values


def _owen(worth, tree, count):
    """Owen values by definition: at each branch, its sibling is shown in one half of the cases and hidden in the other."""
    values = np.zeros(count)

    def leaves(node):
        return (
            frozenset([int(node)]) if node < count else leaves(tree[int(node) - count, 0]) | leaves(tree[int(node) - count, 1])
        )

    def visit(node, shown, weight):
        if node < count:
            values[int(node)] += weight * (worth[shown | {int(node)}] - worth[shown])
            return
        left, right = tree[int(node) - count, :2]
        for child, sibling in ((left, right), (right, left)):
            visit(child, shown, weight / 2)
            visit(child, shown | leaves(sibling), weight / 2)

    visit(2 * count - 2, frozenset(), 1.0)
    return values


def test_kernel_values_are_shapley_values(table, scores, x, background):
    found = SHAP(table, explainer="kernel")(x, target=1, baseline=background)
    for sample, values in zip(x, found.values, strict=True):
        np.testing.assert_allclose(values, _shapley(_game(scores, sample, background, 1), 5), atol=1e-5)
    np.testing.assert_allclose(found.convergence_delta, 0, atol=1e-9)
    # With one background sample in place of four they are others.
    assert np.abs(SHAP(table, explainer="kernel")(x, target=1, baseline=background[0]).values - found.values).max() > 0.05


def test_partition_values_are_owen_values(table, scores, x, background):
    found = SHAP(table, explainer="partition", num_samples=10_000)(x, target=2, baseline=background[:1])
    tree = halved(np.arange(5)[:, np.newaxis])
    shapley = []
    for sample, values in zip(x, found.values, strict=True):
        worth = _game(scores, sample, background[:1], 2)
        np.testing.assert_allclose(values, _owen(worth, tree, 5), atol=1e-5)
        shapley.append(_shapley(worth, 5))
    assert np.abs(found.values - shapley).max() > 1e-3  # the tree counts
    np.testing.assert_allclose(found.convergence_delta, 0, atol=1e-6)
    # Four samples tell which features go together: another tree, other values, the same sum.
    clustered = SHAP(table, explainer="partition", num_samples=10_000, seed=0)(x, target=2, baseline=background)
    np.testing.assert_allclose(clustered.convergence_delta, 0, atol=1e-6)
    np.testing.assert_allclose(
        SHAP(table, explainer="kernel")(x, target=2, baseline=background).values.sum(1), clustered.values.sum(1), atol=1e-5
    )


@pytest.mark.slow  # for what shap compiles
def test_images_are_halved_as_shap_does():
    count = 42
    theirs = shap.maskers.Image(np.zeros((7, 6, 1))).clustering
    ours = halved(np.stack(np.unravel_index(np.arange(count), (7, 6)), axis=1))

    def branches(tree, leaves):
        members = [frozenset([i]) for i in leaves] + [None] * len(tree)
        while None in members:
            for row, (left, right) in enumerate(tree[:, :2].astype(int)):
                if members[left] is not None and members[right] is not None:
                    members[count + row] = members[left] | members[right]
        return set(members)

    # shap numbers the leaves of its tree from the last pixel to the first.
    assert branches(ours, range(count)) == branches(theirs, range(count)[::-1])
    np.testing.assert_array_equal(np.sort(ours[:, 3]), np.sort(theirs[:, 3]))


@pytest.mark.parametrize("explainer", ["deep", "gradient", "kernel", "partition"])
def test_values_of_a_linear_model_are_weights_times_steps(explainer, x, background):
    model = keras.Sequential([keras.Input((5,)), layers.Dense(2)])
    weights = np.random.default_rng(4).normal(size=(5, 2))
    model.set_weights([weights, np.ones(2)])
    options = {} if explainer == "deep" else {"num_samples": 4000 if explainer == "gradient" else 100, "seed": 0}
    found = SHAP(model, explainer=explainer, **options)(x, target=[0, 1, 1], baseline=background)
    expected = weights.T[[0, 1, 1]] * (x - background.mean(axis=0))
    np.testing.assert_allclose(found.values, expected, atol=0.15 if explainer == "gradient" else 1e-5)
    assert found.method == f"SHAP ({explainer})"
    np.testing.assert_array_equal(found.baseline, background)


def test_deep_values_are_those_of_shap_and_add_up(network, images):
    background = images[1:] + 0.5
    found = SHAP(network)(images, target=[0, 1, 2, 0], baseline=background)
    with gradients_restored():
        theirs = shap.DeepExplainer(network, background).shap_values(images, check_additivity=False)
    np.testing.assert_allclose(found.values, np.stack([theirs[i, ..., k] for i, k in enumerate([0, 1, 2, 0])]), atol=1e-5)
    difference = network.predict_on_batch(images)[np.arange(4), [0, 1, 2, 0]] - network.predict_on_batch(background)[
        :, [0, 1, 2, 0]
    ].mean(axis=0)
    np.testing.assert_allclose(found.values.sum(axis=(1, 2, 3)), difference, atol=1e-4)
    assert np.abs(found.convergence_delta).max() < 1e-4 and found.num_forward_passes == 12
    # Half of each value has a gap: it is measured, not assumed.
    assert np.abs(found.values.sum(axis=(1, 2, 3)) / 2 - difference).max() > 0.01


def test_deep_values_add_up_on_a_trained_network(trained, digits):
    found = SHAP(trained("cnn"))(digits[0][:6], baseline=digits[0][50:60])
    assert np.abs(found.convergence_delta).max() < 1e-4
    assert np.abs(found.values.sum(axis=(1, 2, 3))).max() > 1


def test_deep_knows_layers_that_shap_alone_fails_on():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 2))
    y = layers.SeparableConv2D(6, 3, padding="same")(image)
    y = layers.BatchNormalization()(layers.LeakyReLU(0.2)(y))
    y = layers.Add()([layers.ReLU(6.0)(y), layers.Conv2D(6, 1, activation="gelu")(y)])
    y = layers.Conv2DTranspose(4, 2, strides=2)(y)
    y = layers.Concatenate()([layers.GlobalMaxPooling2D()(y), layers.GlobalAveragePooling2D()(layers.UpSampling2D()(y))])
    model = keras.Model(image, layers.Dense(2)(y))
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype("float32")
    assert np.abs(SHAP(model)(x, baseline=x[:2] * 0.3).convergence_delta).max() < 1e-4


def test_what_a_failed_call_of_shap_leaves_behind_is_taken_back():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.LeakyReLU()])
    x = np.eye(3, dtype="float32")
    assert np.abs(SHAP(model)(x, baseline=-x).convergence_delta).max() < 1e-5
    registry = framework._gradient_registry._registry
    before, recording = {name: (entry, entry["type"]) for name, entry in registry.items()}, execute.record_gradient
    with gradients_restored():
        with pytest.raises(Exception, match="shap_LeakyRelu"):
            shap.DeepExplainer(model, x).shap_values(x)
        assert execute.record_gradient is not recording  # as it would stay, and break the next gradient of the process
    assert execute.record_gradient is recording
    assert {name: (entry, entry["type"]) for name, entry in registry.items()} == before


def test_deep_refuses_what_shap_has_no_rule_for_and_leaves_no_trace(images):
    image = keras.Input((8, 8, 1))
    body = layers.Dense(4, activation="silu", name="hidden")(layers.Flatten()(image))
    gate = layers.Dense(4, activation="sigmoid")(body)
    model = keras.Model(image, layers.Dense(2)(layers.Multiply()([body, gate])))
    recording = execute.record_gradient
    with pytest.raises(UnsupportedLayerError, match="'hidden.silu' .*no rule for [^-]*explainer='gradient'"):
        SHAP(model)
    words = keras.Input((4,), dtype="int32")
    model = keras.Model(words, layers.LSTM(3, name="memory")(layers.Embedding(9, 2)(words)))
    with pytest.raises(UnsupportedLayerError, match="'memory' .LSTM.: shap's DeepExplainer has no rule for "):
        SHAP(model)
    query = keras.Input((4, 3))
    model = keras.Model(query, layers.GlobalAveragePooling1D()(layers.Dot(axes=(2, 2), name="products")([query, query])))
    with pytest.raises(UnsupportedLayerError, match="'products' .* of two tensors that both vary"):
        SHAP(model)
    assert execute.record_gradient is recording


def test_a_failure_within_shap_is_told_and_leaves_no_trace(network, images):
    recording, method = execute.record_gradient, SHAP(network)
    with pytest.raises(ValueError, match="shap's DeepExplainer failed on the model .*shap_Cumsum.*explainer='kernel'"):
        method(images, target=lambda scores: keras.ops.cumsum(scores, axis=1)[:, 1])
    assert execute.record_gradient is recording
    assert np.abs(method(images, target=lambda scores: scores[:, 0] - scores[:, 1]).convergence_delta).max() < 1e-4


def test_gradient_values_are_those_of_shap(network, images):
    background = images[1:]
    found = SHAP(network, explainer="gradient", num_samples=30, seed=9)(images[:2], target=1, baseline=background)
    theirs = shap.GradientExplainer(network, background)
    for number, image in enumerate(images[:2]):
        seed = random_state(9, number).randint(2**31)
        values = theirs.shap_values(image[np.newaxis], nsamples=30, rseed=seed)
        np.testing.assert_allclose(found.values[number], values[0, ..., 1], atol=1e-5)
    difference = network.predict_on_batch(images[:2])[:, 1] - network.predict_on_batch(background)[:, 1].mean()
    np.testing.assert_allclose(found.convergence_delta, difference - found.values.sum(axis=(1, 2, 3)), atol=1e-4)


@pytest.mark.parametrize("explainer", ["deep", "gradient", "kernel", "partition"])
def test_values_do_not_depend_on_the_size_of_batches_and_nothing_else_changes(explainer, network, images):
    np.random.seed(0)  # noqa: NPY002, the global generator is what this is about
    expected = np.random.uniform()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    nodes = [len(layer._inbound_nodes) for layer in network.layers]
    weights = [weight.numpy() for weight in network.weights]
    options = {"deep": {}, "kernel": {"num_samples": 60, "segments": 4}}.get(explainer, {"num_samples": 20})
    found = [
        SHAP(network, explainer=explainer, batch_size=size, **options, **({} if explainer == "deep" else {"seed": 3}))(
            images, baseline=images[:3]
        )
        for size in (1, 7, 64)
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other.values, found[0].values, atol=1e-5)
    assert np.random.uniform() == expected  # noqa: NPY002
    assert [len(layer._inbound_nodes) for layer in network.layers] == nodes
    assert all(np.array_equal(weight.numpy(), before) for weight, before in zip(network.weights, weights, strict=True))
    assert found[0].values.shape == (4, 8, 8, 1)


def test_tokens_have_values_and_padding_none():
    model = keras.Sequential([keras.Input((5,), dtype="int32"), layers.Embedding(6, 3), layers.Flatten(), layers.Dense(1)])
    x = np.array([[1, 2, 5, 0, 0], [3, 4, 3, 2, 1]])
    vectors, weights = model.layers[0].get_weights()[0], model.layers[2].get_weights()[0].reshape(5, 3)
    expected = ((vectors[x] - vectors[0]) * weights).sum(axis=2)
    for explainer in ("deep", "gradient", "kernel", "partition"):
        found = SHAP(model, explainer=explainer)(x)
        np.testing.assert_allclose(found.values, expected, atol=1e-5)
        assert np.all(found.values[x == 0] == 0)


@pytest.mark.parametrize("explainer", ["deep", "kernel", "partition"])
def test_several_inputs_and_outputs_have_values(explainer):
    image, table = keras.Input((4, 4, 1), name="image"), keras.Input((2,), name="table")
    body = layers.Concatenate()([layers.Flatten()(layers.Conv2D(2, 2, activation="relu")(image)), table])
    model = keras.Model(
        {"image": image, "table": table},
        {"a": layers.Dense(3, "softmax", name="a")(body), "b": layers.Dense(1, name="b")(table)},
    )
    generator = np.random.default_rng(0)
    x = {"image": generator.normal(size=(2, 4, 4, 1)), "table": generator.normal(size=(2, 2))}
    background = {"image": generator.normal(size=(3, 4, 4, 1)), "table": np.zeros(2)}
    found = SHAP(model, explainer=explainer)(x, target={"b": 0}, baseline=background)
    assert found.values["image"].shape == (2, 4, 4, 1) and np.abs(found.values["image"]).max() < 1e-6
    np.testing.assert_allclose(found.values["table"], x["table"] * model.get_layer("b").kernel.numpy()[:, 0], atol=1e-5)
    assert found.baseline["table"].shape == (3, 2)


def test_bad_options_and_backgrounds_are_told(table, network, x, images):
    with pytest.raises(ValueError, match="`explainer` to be one of .*Received: explainer='tree'"):
        SHAP(table, explainer="tree")
    with pytest.raises(ValueError, match="no `num_samples` for `explainer='deep'`"):
        SHAP(table, num_samples=10)
    with pytest.raises(ValueError, match="`num_samples` to be an integer of at least 1"):
        SHAP(table, explainer="kernel", num_samples=0)
    with pytest.raises(ValueError, match="no `segments` with `explainer='deep'`, which only 'kernel' takes"):
        SHAP(network, segments=4)
    with pytest.raises(ValueError, match="`num_samples` to be at least 10 for the 5 parts of a sample"):
        SHAP(table, explainer="kernel", num_samples=6)(x)
    with pytest.raises(ValueError, match=r"background samples, \(m, 5\).*Received: an array of shape \(3, 4\)"):
        SHAP(table)(x, baseline=np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"background samples, \(m, 5\).*Received: an array of shape \(0, 5\)"):
        SHAP(table)(x, baseline=np.zeros((0, 5)))
    with pytest.raises(ValueError, match="Expected a finite `baseline`"):
        SHAP(table)(x, baseline=np.nan)


def test_constant_images_have_finite_values(network):
    for explainer in ("deep", "kernel", "partition"):
        assert np.all(SHAP(network, explainer=explainer)(np.zeros((1, 8, 8, 1)), target=0).values == 0)
