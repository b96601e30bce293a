"""One contract over every backward rule: those of LRP, of the FBI loss, of guided backpropagation and Deconvnet.

A new rule without a naive replica in `REPLICAS`, or one of LRP that `docs/methods/lrp.md` does not name, fails here.
"""

import dataclasses
import functools
import inspect

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai import attribution
from keras_xai.attribution import LRP
from keras_xai.graph.view import arithmetic
from keras_xai.network.scores import Scores
from keras_xai.rules import PROPAGATIONS, BackwardRule, Deconvolved, Guided, Pass, Passage, Rule, Transpose
from keras_xai.rules.fbi import Quotient, Unbiased, UnbiasedMean
from tests.attribution import naive_lrp as naive
from tests.attribution.test_lrp import COMPOSITES, Everywhere, randomized
from tests.public import DOCS, concrete, names_in_code, unexported
from tests.zoo import in_dtype

pytestmark = pytest.mark.onednn


def all_rules():
    """Every concrete rule that the package defines, exported or not."""
    found, queue = {}, [BackwardRule]
    while queue:
        for each in queue.pop().__subclasses__():
            queue.append(each)
            # The multipliers of DeepLIFT compare two forward passes, and gates take two tensors; tests/kinds/test_secants.py and
            # tests/kinds/test_recurrent.py have their replicas.
            elsewhere = ("keras_xai.rules.differences", "keras_xai.rules.gates")
            own = each.__module__.startswith("keras_xai.") and each.__module__ not in elsewhere
            if own and not inspect.isabstract(each):
                found[each.__name__] = each
    return found


def of_matrix(replica):
    """A replica for affine layers, of the dense matrix and the bias, as one of the layer."""
    return lambda layer, x, message: naive.through(naive.composed(layer), x, message, replica)


def without_bias(replica):
    return lambda x, weights, bias, message: replica(x, weights, 0 * bias, message)


# For each rule: the rule, a layer that takes it, and a replica, a function of the layer, its input and the message of its output.
LAYERS = {
    "affine": lambda: layers.Dense(3),
    "mean": lambda: layers.AveragePooling1D(2),
    "relu": lambda: layers.ReLU(),
    "tanh": lambda: layers.Activation("tanh"),
}
REPLICAS = {type(rule): (rule, "affine", of_matrix(replica)) for rule, replica in reversed(naive.RULES.values())} | {
    Transpose: (Transpose(), "affine", of_matrix(lambda x, weights, bias, message: weights @ message)),
    Pass: (Pass(), "relu", lambda layer, x, message: message),
    Guided: (Guided(), "relu", lambda layer, x, message: np.where(x > 0, np.maximum(message, 0), 0)),
    Deconvolved: (Deconvolved(), "relu", lambda layer, x, message: np.maximum(message, 0)),
    Quotient: (Quotient(), "tanh", lambda layer, x, message: message * np.tanh(x) / naive.stabilized(x, 1e-3)),
    Unbiased: (Unbiased(), "affine", of_matrix(without_bias(functools.partial(naive.zplus, eps=1e-7)))),
    UnbiasedMean: (UnbiasedMean(), "mean", of_matrix(without_bias(functools.partial(naive.zplus, eps=1e-7)))),
}


@functools.cache
def model_of(name):
    """A model of one layer, in float64."""
    with in_dtype("float64"):
        return randomized(keras.Sequential([keras.Input((4, 3)), LAYERS[name]()]))


def pulled(rule, model, x, message):
    """What a rule makes of the message of the output of a model of one layer."""
    (step,) = Scores(model).graph.steps
    with arithmetic("float64"):
        call = Passage(step, rule).call(dict(zip(step.inputs, [ops.convert_to_tensor(x)], strict=True)))
        (found,) = rule.pull(call, [ops.convert_to_tensor(message)])
    return ops.convert_to_numpy(found)


def drawn(model, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, *model.input_shape[1:]))
    return x, rng.normal(size=(2, *model.output_shape[1:]))


def check_replica(rule):
    """The rule is its replica, and the replica of another message is something else."""
    assert rule in REPLICAS, f"{rule.__name__} has no naive replica in tests/attribution/test_rules.py"
    made, name, replica = REPLICAS[rule]
    model = model_of(name)
    x, message = drawn(model)
    found = pulled(made, model, x, message)
    assert found.shape == x.shape and found.dtype == "float64"
    np.testing.assert_allclose(found, replica(model.layers[0], x, message), rtol=1e-9, atol=1e-11)
    assert not np.allclose(found, replica(model.layers[0], x, np.roll(message, 1, axis=1)), rtol=1e-2)


