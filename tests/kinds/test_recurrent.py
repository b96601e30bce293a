"""Recurrent layers as the steps of their cells: against the layers themselves, NumPy loops, and enumerated Shapley values."""

import itertools
import math

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras.src.backend.common import global_state

from keras_xai.attribution import LRP, DeepLIFT, DeepSHAP, EpsilonPlus, GuidedBackprop, Saliency, SignalTakesAll
from keras_xai.graph import trace
from keras_xai.graph.calls import run
from keras_xai.kinds.expansion import expand, refusals
from keras_xai.openbox import OpenBox, UnsupportedLayerError
from tests.slow import quickly
from tests.zoo import in_dtype

SERIES, IMAGES = (4, 3), (3, 5, 5, 2)


@keras.saving.register_keras_serializable("tests.recurrent")
class Rectifier(layers.Layer):
    """A cell of one's own, with a layer and a number of its own inside."""

    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, shape):
        self.inner = layers.Dense(self.units, activation="relu", name="inner")
        self.inner.build((None, shape[-1] + self.units))
        self.scale = self.add_weight(shape=(self.units,), initializer="ones")

    def call(self, x, states):
        (h,) = states
        y = self.inner(ops.concatenate([x, h], axis=-1)) * (self.scale[::-1] + 1.0)
        return y, [y]


class Taught(layers.SimpleRNNCell):
    """A cell with a first state that is learned."""

    def build(self, shape):
        super().build(shape)
        self.start = self.add_weight(shape=(self.units,), initializer="ones")

    def get_initial_state(self, batch_size=None):
        return [ops.broadcast_to(self.start, (batch_size, self.units))]


class Bilinear(layers.Layer):
    """h' = x + x h."""

    state_size = 1

    def call(self, x, states):
        y = x + x * states[0]
        return y, [y]


def model_of(build, shape=SERIES, dtype="float32", **inputs):
    """A model with weights drawn at random."""
    with in_dtype(dtype):
        x = keras.Input(shape, **inputs)
        model = keras.Model(x, build(x))
        rng = np.random.default_rng(0)
        for variable in model.trainable_variables:
            variable.assign(rng.normal(scale=0.7, size=variable.shape))
    return model


def both(cls=layers.LSTM, mode="concat", **options):
    return lambda x: layers.Bidirectional(cls(3, **options), merge_mode=mode)(x)


def with_states(x):
    return layers.LSTM(3, return_state=True)(x, initial_state=[layers.Dense(3)(x[:, 0]), layers.Dense(3)(x[:, 1])])


def stacked(cls=layers.RNN, **options):
    return lambda x: cls([layers.LSTMCell(2, dropout=0.5), layers.GRUCell(3), layers.SimpleRNNCell(2)], **options)(x)


LAYERS = {
    "simple": lambda x: layers.SimpleRNN(3)(x),
    "dropout": lambda x: layers.SimpleRNN(3, dropout=0.5, recurrent_dropout=0.5)(x),
    "LSTM, sequences": lambda x: layers.LSTM(3, return_sequences=True, dropout=0.5)(x),
    "LSTM, states": lambda x: layers.LSTM(3, return_state=True, return_sequences=True, use_bias=False)(x),
    "LSTM, backwards": lambda x: layers.LSTM(3, go_backwards=True, return_sequences=True, unroll=True)(x),
    "LSTM, given states": with_states,
    "GRU": lambda x: layers.GRU(3)(x),
    "GRU, reset before": lambda x: layers.GRU(3, reset_after=False, return_state=True)(x),
    "both directions": both(),
    "both directions, sequences": both(layers.GRU, "sum", return_sequences=True),
    "both directions, mean": both(layers.SimpleRNN, "ave"),
    "both directions, product": both(layers.SimpleRNN, "mul", return_sequences=True),
    "both directions, apart": both(layers.SimpleRNN, None, return_state=True),
    "stacked": stacked(return_state=True),
    "own cell": lambda x: layers.RNN(Rectifier(), return_sequences=True)(x),
    "learned state": lambda x: layers.RNN(Taught(3), go_backwards=True)(x),
    "two layers": lambda x: layers.GRU(2)(layers.LSTM(3, return_sequences=True)(x)),
    "over time": lambda x: layers.TimeDistributed(layers.SimpleRNN(2))(layers.Reshape((2, 2, 3))(x)),
}
MAPS = {
    "ConvLSTM1D": ((3, 5, 2), lambda x: layers.ConvLSTM1D(2, 3, return_sequences=True)(x)),
    "ConvLSTM2D": (IMAGES, lambda x: layers.ConvLSTM2D(2, 3, padding="same", return_state=True)(x)),
    "ConvLSTM3D": ((2, 4, 4, 4, 1), lambda x: layers.ConvLSTM3D(1, 3, strides=2)(x)),
}
CASES = {name: (SERIES, build) for name, build in LAYERS.items()} | MAPS


