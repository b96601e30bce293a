"""Each rule against its equations, written out by hand, and against the likelihood of machines small enough to enumerate."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from keras_xai.graph.trace import trace
from keras_xai.layers import RBMDense
from keras_xai.pretraining import (
    ContrastiveDivergence,
    Hybrid,
    PersistentContrastiveDivergence,
    ReconstructionError,
    Rule,
    pretrain,
)
from keras_xai.pretraining.plan import plan
from keras_xai.pretraining.trainer import RBMTrainer
from tests.layers.test_rbm_dense import build
from tests.naive import all_states, log_likelihood
from tests.pretraining.contract import gradients
from tests.pretraining.naive import ACTIVATIONS, contrastive_divergence, reconstruction_error

pytestmark = pytest.mark.usefixtures("float64")

BATCH = 8
LEARNING_RATE = 0.3


BY_HAND = {
    "cd": (ContrastiveDivergence(), contrastive_divergence),
    "cd, k=3": (ContrastiveDivergence(3), lambda *args: contrastive_divergence(*args, k=3)),
    "reconstruction error": (ReconstructionError(), reconstruction_error),
}


def three_steps(rule, activation, x, **options):
    """Weights before and after one epoch of three batches by `fit()`, in float64."""
    model = keras.Sequential([keras.Input((6,), dtype="float64"), build(activation=activation)])
    before = model.layers[0].get_weights()
    options = {"optimizer": keras.optimizers.SGD(LEARNING_RATE), "batch_size": BATCH, "shuffle": False} | options
    pretrain(model, x, rule, epochs=1, verbose=0, **options)
    return before, model.layers[0].get_weights()


def by_hand(update, weights, x, activation, *, momentum=0.0, rate=LEARNING_RATE):
    velocities = [0.0, 0.0, 0.0]
    for start in range(0, len(x), BATCH):
        steps = update(x[start : start + BATCH], weights, activation)
        velocities = [momentum * velocity + rate * step for velocity, step in zip(velocities, steps, strict=True)]
        weights = [weight + velocity for weight, velocity in zip(weights, velocities, strict=True)]
    return weights


@pytest.fixture
def x():
    return np.random.default_rng(0).uniform(size=(3 * BATCH, 6))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", ["cd", "reconstruction error"])
def test_three_steps_of_fit_are_three_steps_by_hand(name, activation, x):
    """With the default optimizer, so that learning rate and first momentum are checked as well."""
    rule, update = BY_HAND[name]
    before, after = three_steps(rule, activation, x, optimizer=None)
    expected = by_hand(update, before, x, activation, momentum=0.5, rate={"cd": 0.01}.get(name, 0.04))
    for found, each in zip(after, expected, strict=True):
        np.testing.assert_allclose(found, each, rtol=1e-12, atol=1e-14)


def test_several_steps_of_reconstruction(x):
    rule, update = BY_HAND["cd, k=3"]
    before, after = three_steps(rule, "sigmoid", x)
    for found, each in zip(after, by_hand(update, before, x, "sigmoid"), strict=True):
        np.testing.assert_allclose(found, each, rtol=1e-12, atol=1e-14)


@keras.saving.register_keras_serializable(package="tests")
class WrongSign(Rule):
    """Negative control: the reconstructions are made more probable."""

    learning_rate = 0.01

    def loss(self, machine, visible, *, training):
        end = keras.ops.stop_gradient(machine.reconstruct(visible))
        return machine.free_energy(end) - machine.free_energy(visible)


def test_a_rule_of_the_wrong_sign_is_noticed(x):
    before, after = three_steps(WrongSign(), "sigmoid", x)
    expected = by_hand(contrastive_divergence, before, x, "sigmoid")
    assert np.abs(after[0] - expected[0]).max() > 0.01
    assert np.corrcoef((after[0] - before[0]).ravel(), (before[0] - expected[0]).ravel())[0, 1] > 0.9


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_the_free_energy_form_is_the_gradient_of_the_exact_likelihood(activation):
    """With the machine's own distribution in the place of the reconstructions, by finite differences."""
    values = (0, 1) if activation == "sigmoid" else (-1, 1)
    layer = build(activation=activation)
    weights, states = layer.get_weights(), all_states(6, values)
    data = states[np.random.default_rng(0).integers(len(states), size=20)]
    probability = np.exp(log_likelihood(weights, states, values))

    def loss(sign=1):
        machine = layer.machine()
        return keras.ops.mean(machine.free_energy(data)) - sign * keras.ops.sum(probability * machine.free_energy(states))

    def numeric(which, step=1e-5):
        derivative = np.zeros_like(weights[which])
        for index in np.ndindex(derivative.shape):
            ends = []
            for sign in (1, -1):
                moved = [weight.copy() for weight in weights]
                moved[which][index] += sign * step
                ends.append(log_likelihood(moved, data, values).mean())
            derivative[index] = (ends[0] - ends[1]) / (2 * step)
        return derivative

    variables = [layer.kernel, layer.bias, layer.visible_bias]
    for i, (right, wrong) in enumerate(zip(gradients(loss, variables), gradients(lambda: loss(-1), variables), strict=True)):
        np.testing.assert_allclose(right, -numeric(i), atol=1e-8)
        assert np.abs(wrong + numeric(i)).max() > 1e-3


