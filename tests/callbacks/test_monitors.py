"""Monitors of machines, against their definitions."""

import keras
import numpy as np
import pytest

from keras_xai.callbacks import FreeEnergyGap, PseudoLikelihood
from keras_xai.layers import RBMDense
from keras_xai.pretraining import pretrain

X = np.random.default_rng(0).uniform(size=(60, 6)).round()


def train(*callbacks, activation="sigmoid", **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), RBMDense(5, activation, name="one"), RBMDense(4, "sigmoid", name="two")])
    histories = pretrain(model, X, epochs=2, batch_size=20, callbacks=list(callbacks), verbose=0, **options)
    return model, {path: history.history for path, history in histories.items()}


def test_free_energy_gap():
    seen, held_out = X[:50], np.random.default_rng(1).uniform(size=(300, 6))
    model, histories = train(FreeEnergyGap(seen, held_out))
    energies = [np.asarray(model.get_layer("one").free_energy(x)).mean() for x in (held_out, seen)]
    assert histories["one"]["free_energy_gap"][-1] == pytest.approx(energies[0] - energies[1], rel=1e-4, abs=1e-5)
    hidden = keras.Model(model.inputs, model.get_layer("one").output)
    energies = [np.asarray(model.get_layer("two").free_energy(hidden(x))).mean() for x in (held_out, seen)]
    assert histories["two"]["free_energy_gap"][-1] == pytest.approx(energies[0] - energies[1], rel=1e-4, abs=1e-5)


@pytest.mark.slow
def test_free_energy_gap_grows_with_overfitting():
    """A large machine that sees six samples many times."""
    keras.utils.set_random_seed(0)
    x, other = (np.random.default_rng(seed).uniform(size=(6, 20)).round() for seed in (0, 1))
    model = keras.Sequential([keras.Input((20,)), RBMDense(50, "sigmoid", name="one")])
    monitor = FreeEnergyGap(x, other)
    gap = pretrain(model, x, epochs=15, optimizer=keras.optimizers.SGD(0.4), callbacks=monitor, verbose=0)["one"].history
    assert gap["free_energy_gap"][-1] > gap["free_energy_gap"][0] + 2


@pytest.mark.parametrize("activation, values", [("sigmoid", (0, 1)), ("tanh", (-1, 1))])
def test_pseudo_likelihood_is_that_of_the_conditional_probabilities(activation, values):
    """Over many samples, the estimate is the mean over all units of log p(unit | others), which is written out here."""
    x = np.where(np.random.default_rng(2).uniform(size=(20_000, 6)) < 0.3, *values)
    keras.utils.set_random_seed(0)
    layer = RBMDense(5, activation, name="one", bias_initializer="random_normal")
    model = keras.Sequential([keras.Input((6,)), layer])
    optimizer = keras.optimizers.SGD(0.0)
    history = pretrain(model, x[:10], epochs=1, optimizer=optimizer, callbacks=PseudoLikelihood(x), verbose=0)["one"].history
    kernel, bias, visible_bias = layer.get_weights()

    def log_weight(states):
        sums = states @ kernel + bias
        return states @ visible_bias + (np.logaddexp(0, sums) if activation == "sigmoid" else np.logaddexp(sums, -sums)).sum(
            axis=1
        )

    total = 0
    for unit in range(6):
        ends = []
        for value in values:
            states = x.copy()
            states[:, unit] = value
            ends.append(log_weight(states))
        total += (log_weight(x) - np.logaddexp(*ends)).mean()
    assert history["pseudo_likelihood"][0] == pytest.approx(total, rel=0.01)


def test_pseudo_likelihood_rises_and_repeats():
    runs = [train(PseudoLikelihood(X), optimizer=keras.optimizers.SGD(0.1))[1] for _ in range(2)]
    assert runs[0] == runs[1]
    values = runs[0]["one"]["pseudo_likelihood"]
    assert values[1] > values[0]


@pytest.mark.filterwarnings("ignore:.*visible units:UserWarning")
def test_pseudo_likelihood_is_left_out_where_it_is_not_defined():
    _, histories = train(PseudoLikelihood(X), activation="relu")
    assert "pseudo_likelihood" not in histories["one"] and "pseudo_likelihood" in histories["two"]


def test_other_callbacks_see_what_monitors_have_measured(tmp_path):
    """Also those that come before them in the list: TensorBoard, here one that is simpler to read."""
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(set(logs))

    train(Look(), FreeEnergyGap(X, X), keras.callbacks.TensorBoard(tmp_path))
    assert all({"loss", "reconstruction_error", "free_energy_gap"} <= names for names in seen)
    events = b"".join(path.read_bytes() for path in tmp_path.rglob("events*"))
    assert b"epoch_free_energy_gap" in events and b"epoch_reconstruction_error" in events