ADDED = quickly(["simple", "LSTM, backwards", "GRU, reset before", "both directions", "ConvLSTM2D"], "GRU, reset before")


def differences(model, graph, x):
    """The largest difference of each output of a graph from that of a model."""
    theirs = keras.tree.flatten(model(x if len(x) > 1 else x[0], training=False))
    ours = run(graph, [ops.convert_to_tensor(each) for each in x])
    return [np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in zip(ours, theirs, strict=True)]


def is_open(graph):
    return not any(isinstance(step.operation, (layers.RNN, layers.Bidirectional)) for step in graph.steps)


@pytest.mark.parametrize(
    "name", quickly(CASES, "dropout", "LSTM, states", "GRU, reset before", "both directions, apart", "stacked", "own cell")
)
def test_steps_compute_what_the_layer_does_and_follow_its_weights(name):
    shape, build = CASES[name]
    model = model_of(build, shape)
    graph = expand(trace(model), unroll=True)
    assert is_open(graph)
    x = [np.random.default_rng(1).normal(size=(5, *shape)).astype("float32")]
    before = keras.tree.flatten(model(x[0]))
    assert max(differences(model, graph, x)) < 1e-5
    for variable in model.trainable_variables:
        variable.assign_add(np.full(variable.shape, 0.1))
    assert max(differences(model, graph, x)) < 1e-5
    after = keras.tree.flatten(model(x[0]))
    assert max(np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in zip(before, after, strict=True)) > 1e-2


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("cls", [pytest.param(layers.LSTM, marks=pytest.mark.slow), layers.SimpleRNN])
@pytest.mark.parametrize("options", [{}, {"return_sequences": True, "go_backwards": True}, {"return_state": True}], ids=str)
def test_masked_steps_keep_the_state_and_repeat_the_output(cls, options, zeros):
    x, mask = keras.Input(SERIES), keras.Input(SERIES[:1], dtype="bool", name="mask")
    model = keras.Model([x, mask], cls(3, zero_output_for_mask=zeros, **options)(x, mask=mask))
    graph = expand(trace(model), unroll=True)
    assert is_open(graph)
    rng = np.random.default_rng(0)
    given = [rng.normal(size=(16, *SERIES)).astype("float32"), np.array(list(itertools.product([False, True], repeat=4)))]
    assert max(differences(model, graph, given)) < 1e-6
    other = [given[0], np.ones((16, 4), bool)]
    assert np.abs(np.asarray(run(graph, list(map(ops.convert_to_tensor, other)))[0]) - model(given)[0]).max() > 1e-2


def text(length, layer):
    x = keras.Input((length,), dtype="int32")
    vectors = layers.Dropout(0.5)(layers.Embedding(9, 4, mask_zero=True)(x))
    return keras.Model(x, layers.Dense(2)(layer(vectors)))


