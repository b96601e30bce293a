"""A learning rule that the package has never seen is used everywhere after one class, written by the public API alone."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_xai import pretraining
from keras_xai.pretraining import ContrastiveDivergence, Hybrid, Rule, pretrain
from keras_xai.pretraining.trainer import RBMTrainer
from tests.pretraining import contract, naive
from tests.public import concrete
from tests.zoo import in_dtype


@keras.saving.register_keras_serializable(package="tests")
class Denoising(Rule):
    """Half the squared error of reconstructing samples of which a part of the entries was set to zero."""

    learning_rate = 0.04

    def __init__(self, corruption=0.0, **options):
        super().__init__(**options)
        self.corruption = corruption

    def loss(self, machine, visible, *, training):
        """See `Rule`."""
        kept = keras.random.uniform(ops.shape(visible), dtype=machine.kernel.dtype, seed=self.random) >= self.corruption
        corrupted = ops.where(kept, visible, 0.0)
        return ops.sum(ops.square(machine.reconstruct(corrupted) - visible), axis=-1) / 2

    def get_config(self):
        return super().get_config() | {"corruption": self.corruption}


def denoising(x0, weights, activation, rule):
    """Without corruption: an autoencoder whose decoder is the transpose of its encoder."""
    kernel, bias, visible_bias = weights
    f, slope = naive.ACTIVATIONS[activation]
    sums = x0 @ kernel + bias
    visible_sums = f(sums) @ kernel.T + visible_bias
    of_x = (f(visible_sums) - x0) * slope(visible_sums)
    of_y = (of_x @ kernel) * slope(sums)
    return -(x0.T @ of_y + of_x.T @ f(sums)) / len(x0), -of_y.mean(axis=0), -of_x.mean(axis=0)


@pytest.fixture
def known(monkeypatch):
    """As if the class were in the package, with its replica."""
    monkeypatch.setattr(pretraining, "Denoising", Denoising, raising=False)
    monkeypatch.setattr(pretraining, "__all__", [*pretraining.__all__, "Denoising"])
    monkeypatch.setitem(naive.REPLICAS, Denoising, denoising)
    monkeypatch.setitem(contract.DRAWING, "corruption", 0.3)


def test_it_keeps_the_contract(known):
    assert concrete(pretraining, Rule)["Denoising"] is Denoising
    with in_dtype("float64"):
        for activation in naive.ACTIVATIONS:
            contract.check_gradient(Denoising, activation)
    contract.check_saving(Denoising)
    with pytest.raises(AssertionError, match="does not name `Denoising`"):
        contract.check_documentation(Denoising)


@pytest.mark.slow
def test_it_repeats_resumes_and_learns(known, tmp_path):
    contract.check_repetition(Denoising)
    contract.check_learning(Denoising)
    contract.check_resuming(Denoising, tmp_path)


def test_schedules_and_trainers_take_it():
    """With Hinton's options, by layer and by epochs; callbacks find a copy of it in the trainer."""
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            assert isinstance(self.model, RBMTrainer)
            seen.append(self.model.rule)

    rule = Denoising(0.3, weight_cost=0.1, fit_visible_bias=True)
    schedule = Hybrid({"first": rule, "second": Hybrid([(ContrastiveDivergence(), 1), (rule, 1)])})
    model = contract.network("first", "second")
    before = model.get_weights()
    x = np.random.default_rng(0).uniform(size=(20, 6)).astype("float32")
    histories = pretrain(model, x, schedule, epochs=2, batch_size=10, callbacks=[Look()], verbose=0)
    assert [len(history.history["reconstruction_error"]) for history in histories.values()] == [2, 2]
    assert [type(each) for each in seen] == [Denoising, ContrastiveDivergence, Denoising]
    assert all(each is not rule and each.get_config() == rule.get_config() for each in seen[::2])
    assert all(not np.array_equal(one, other) for one, other in zip(before[::3], model.get_weights()[::3], strict=True))