def test_contrastive_divergence_and_the_papers_rule_are_one_for_linear_units(x):
    one, other = (three_steps(rule, "linear", x)[1] for rule in (ContrastiveDivergence(), ReconstructionError()))
    np.testing.assert_allclose(one[0], other[0], rtol=1e-12, atol=1e-14)
    assert not np.allclose(
        three_steps(ReconstructionError(), "tanh", x)[1][0], three_steps(ContrastiveDivergence(), "tanh", x)[1][0]
    )


def test_sampling_has_the_mean_of_many_samples(x):
    """The mean over many draws of hidden units of the update that each of them gives."""
    layer = build()
    layer.kernel.assign(3 * keras.ops.convert_to_tensor(layer.kernel))
    kernel, bias, visible_bias = layer.get_weights()
    f, rng = ACTIVATIONS["sigmoid"][0], np.random.default_rng(1)
    x0 = x[:1]
    y0 = f(x0 @ kernel + bias)
    hidden = (rng.uniform(size=(50_000, 4)) < y0).astype(float)
    x1 = f(hidden @ kernel.T + visible_bias)
    y1 = f(x1 @ kernel + bias)
    expected = x0.T @ y0 - x1.T @ y1 / len(x1)
    rule = ContrastiveDivergence(sampling=True)
    rule.prepare(layer, 1, 0)
    many = np.repeat(x0, 50_000, axis=0)
    found = gradients(lambda: keras.ops.mean(rule.loss(layer.machine(), many, training=True)), [layer.kernel])[0]
    np.testing.assert_allclose(found, -expected, atol=0.008)
    mean_field = contrastive_divergence(x0, [kernel, bias, visible_bias], "sigmoid")[0]
    assert np.abs(mean_field - expected).max() > 0.03  # negative control: mean field is something else


def test_persistent_chains_go_on_from_step_to_step_and_only_in_training(x):
    layer = build()
    rule = PersistentContrastiveDivergence(num_chains=3)
    rule.prepare(layer, 5, 0)
    start = rule.get_weights()[0]
    assert set(np.unique(start)) <= {0.0, 1.0} and start.shape == (3, 6)
    rule.loss(layer.machine(), x, training=False)
    np.testing.assert_array_equal(rule.get_weights()[0], start)
    found = gradients(lambda: keras.ops.mean(rule.loss(layer.machine(), x, training=True)), [layer.kernel])[0]
    end = rule.get_weights()[0]
    assert not np.array_equal(end, start)
    kernel, bias, _ = layer.get_weights()
    f = ACTIVATIONS["sigmoid"][0]
    expected = x.T @ f(x @ kernel + bias) / len(x) - end.T @ f(end @ kernel + bias) / len(end)
    np.testing.assert_allclose(found, -expected, rtol=1e-9)