@pytest.mark.parametrize("method", [pytest.param(DeepLIFT, marks=pytest.mark.slow), LRP])
def test_padding_of_a_text_takes_no_part(method):
    """The values of a padded text are those of the text alone."""
    keras.utils.set_random_seed(0)
    cls = layers.GRU if method is DeepLIFT else layers.SimpleRNN
    options = {} if method is DeepLIFT else {"activation": "relu", "bias_initializer": "ones"}
    padded, short = (text(length, layers.Bidirectional(cls(3, **options), name="layer")) for length in (5, 3))
    short.set_weights(padded.get_weights())
    tokens = np.array([[3, 5, 2, 0, 0], [1, 8, 8, 0, 0]])
    ours, alone = method(padded, verbose=0)(tokens, target=1), method(short, verbose=0)(tokens[:, :3], target=1)
    assert not ours.values[:, 3:].any() and np.abs(ours.values[:, :3]).min() > 1e-4
    np.testing.assert_allclose(ours.values[:, :3], alone.values, atol=1e-5)
    np.testing.assert_allclose(ours.convergence_delta, alone.convergence_delta, atol=1e-5)


def test_paths_are_those_of_a_layer_that_is_called_several_times():
    x = keras.Input(SERIES)
    layer = layers.Bidirectional(layers.RNN(Rectifier(name="cell"), name="rnn"), name="both")
    paths = [step.path for step in expand(trace(keras.Model(x, layer(x))), unroll=True).steps]
    assert "both/forward_rnn/cell/inner" in paths and "both/backward_rnn/cell:3/inner.relu" in paths
    assert len(paths) == len(set(paths))


def test_gradients_keep_the_layer():
    model = model_of(lambda x: layers.LSTM(3, name="memory")(x))
    assert [step.path for step in Saliency(model).scores.graph.steps] == ["memory"]
    assert len(DeepLIFT(model).scores.graph.steps) > 40


RECTIFIED = {
    "simple": (lambda x: layers.SimpleRNN(4, activation="relu")(x)),
    "both directions, sequences": both(layers.SimpleRNN, activation="relu", return_sequences=True),
    "own cell": lambda x: layers.RNN(Rectifier(), return_sequences=True)(x),
    "behind a series": lambda x: layers.SimpleRNN(3, activation="relu")(layers.TimeDistributed(layers.Dense(2, "relu"))(x)),
}


def with_head(build):
    return lambda x: layers.Dense(3)(layers.Flatten()(build(x)))


def moved(local, x, seed=1):
    """Points within the pieces, nine tenths of the way to their ends in random directions."""
    direction = np.random.default_rng(seed).normal(size=x.shape)
    far = 0.9 * local.exit_distance(direction).clip(max=1.0)
    return x + far.reshape(-1, 1, 1) * direction


@pytest.mark.parametrize("name", quickly(RECTIFIED, "own cell"))
def test_pieces_of_rectified_cells_are_exact(name):
    model = model_of(with_head(RECTIFIED[name]), dtype="float64")
    x = np.random.default_rng(0).normal(size=(4, *SERIES))
    local = OpenBox(model)(x, verbose=0)
    near = moved(local, x)
    assert local.contains(near).all() and np.abs(near - x).max() > 1e-2
    expected = np.asarray(model(near))
    np.testing.assert_allclose(np.einsum("ncti,nti->nc", local.coef, near) + local.intercept, expected, atol=1e-9)
    # Beyond the piece, it is another map.
    far = x + 5 * np.random.default_rng(2).normal(size=x.shape)
    beyond = np.einsum("ncti,nti->nc", local.coef, far) + local.intercept
    assert np.abs(beyond - np.asarray(model(far))).max() > 1e-2


def test_pieces_of_masked_series_are_exact():
    with in_dtype("float64"):
        x, mask = keras.Input(SERIES), keras.Input(SERIES[:1], dtype="bool", name="mask")
        hidden = layers.SimpleRNN(4, activation="relu", return_sequences=True)(x, mask=mask)
        model = keras.Model([x, mask], layers.Dense(2)(layers.Flatten()(hidden)))
    rng = np.random.default_rng(0)
    points, masks = rng.normal(size=(4, *SERIES)), rng.uniform(size=(4, 4)) > 0.4
    coef, intercept = (found := OpenBox(model)([points, masks], verbose=0)).coef[0], found.intercept
    near = points + 1e-4 * rng.normal(size=points.shape)
    np.testing.assert_allclose(np.einsum("ncti,nti->nc", coef, near) + intercept, np.asarray(model([near, masks])), atol=1e-9)
    assert not coef.transpose(0, 2, 1, 3)[~masks].any() and coef.any()


