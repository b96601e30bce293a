"""Unit types of restricted Boltzmann machines: mean activation and sampling."""

import abc
import math
from collections.abc import Callable
from typing import Any, final

import keras
import numpy as np
from keras import ops


class Unit(abc.ABC):
    """A unit type, on the visible or hidden side.

    Given the other side, a unit with the weighted sum `s` has a distribution proportional to `exp(s * value - energy(value))`. All methods
    work elementwise on tensors of any shape.

    Attributes:
        activation: Maps the weighted sum to the unit's mean.
        low: Minimum value of the unit.
        high: Maximum value of the unit.
        two_valued: Whether it only takes these two values.
    """

    activation: Callable
    low: float
    high: float
    two_valued = False

    @abc.abstractmethod
    def potential(self, sums: Any) -> Any:
        """The antiderivative of `activation`: the unit's contribution to minus the free energy."""

    @abc.abstractmethod
    def sample(self, sums: Any, seed: keras.random.SeedGenerator) -> Any:
        """A random value given the weighted sum."""

    def energy(self, values: Any) -> Any:
        """The energy of a value, without bias or connections."""
        return ops.zeros_like(values)

    @abc.abstractmethod
    def bias(self, totals: np.ndarray, count: float) -> np.ndarray:
        """The bias for which the mean of an unconnected unit is the mean of the data.

        Args:
            totals: Sum of the data for each unit.
            count: Number of samples in the sum.
        """


@final
class Bernoulli(Unit):
    """A Bernoulli unit, 0 or 1. Data in between are treated as probabilities."""

    activation = staticmethod(keras.activations.sigmoid)
    low, high = 0.0, 1.0
    two_valued = True

    def potential(self, sums):
        return ops.softplus(sums)

    def sample(self, sums, seed):
        uniform = keras.random.uniform(ops.shape(sums), dtype=sums.dtype, seed=seed)
        return ops.cast(uniform < ops.sigmoid(sums), sums.dtype)

    def bias(self, totals, count):
        # Adds one 0 and one 1 to the counts, so that a pixel that is always off gets a finite bias.
        return np.log((totals + 1) / (count - totals + 1))


@final
class Gaussian(Unit):
    """A normal distribution of variance 1 around the weighted sum."""

    activation = staticmethod(keras.activations.linear)
    low, high = -math.inf, math.inf

    def potential(self, sums):
        return ops.square(sums) / 2

    def sample(self, sums, seed):
        return sums + keras.random.normal(ops.shape(sums), dtype=sums.dtype, seed=seed)

    def energy(self, values):
        return ops.square(values) / 2

    def bias(self, totals, count):
        return totals / count


@final
class Rectified(Unit):
    """The noisy rectified linear unit of [Nair & Hinton, 2010](https://www.cs.toronto.edu/~hinton/absps/reluICML.pdf).

    `max(0, s + noise)` with normal noise of variance `sigmoid(s)`. It approximates infinitely many binary units with shared weights and
    shifted biases, so that its mean is close to `relu(s)` but not equal to it. Mean and potential here are those of `relu`, as used in the
    network.
    """

    activation = staticmethod(keras.activations.relu)
    low, high = 0.0, math.inf

    def potential(self, sums):
        return ops.square(ops.relu(sums)) / 2

    def sample(self, sums, seed):
        noise = keras.random.normal(ops.shape(sums), dtype=sums.dtype, seed=seed)
        return ops.relu(sums + noise * ops.sqrt(ops.sigmoid(sums)))

    def energy(self, values):
        return ops.square(values) / 2

    def bias(self, totals, count):
        return totals / count


@final
class Sign(Unit):
    """A unit of -1 or 1 with the mean `tanh(s)`. Data in between are treated as means."""

    activation = staticmethod(keras.activations.tanh)
    low, high = -1.0, 1.0
    two_valued = True

    def potential(self, sums):
        # log(2 cosh(s)), in a form that does not overflow.
        return ops.abs(sums) + ops.softplus(-2 * ops.abs(sums))

    def sample(self, sums, seed):
        uniform = keras.random.uniform(ops.shape(sums), dtype=sums.dtype, seed=seed)
        return 2 * ops.cast(uniform < ops.sigmoid(2 * sums), sums.dtype) - 1

    def bias(self, totals, count):
        return np.arctanh(totals / (count + 1))


_UNITS = {unit.activation: unit for unit in (Bernoulli(), Gaussian(), Rectified(), Sign())}


def unit_of(activation: Callable) -> Unit:
    """The unit type of an activation function.

    Args:
        activation: A function, as returned by `keras.activations.get`.

    Raises:
        ValueError: If no unit type has this activation.
    """
    try:
        return _UNITS[activation]
    except (KeyError, TypeError):  # TypeError: unhashable activations
        name = getattr(activation, "__name__", repr(activation))
        raise ValueError(
            "Expected the activation of a unit type of restricted Boltzmann machines: "
            f"{', '.join(each.__name__ for each in _UNITS)}. Received: {name}. Use `keras.layers.Dense` for a layer that is not "
            "pretrained."
        ) from None