def test_weight_cost_decays_the_kernel_alone(x):
    plain, decayed = (three_steps(ContrastiveDivergence(weight_cost=cost), "sigmoid", x[:BATCH])[1] for cost in (0.0, 0.1))
    before = three_steps(ContrastiveDivergence(), "sigmoid", x[:BATCH])[0]
    np.testing.assert_allclose(decayed[0] - plain[0], -LEARNING_RATE * 0.1 * before[0], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(decayed[1], plain[1], rtol=1e-12, atol=1e-14)


def test_a_sparsity_target_draws_the_activity_to_it():
    x = np.random.default_rng(0).uniform(size=(200, 6))
    activity = {}
    for target in (None, 0.1):
        model = keras.Sequential([keras.Input((6,)), build()])
        rule = ContrastiveDivergence(sparsity_target=target, sparsity_cost=1.0)
        pretrain(model, x, rule, epochs=10, batch_size=20, optimizer=keras.optimizers.SGD(0.3), verbose=0)
        activity[target] = model.predict(x, verbose=0).mean(axis=0)
    assert np.abs(activity[0.1] - 0.1).max() < 0.03
    assert np.abs(activity[None] - 0.1).max() > 0.2


def test_the_sparsity_push_is_that_of_hinton(x):
    """In the first step the running mean is the target; in the second it has taken in the first batch."""
    cost, target = 0.5, 0.2
    rule = ContrastiveDivergence(sparsity_target=target, sparsity_cost=cost)
    before, after = three_steps(rule, "sigmoid", x[: 2 * BATCH])
    f = ACTIVATIONS["sigmoid"][0]
    weights = [
        weight + LEARNING_RATE * step
        for weight, step in zip(before, contrastive_divergence(x[:BATCH], before, "sigmoid"), strict=True)
    ]
    activity = 0.9 * target + 0.1 * f(x[:BATCH] @ before[0] + before[1]).mean(axis=0)
    second = x[BATCH : 2 * BATCH]
    steps = contrastive_divergence(second, weights, "sigmoid")
    push = cost * (activity - target)
    np.testing.assert_allclose(after[1], weights[1] + LEARNING_RATE * (steps[1] - push), rtol=1e-6)
    np.testing.assert_allclose(
        after[0], weights[0] + LEARNING_RATE * (steps[0] - np.outer(second.mean(axis=0), push)), rtol=1e-6
    )


def test_the_visible_bias_starts_from_the_data(x):
    model = keras.Sequential([keras.Input((6,)), RBMDense(4, "sigmoid", kernel_initializer="zeros", dtype="float64")])
    rule = ContrastiveDivergence(fit_visible_bias=True)
    pretrain(model, x, rule, epochs=1, optimizer=keras.optimizers.SGD(0.0), verbose=0)
    mean = (x.sum(axis=0) + 1) / (len(x) + 2)
    np.testing.assert_allclose(model.layers[0].visible_bias, np.log(mean / (1 - mean)), rtol=1e-6)


def bars_and_stripes(size=3):
    """All pictures of full rows, and all of full columns: `(14, 9)` for a size of 3."""
    rows = np.repeat(all_states(size)[:, :, None], size, axis=2)
    return np.unique(np.concatenate([rows, rows.transpose(0, 2, 1)]).reshape(-1, size * size), axis=0)


@pytest.mark.slow
def test_persistent_contrastive_divergence_learns_a_distribution_as_well_as_scikit_learn():
    from sklearn.neural_network import BernoulliRBM

    data = bars_and_stripes()
    x = np.tile(data, (50, 1))
    peer = BernoulliRBM(8, learning_rate=0.05, batch_size=20, n_iter=100, random_state=0).fit(x)
    theirs = log_likelihood((peer.components_.T, peer.intercept_hidden_, peer.intercept_visible_), data).mean()

    keras.utils.set_random_seed(0)
    layer = RBMDense(8, "sigmoid", kernel_initializer=keras.initializers.RandomNormal(stddev=0.01))
    model = keras.Sequential([keras.Input((9,)), layer])
    untrained = log_likelihood(layer.get_weights(), data).mean()
    rule, optimizer = PersistentContrastiveDivergence(), keras.optimizers.SGD(0.05)
    pretrain(model, x, rule, epochs=100, batch_size=20, optimizer=optimizer, verbose=0)
    ours = log_likelihood(layer.get_weights(), data).mean()
    assert ours > 1.05 * theirs  # both are negative
    assert ours > untrained + 1
    assert ours <= -np.log(len(data))  # no distribution does better


def test_hybrid_says_which_rule_when():
    first, second = ContrastiveDivergence(), ReconstructionError()
    assert Hybrid([(first, 2), (second, 1)]).stages("a", 3) == [(first, 2), (second, 1)]
    assert [(type(rule), epochs) for rule, epochs in Hybrid().stages("a", 10)] == [
        (ContrastiveDivergence, 7),
        (ReconstructionError, 3),
    ]
    by_layer = Hybrid({"a": first, "b": Hybrid([(first, 2), (second, 1)])})
    assert by_layer.stages("a", 3) == [(first, 3)] and by_layer.stages("b", 3) == [(first, 2), (second, 1)]


def test_hybrid_trains_by_the_one_and_then_by_the_other(x):
    model = keras.Sequential([keras.Input((6,)), build()])
    options = {"batch_size": BATCH, "shuffle": False, "optimizer": keras.optimizers.SGD(LEARNING_RATE), "verbose": 0}
    weights = model.layers[0].get_weights()
    histories = pretrain(model, x, Hybrid([(ContrastiveDivergence(), 2), (ReconstructionError(), 1)]), epochs=3, **options)
    for update in (contrastive_divergence, contrastive_divergence, reconstruction_error):
        weights = by_hand(update, weights, x, "sigmoid")
    np.testing.assert_allclose(model.layers[0].kernel, weights[0], rtol=1e-6)
    (history,) = histories.values()
    assert history.epoch == [0, 1, 2] and len(history.history["reconstruction_error"]) == 3


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ContrastiveDivergence(0), "`k` to be an integer of at least 1"),
        (lambda: PersistentContrastiveDivergence(num_chains=0), "`num_chains`"),
        (lambda: ReconstructionError(weight_cost=-1), "`weight_cost` to be a number of at least 0"),
        (lambda: ReconstructionError(sparsity_cost=float("nan")), "`sparsity_cost`"),
        (lambda: Hybrid([]), "at least one of `rules`"),
        (lambda: Hybrid([(ContrastiveDivergence(), 0)]), "integer number of epochs"),
        (
            lambda: Hybrid([(ContrastiveDivergence(), 7)]).stages("a", 10),
            r"rules for 7 = 7 epochs, and epochs=10. Pass epochs=7",
        ),
        (lambda: Hybrid({"a": ContrastiveDivergence()}).stages("b", 1), "none for 'b'"),
    ],
)
def test_wrong_values_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_class_is_no_rule():
    with pytest.raises(TypeError, match="Expected `rules` to be instances of"):
        Hybrid([(ContrastiveDivergence, 7)])