def test_curved_cells_have_no_pieces_and_are_named_once():
    with pytest.raises(UnsupportedLayerError) as caught:
        OpenBox(model_of(with_head(lambda x: layers.LSTM(3, name="memory")(x))))
    found = {problem.path: problem.reason for problem in caught.value.problems}
    assert list(found) == ["memory/lstm_cell.sigmoid", "memory/lstm_cell.tanh", "memory/lstm_cell.multiply:1"]
    assert "sigmoid" in found["memory/lstm_cell.sigmoid"]


class Raw(layers.SimpleRNNCell):
    def call(self, x, states, training=False):
        import tensorflow as tf

        return super().call(tf.identity(x), states)


@pytest.mark.parametrize(
    "build, shape, reason",
    [
        (lambda x: layers.RNN(Raw(3), name="bad")(x), SERIES, "cannot be called with a symbolic tensor"),
    ],
)
@pytest.mark.parametrize("method", [DeepLIFT, LRP, GuidedBackprop, OpenBox])
def test_what_cannot_be_opened_is_refused_by_name(method, build, shape, reason):
    with pytest.raises(UnsupportedLayerError) as caught:
        method(model_of(lambda x: layers.Dense(2)(build(x)), shape))
    (problem,) = caught.value.problems
    assert problem.path == "bad" and reason in problem.reason


def test_stateful_layers_are_refused_by_name():
    model = keras.Sequential([keras.Input(batch_shape=(2, 4, 3)), layers.LSTM(3, stateful=True, name="bad"), layers.Dense(2)])
    with pytest.raises(UnsupportedLayerError, match="'bad' \\(LSTM\\): it is stateful"):
        DeepLIFT(model)


@pytest.mark.parametrize("name", ADDED)
@pytest.mark.parametrize("method", [DeepLIFT, pytest.param(DeepSHAP, marks=pytest.mark.slow)])
def test_differences_add_up(name, method):
    shape, build = CASES[name]

    def first(x):
        found = build(x)
        return with_head(lambda _: found[0] if isinstance(found, (list, tuple)) else found)(x)

    model = model_of(first, shape)
    rng = np.random.default_rng(0)
    x, baseline = rng.normal(size=(3, *shape)), rng.normal(size=(2, *shape))
    found = method(model, verbose=0)(x, target=1, baseline=baseline if method is DeepSHAP else baseline[:1].repeat(3, axis=0))
    change = np.abs(found.values).reshape(3, -1).sum(axis=1)
    assert (np.abs(found.convergence_delta) <= 1e-5 * change).all() and change.min() > 1e-2


def test_differences_of_products_over_time_are_shapley_values():
    """With h = 0 at first and h = x + x h, two time steps give x2 (1 + x1)."""
    model = model_of(lambda x: layers.RNN(Bilinear())(x), (2, 1), "float64")
    x, baseline = np.array([1.5, -2.0]), np.array([0.3, 0.7])

    def value(players):
        x1, x2 = (x[i] if i in players else baseline[i] for i in range(2))
        return x2 * (1 + x1)

    expected = [
        sum(
            math.factorial(len(some)) * math.factorial(1 - len(some)) / 2 * (value({*some, i}) - value(set(some)))
            for count in range(2)
            for some in itertools.combinations([1 - i], count)
        )
        for i in range(2)
    ]
    given = {"baseline": baseline.reshape(1, 2, 1)}
    found = DeepLIFT(model, verbose=0)(x.reshape(1, 2, 1), target=0, **given).values.ravel()
    np.testing.assert_allclose(found, expected, atol=1e-12)
    gradient = Saliency(model, verbose=0)(x.reshape(1, 2, 1), target=0).values.ravel()
    assert np.abs(gradient * (x - baseline) - expected).max() > 0.1


