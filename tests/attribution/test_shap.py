"""SHAP: against exact Shapley values, against shap itself, and on models of which the values are known."""

import functools
import inspect
import itertools
import math

import keras
import numpy as np
import pytest
import shap
from keras import layers

from keras_xai.attribution import CAM, SHAP, DeepSHAP, GradientSHAP, IntegratedGradients
from keras_xai.attribution.shapley.coalitions import halved

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


METHODS = {
    "DeepSHAP": DeepSHAP,
    "GradientSHAP": functools.partial(GradientSHAP, num_samples=4000, seed=0),
    "SHAP (kernel)": functools.partial(SHAP, num_samples=100, seed=0),
    "SHAP (partition)": functools.partial(SHAP, explainer="partition", num_samples=100, seed=0),
}


@pytest.mark.parametrize("name", METHODS)
def test_values_of_a_linear_model_are_weights_times_steps(name, x, background):
    model = keras.Sequential([keras.Input((5,)), layers.Dense(2)])
    weights = np.random.default_rng(4).normal(size=(5, 2))
    model.set_weights([weights, np.ones(2)])
    found = METHODS[name](model)(x, target=[0, 1, 1], baseline=background)
    expected = weights.T[[0, 1, 1]] * (x - background.mean(axis=0))
    np.testing.assert_allclose(found.values, expected, atol=0.15 if name == "GradientSHAP" else 1e-5)
    assert found.method == name
    np.testing.assert_array_equal(found.baseline, background)


def test_gradient_values_are_expected_gradients(network, images):
    """The mean over the background of integrated gradients; shap's own estimate is as near as its number of points allows."""
    background = images[1:]
    exact = np.mean(
        [IntegratedGradients(network, steps=256)(images[:2], target=1, baseline=b).values for b in background], axis=0
    )
    found = GradientSHAP(network, num_samples=4000, seed=9)(images[:2], target=1, baseline=background)
    theirs = shap.GradientExplainer(network, background).shap_values(images[:2], nsamples=4000, rseed=0)[..., 1]
    error, other = (np.sqrt(np.mean((each - exact) ** 2)) for each in (found.values, theirs))
    assert error < 0.05 * np.sqrt(np.mean(exact**2)) and error < 1.5 * other
    few = GradientSHAP(network, num_samples=40, seed=9)(images[:2], target=1, baseline=background)
    assert np.sqrt(np.mean((few.values - exact) ** 2)) > 3 * error  # ten times as much in the mean
    difference = network.predict_on_batch(images[:2])[:, 1] - network.predict_on_batch(background)[:, 1].mean()
    np.testing.assert_allclose(few.convergence_delta, difference - few.values.sum(axis=(1, 2, 3)), atol=1e-4)
    assert few.num_forward_passes == 2 * 40 + 1 + 3 / 2


@pytest.mark.parametrize(
    "method, options",
    [
        (DeepSHAP, {}),
        (GradientSHAP, {"num_samples": 20, "seed": 3}),
        (SHAP, {"num_samples": 60, "segments": 4, "seed": 3}),
        (SHAP, {"explainer": "partition", "num_samples": 20, "seed": 3}),
    ],
    ids=METHODS,
)
def test_values_do_not_depend_on_the_size_of_batches_and_nothing_else_changes(method, options, network, images):
    np.random.seed(0)  # noqa: NPY002, the global generator is what this is about
    expected = np.random.uniform()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    nodes = [len(layer._inbound_nodes) for layer in network.layers]
    weights = [weight.numpy() for weight in network.weights]
    found = [method(network, batch_size=size, **options)(images, baseline=images[:3]) for size in (1, 7, 64)]
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
    for method in METHODS.values():
        found = method(model)(x)
        np.testing.assert_allclose(found.values, expected, atol=1e-5)
        assert np.all(found.values[x == 0] == 0)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "GradientSHAP"])
def test_several_inputs_and_outputs_have_values(name):
    image, table = keras.Input((4, 4, 1), name="image"), keras.Input((2,), name="table")
    body = layers.Concatenate()([layers.Flatten()(layers.Conv2D(2, 2, activation="relu")(image)), table])
    model = keras.Model(
        {"image": image, "table": table},
        {"a": layers.Dense(3, "softmax", name="a")(body), "b": layers.Dense(1, name="b")(table)},
    )
    generator = np.random.default_rng(0)
    x = {"image": generator.normal(size=(2, 4, 4, 1)), "table": generator.normal(size=(2, 2))}
    background = {"image": generator.normal(size=(3, 4, 4, 1)), "table": np.zeros(2)}
    found = METHODS[name](model)(x, target={"b": 0}, baseline=background)
    assert found.values["image"].shape == (2, 4, 4, 1) and np.abs(found.values["image"]).max() < 1e-6
    np.testing.assert_allclose(found.values["table"], x["table"] * model.get_layer("b").kernel.numpy()[:, 0], atol=1e-5)
    assert found.baseline["table"].shape == (3, 2)


def test_bad_options_and_backgrounds_are_told(table, network, x, images):
    with pytest.raises(ValueError, match="`explainer` to be one of .*Received: explainer='tree'"):
        SHAP(table, explainer="tree")
    with pytest.raises(ValueError, match="SHAP values by derivatives are the methods DeepSHAP and GradientSHAP"):
        SHAP(table, explainer="deep")
    with pytest.raises(ValueError, match="`num_samples` to be an integer of at least 1"):
        SHAP(table, explainer="kernel", num_samples=0)
    with pytest.raises(ValueError, match="no `segments` with `explainer='partition'`, which only 'kernel' takes"):
        SHAP(network, explainer="partition", segments=4)
    with pytest.raises(ValueError, match="`num_samples` to be at least 10 for the 5 parts of a sample"):
        SHAP(table, explainer="kernel", num_samples=6)(x)
    with pytest.raises(ValueError, match=r"background samples, \(m, 5\).*Received: an array of shape \(3, 4\)"):
        DeepSHAP(table)(x, baseline=np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"background samples, \(m, 5\).*Received: an array of shape \(0, 5\)"):
        DeepSHAP(table)(x, baseline=np.zeros((0, 5)))
    with pytest.raises(ValueError, match="Expected a finite `baseline`"):
        SHAP(table)(x, baseline=np.nan)
    for method in (DeepSHAP, GradientSHAP, SHAP):
        with pytest.raises(
            TypeError, match=rf"second argument of type ndarray.*`{method.__name__}\(model\)\(x, baseline=\.\.\.\)`"
        ):
            method(table, np.zeros((3, 5)))
        with pytest.raises(TypeError, match="Received: data. .*takes its background when it is called"):
            method(table, data=np.zeros((3, 5)))
    with pytest.raises(TypeError, match=r"options by name, out of \[.*Received: steps=\.\.\."):
        DeepSHAP(table, steps=3)  # no background
    assert list(inspect.signature(CAM).parameters) == ["model", "batch_size", "verbose"]  # the check hides no signature
    one = DeepSHAP(table)(x, baseline=np.ones((1, 5))).values
    np.testing.assert_array_equal(DeepSHAP(table)(x, baseline=np.ones(5)).values, one)  # one sample is a background


def test_constant_images_have_finite_values(network):
    for method in METHODS.values():
        assert np.all(method(network)(np.zeros((1, 8, 8, 1)), target=0).values == 0)