def steps(rule, x, *, compiled):
    """Losses of two steps."""
    import tensorflow as tf

    layer = build()
    rule = type(rule).from_config(rule.get_config())
    rule.prepare(layer, len(x), 0)

    def step():
        machine = layer.machine()
        return rule.loss(machine, x, training=True) + rule.penalty(machine, x, training=True)

    function = tf.function(step, jit_compile=True) if compiled else step
    return np.array([function(), function()])


def test_a_compiled_step_gives_the_same(x):
    rule = ReconstructionError(sparsity_target=0.1, weight_cost=0.1)
    np.testing.assert_allclose(steps(rule, x, compiled=True), steps(rule, x, compiled=False), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [ContrastiveDivergence(2, True), PersistentContrastiveDivergence()])
def test_a_compiled_step_draws_from_the_same_distribution(rule, x):
    """XLA has a generator of its own, so that single samples differ."""
    many = np.tile(x, (200, 1))
    np.testing.assert_allclose(steps(rule, many, compiled=True).mean(), steps(rule, many, compiled=False).mean(), atol=0.03)
    np.testing.assert_array_equal(steps(rule, x, compiled=True), steps(rule, x, compiled=True))


@pytest.mark.parametrize("sampling, num_products", [(False, 4), (True, 5)])
def test_each_product_with_the_kernel_is_computed_once(sampling, num_products):
    """One for each pass and one for the gradients of both phases; the reconstruction error of a sampled chain needs another."""
    model = keras.Sequential([keras.Input((6,)), RBMDense(5, "sigmoid")])
    trainer = RBMTrainer(plan(trace(model), ContrastiveDivergence(sampling=sampling), 1)[0], 4, 0)
    trainer.compile(keras.optimizers.SGD(0.1))
    trainer.layer.visible_bias.trainable = True
    trainer.optimizer.build(trainer.trainable_variables)
    step = tf.function(lambda x: trainer.train_step((x,)))
    context.enable_run_metadata()
    try:
        context.export_run_metadata()  # forgets what ran before
        step(np.ones((4, 6), "float32"))
        graphs = [each.post_optimization_graph for each in context.export_run_metadata().function_graphs]
    finally:
        context.disable_run_metadata()
    nodes = max(graphs, key=lambda graph: len(graph.node)).node
    products = [node for node in nodes if node.op in ("MatMul", "_FusedMatMul") and "Tensordot" not in node.name]
    assert len(products) == num_products