def check_zeros(rule):
    """Nothing comes of no message, and nothing infinite of inputs that are all zero."""
    made, name, _ = REPLICAS[rule]
    model = model_of(name)
    x, message = drawn(model)
    assert not pulled(made, model, x, 0 * message).any()
    assert np.isfinite(pulled(made, model, 0 * x, message)).all()


def check_conservation(rule):
    """What is shared out arrives, where the bias takes no part and something speaks for and against each output."""
    made, name, _ = REPLICAS[rule]
    options = {"bias": False} if "bias" in inspect.signature(rule).parameters else {}
    options |= {option: 1e-12 for option in ("epsilon", "stabilizer") if option in inspect.signature(rule).parameters}
    made = dataclasses.replace(made, **options)
    model = model_of(name)
    rng = np.random.default_rng(3)
    if name == "affine":
        with in_dtype("float64"):
            model = keras.Sequential([keras.Input((4, 3)), layers.Dense(3)])
        model.layers[0].set_weights([np.array([[1.0, 0.7, -0.4], [-0.3, 0.8, 0.6], [0.5, -0.2, 0.9]]), rng.normal(size=3)])
    x, message = rng.uniform(0.5, 1, size=(2, 4, 3)), rng.normal(size=(2, *model.output_shape[1:]))
    lost = message.sum(axis=(1, 2)) - pulled(made, model, x, message).sum(axis=(1, 2))
    np.testing.assert_allclose(lost, 0, atol=1e-6)


def check_documentation(rule):
    names = names_in_code((DOCS / "methods" / "lrp.md").read_text())
    assert rule.__name__ in names, f"docs/methods/lrp.md does not name `{rule.__name__}`"


RULES = all_rules()
of_every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
of_every_share = pytest.mark.parametrize("rule", [each for each in RULES.values() if issubclass(each, Rule)], ids=repr)


def test_every_rule_of_lrp_is_exported():
    assert len(RULES) >= 13
    assert unexported(attribution, Rule, "keras_xai.rules.lrp") == []
    assert unexported(attribution, attribution.Composite, "keras_xai.rules") == []


@of_every_rule
def test_the_naive_replica_finds_the_same(rule):
    check_replica(rule)


@of_every_rule
def test_zeros_stay_finite(rule):
    check_zeros(rule)


@of_every_share
def test_relevance_is_conserved(rule):
    check_conservation(rule)


@pytest.mark.parametrize("rule", concrete(attribution, Rule).values(), ids=lambda rule: rule.__name__)
def test_lrp_takes_the_rule_for_all_layers(float64, rule):
    """Two dense layers, the one after the other."""
    made, _, replica = REPLICAS[rule]
    check_documentation(rule)
    model = randomized(keras.Sequential([keras.Input((4,)), layers.Dense(5, "relu"), layers.Dense(3)]))
    first, last = model.layers
    x = np.random.default_rng(1).normal(size=(2, 4))
    hidden = np.asarray(first(x))
    message = np.asarray(last(hidden)) * (np.arange(3) == 1)
    expected = replica(naive.linear(first), x, replica(last, hidden, message))
    found = LRP(model, composite=Everywhere(one=made))(x, target=1)
    np.testing.assert_allclose(found.values, expected, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(found.convergence_delta, message.sum(axis=1) - expected.sum(axis=1), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("composite", concrete(attribution, attribution.Composite).values(), ids=lambda each: each.__name__)
def test_every_composite_has_a_replica_and_is_documented(composite):
    check_documentation(composite)
    assert composite in {type(each) for each, *_ in COMPOSITES.values()}  # compared with the replica in test_lrp.py


@pytest.mark.parametrize("rule", PROPAGATIONS)
def test_every_rule_of_the_penalty_is_documented(rule):
    assert f'"{rule}"' in (DOCS / "guide" / "fbi.md").read_text()


@dataclasses.dataclass(frozen=True)
class Doubling(Rule):
    """Breaks the contract: makes relevance, and NaN of zeros."""

    splits = False
    products = (1, 1)

    def share(self, layer, message):
        return [2 * message[..., :1] * layer.inputs[0] / ops.sum(layer.inputs[0], axis=-1, keepdims=True)]


def test_a_bad_rule_is_noticed(monkeypatch):
    with pytest.raises(AssertionError, match="Doubling has no naive replica"):
        check_replica(Doubling)
    with pytest.raises(AssertionError, match="does not name `Doubling`"):
        check_documentation(Doubling)
    monkeypatch.setitem(REPLICAS, Doubling, (Doubling(), "affine", of_matrix(naive.epsilon)))
    for check in (check_replica, check_zeros, check_conservation):
        with pytest.raises(AssertionError):
            check(Doubling)
