"""One contract over every learning rule: a new one that breaks it, or has no replica or is not in the guide, fails here."""

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_xai import pretraining
from keras_xai.layers.units import _UNITS
from keras_xai.pretraining.rule import Schedule
from tests.pretraining import naive
from tests.pretraining.contract import (
    check_documentation,
    check_gradient,
    check_learning,
    check_repetition,
    check_resuming,
    check_saving,
)
from tests.public import concrete, unexported
from tests.slow import quickly
from tests.zoo import in_dtype

RULES = list(concrete(pretraining, pretraining.Rule).values())
UNITS = [activation.__name__ for activation in _UNITS]

of_every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)


def test_every_rule_is_exported_and_every_unit_has_a_replica():
    assert len(RULES) >= 3
    assert unexported(pretraining, Schedule, "keras_xai.pretraining") == []
    assert naive.ACTIVATIONS.keys() == set(UNITS)


@pytest.mark.parametrize("activation", UNITS)
@of_every_rule
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_the_gradient_is_that_of_the_replica(rule, activation, seed):
    with in_dtype("float64"):
        check_gradient(rule, activation, seed)


@of_every_rule
def test_a_seed_repeats_a_run(rule):
    check_repetition(rule)


@pytest.mark.slow
@of_every_rule
def test_a_run_that_was_killed_is_resumed(rule, tmp_path):
    check_resuming(rule, tmp_path)


@of_every_rule
def test_it_is_saved(rule):
    check_saving(rule)


@pytest.mark.slow
@of_every_rule
def test_it_learns(rule):
    check_learning(rule)


@pytest.mark.parametrize("schedule", concrete(pretraining, Schedule).values(), ids=lambda each: each.__name__)
def test_it_is_in_the_guide(schedule):
    check_documentation(schedule)


@keras.saving.register_keras_serializable(package="tests")
class Bad(pretraining.Rule):
    """Breaks the contract: goes the wrong way, draws without a seed of its own, and is in no guide."""

    learning_rate = 0.01

    def __init__(self, forgotten=0, **options):
        super().__init__(**options)
        self.forgotten = forgotten

    def loss(self, machine, visible, *, training):
        noise = keras.random.normal(keras.ops.shape(visible), dtype=machine.kernel.dtype, seed=next(SEEDS))
        return machine.free_energy(machine.reconstruct(visible)) - machine.free_energy(visible + 0.1 * noise)

    def get_config(self):
        return super().get_config() | {"weight_cost": 0.0}


SEEDS = iter(range(10**6))


CHECKS = {
    "gradient": lambda folder: check_gradient(Bad, "sigmoid"),
    "saving": lambda folder: check_saving(Bad),
    "guide": lambda folder: check_documentation(Bad),
    "repetition": lambda folder: check_repetition(Bad),
    "resuming": lambda folder: check_resuming(Bad, folder),
    "learning": lambda folder: check_learning(Bad),
}


@pytest.mark.parametrize("name", quickly(CHECKS, "gradient", "saving", "guide"))
def test_a_bad_rule_is_noticed(name, monkeypatch, tmp_path):
    with pytest.raises(AssertionError, match="has no replica of Bad"):
        check_gradient(Bad, "sigmoid")
    monkeypatch.setitem(naive.REPLICAS, Bad, naive.REPLICAS[pretraining.ReconstructionError])
    with in_dtype("float64" if name == "gradient" else "float32"), pytest.raises(AssertionError):
        CHECKS[name](tmp_path)