def test_relevance_of_a_rectified_layer_is_that_of_a_loop(float64):
    model = model_of(lambda x: layers.Dense(2)(layers.SimpleRNN(4, activation="relu")(x)), dtype="float64")
    kernel, recurrent, bias, head, offset = model.get_weights()
    x = np.random.default_rng(0).normal(size=SERIES)

    def stable(z):
        return z + np.where(z < 0, -1e-6, 1e-6)

    states, sums = [np.zeros(4)], []
    for row in x:
        parts = row @ kernel + bias, states[-1] @ recurrent
        sums.append(parts)
        states.append(np.maximum(sum(parts), 0))
    score = (states[-1] @ head + offset)[1]
    relevance, expected = states[-1] * head[:, 1] * score / stable(score), np.zeros(SERIES)
    for time in reversed(range(4)):
        of_input, of_state = sums[time]
        # The sum of both products, then each product.
        ratio = relevance / stable(of_input + of_state)
        expected[time] = x[time] * (kernel @ (of_input * ratio / stable(of_input)))
        relevance = states[time] * (recurrent @ (of_state * ratio / stable(of_state)))
    found = LRP(model, verbose=0)(x[np.newaxis], target=1).values[0]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.abs(expected).max() > 0.1 and np.abs(found - x * (kernel @ head[:, 1])).max() > 0.1


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("activation", ["sigmoid", "hard_sigmoid"])
def test_relevance_of_gated_cells_is_that_of_a_loop(float64, activation):
    """Arras et al.'s rules: signals take all of the relevance of products with gates, sums share it by the epsilon rule."""
    model = model_of(lambda x: layers.Dense(2)(layers.LSTM(4, recurrent_activation=activation)(x)), dtype="float64")
    kernel, recurrent, bias, head, offset = model.get_weights()
    x = np.random.default_rng(0).normal(size=SERIES)
    gate = sigmoid if activation == "sigmoid" else lambda z: np.clip(z / 6 + 0.5, 0, 1)
    h, c, seen = np.zeros(4), np.zeros(4), []
    for row in x:
        of_input, of_state = row @ kernel, h @ recurrent
        i, f, g, o = np.split(of_input + of_state + bias, 4)
        kept, added = gate(f) * c, gate(i) * np.tanh(g)
        seen.append((h, of_input[8:12], of_state[8:12], kept, added))
        c = kept + added
        h = gate(o) * np.tanh(c)

    def stable(z):
        return z + np.where(z < 0, -1e-6, 1e-6)

    score = (h @ head + offset)[1]
    np.testing.assert_allclose(score, model(x[np.newaxis])[0, 1], atol=1e-12)
    of_h, of_c, expected = h * head[:, 1] * score / stable(score), np.zeros(4), np.zeros(SERIES)
    for time in reversed(range(4)):
        before, of_input, of_state, kept, added = seen[time]
        of_c = of_c + of_h  # the signal of the output gate
        ratio = of_c / stable(kept + added)
        of_g, of_c = added * ratio, kept * ratio
        share = of_g / stable(of_input + of_state + bias[8:12])
        if not time:  # there is no state to share with
            share = share * stable(of_input) / of_input
        expected[time] = x[time] * (kernel[:, 8:12] @ (of_input * share / stable(of_input)))
        of_h = before * (recurrent[:, 8:12] @ (of_state * share / stable(of_state)))
    found = LRP(model, composite=EpsilonPlus(product=SignalTakesAll(1e-12)), verbose=0)(x[np.newaxis], target=1).values[0]
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
    assert np.abs(expected).max() > 1e-2


def test_reasons_of_refusals_use_up_no_automatic_names():
    """To find out, a recurrent layer is divided into the steps of its cell."""
    graph = expand(trace(keras.Sequential([keras.Input((3, 2)), layers.SimpleRNN(2)])))  # with tanh
    before = dict(global_state.get_global_attribute("object_name_uids"))
    assert refusals(graph)
    assert dict(global_state.get_global_attribute("object_name_uids")) == before
