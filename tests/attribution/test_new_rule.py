"""An LRP rule that the package has never seen is used everywhere after one class, written by the public API alone."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai import attribution
from keras_xai.attribution import LRP, Epsilon, EpsilonPlus, Product, RoleComposite, Rule, ZPlus, shared
from tests.attribution import naive_lrp as naive
from tests.attribution import test_rules as contract
from tests.attribution.test_lrp import randomized
from tests.public import concrete


@dataclasses.dataclass(frozen=True)
class WSquare(Rule):
    r"""In proportion to the squared weights: `R_i = sum_j w_ij^2 / sum_k w_kj^2 R_j`.

    Source: [Montavon et al., 2017](https://doi.org/10.1016/j.patcog.2016.11.008), section 4.2.
    """

    stabilizer: float = 1e-6
    products = (1, 1)

    def share(self, layer, message):
        """See `Rule`."""
        return shared(layer, message, [Product(ops.ones_like, ops.square)], 0.0, self.stabilizer, add=True)


def w_square(x, weights, bias, message, *, eps=1e-6):
    return weights**2 @ (message / ((weights**2).sum(axis=0) + eps))


def test_it_keeps_the_contract(monkeypatch):
    monkeypatch.setitem(contract.REPLICAS, WSquare, (WSquare(), "affine", contract.of_matrix(w_square)))
    for check in (contract.check_replica, contract.check_zeros, contract.check_conservation):
        check(WSquare)
    monkeypatch.setattr(attribution, "WSquare", WSquare, raising=False)
    monkeypatch.setattr(attribution, "__all__", [*attribution.__all__, "WSquare"])
    assert concrete(attribution, Rule)["WSquare"] is WSquare
    with pytest.raises(AssertionError, match="does not name `WSquare`"):
        contract.check_documentation(WSquare)


def test_composites_take_it(float64):
    """For the first layer, by depth and by path, of dense layers and convolutions, with a batch normalization folded in."""
    convolution, dense = layers.Conv2D(3, 2, name="convolution"), layers.Dense(2, name="dense")
    normalization, flatten = layers.BatchNormalization(), layers.Flatten()
    model = randomized(keras.Sequential([keras.Input((4, 3, 2)), convolution, normalization, layers.ReLU(), flatten, dense]))
    x = np.random.default_rng(0).normal(size=(2, 4, 3, 2))
    normalized = np.asarray(normalization(convolution(x)))
    hidden = np.maximum(normalized, 0).reshape(2, -1)
    message = np.asarray(dense(hidden)) * [1.0, 0.0]
    found = {}
    for rule, replica in ((WSquare(), w_square), (Epsilon(), naive.epsilon)):
        last = naive.through(naive.composed(dense), hidden, message, replica).reshape(normalized.shape)
        found[type(rule)] = naive.through(naive.composed(convolution, normalization), x, last, w_square)
    by_role = RoleComposite(dense=Epsilon(), convolution=ZPlus(), first=WSquare())
    by_depth = RoleComposite(dense={0: Epsilon(), 1: WSquare()}, convolution=WSquare())
    by_path = EpsilonPlus(layers={"convolution": WSquare(), "dense": WSquare()})
    for composite, expected in ((by_role, Epsilon), (by_depth, WSquare), (by_path, WSquare)):
        explanation = LRP(model, composite=composite)(x, target=0)
        np.testing.assert_allclose(explanation.values, found[expected], rtol=1e-7, atol=1e-10)
    assert not np.allclose(found[Epsilon], found[WSquare], rtol=1e-2)


def test_layers_whose_weights_are_not_known_refuse_it():
    """It modifies weights, which is the default of `Rule.splits`."""
    resized = keras.Sequential([keras.Input((4, 4, 1)), layers.UpSampling2D(interpolation="bicubic"), layers.Flatten()])
    with pytest.raises(
        ValueError, match="the rule WSquare splits weights by sign, and the weights of this layer are not known"
    ):
        LRP(resized, composite=RoleComposite(dense=Epsilon(), convolution=Epsilon(), pooling=WSquare()))
