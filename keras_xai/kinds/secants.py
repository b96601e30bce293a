"""Secants: linear maps from the differences of a step's inputs to the differences of its outputs, for DeepLIFT.

A secant L of a step y between a reference b and a sample x satisfies L(x - b) = y(x) - y(b). Its transpose passes multipliers backward, and
a chain of secants is a secant of the whole network, so that contributions add up to the difference of the scores.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.backend import record
from keras_xai.graph.steps import Step

Linear = Callable[[list], list]
Secant = Callable[[list, list], Linear]
"""Maps the input tensors of a step at the samples and at the references to the linear map, one tensor for each input of the step."""

# Differences of outputs below this many roundings are inaccurate, and the derivative is used if inputs differ by less than `_NEAR`.
_ROUNDINGS, _NEAR = 1000, 0.01


def affine(step: Step, tangent: Callable[[Step, list], Linear | None]) -> Secant:
    """The secant of an affine step: the step itself, as only the transpose of its linear part is taken.

    Args:
        step: The step.
        tangent: `Kind.tangent`.
    """
    return lambda inputs, reference: tangent(step, inputs) or (lambda tensors: step(*tensors))


def elementwise(step: Step) -> Secant:
    """DeepLIFT rescale rule: (y(x) - y(b)) / (x - b) for each entry; the derivative in the middle if the difference is lost in rounding."""

    def secant(inputs, reference):
        (x,), (b,) = inputs, reference
        (y,), (z,) = step(x), step(b)
        noise = _ROUNDINGS * float(np.finfo(keras.backend.standardize_dtype(y.dtype)).eps) * (ops.abs(y) + ops.abs(z))
        near = ops.logical_and(ops.abs(x - b) < _NEAR, ops.abs(y - z) <= noise)
        middle = record(lambda tensors: step(*tensors), [(x + b) / 2])
        (derivative,) = middle.pull([ops.ones_like(y)])
        return scaling(ops.where(near, derivative, quotient(y - z, x - b)))

    return secant


def scaling(factor: Any) -> Linear:
    """The map of one tensor that multiplies it by a factor."""
    return lambda tensors: [factor * tensors[0]]


def quotient(difference: Any, step: Any) -> Any:
    """A quotient of tensors, zero where the divisor is."""
    return ops.divide_no_nan(difference, step)


def multilinear(step: Step) -> Secant:
    """Shapley values of the operands of a step that is linear in each of them, such as a product of tensors.

    For a(x) b(x) the multiplier of a is (b(x) + b(b)) / 2. The Shapley values of a multilinear function are its mean derivatives along the
    straight line from reference to sample, which Gauss-Legendre quadrature gives exactly.

    Source: [Owen, 1972](https://doi.org/10.1287/mnsc.18.5.64), multilinear extensions.
    """
    real = [i for i, spec in enumerate(step.input_specs) if keras.backend.is_float_dtype(spec.dtype)]
    nodes, weights = np.polynomial.legendre.leggauss(-(-len(real) // 2))

    def secant(inputs, reference):
        points = [
            (float(weight) / 2, [b + (float(node) + 1) / 2 * (x - b) if i in real else x for i, (x, b) in enumerate(pairs)])
            for pairs in [list(zip(inputs, reference, strict=True))]
            for node, weight in zip(nodes, weights, strict=True)
        ]

        def linear(tensors):
            return [
                sum(
                    weight * step(*(tensors[j] if i == j else other for j, other in enumerate(point)))[0]
                    for weight, point in points
                    for i in real
                )
            ]

        return linear

    return secant


def division(step: Step) -> Secant:
    """Shapley values of numerator and denominator: those of a product with the reciprocal, which is rescaled."""

    def secant(inputs, reference):
        (a, b), (c, d) = step.operands(inputs), step.operands(reference)
        to_numerator, to_denominator = (1 / b + 1 / d) / 2, -(a + c) / (2 * b * d)

        def linear(tensors):
            numerator, denominator = step.operands(tensors)
            return [to_numerator * numerator + to_denominator * denominator]

        return linear

    return secant


def softmax(*, axis: Any, logarithm: bool) -> Secant:
    """The secant of a softmax s = exp(x - log(sum(exp(x)))), composed of exact secants of its parts.

    With w = (s(x) - s(b)) / (log s(x) - log s(b)), the logarithmic means, the difference of the logarithm of the sum is sum(w (x - b)) /
    sum(w). The secant of a softmax maps d to w (d - sum(w d) / sum(w)); that of its logarithm maps d to d - sum(w d) / sum(w). Like the
    derivatives, both are zero for a constant. It does not depend on the constant that implementations subtract from x, unlike the rule of
    shap.

    Source: [Ang and Liu, 2001](https://doi.org/10.1016/S0360-5442(01)00022-0), the logarithmic mean Divisia decomposition.

    Args:
        axis: The axis or axes along which probabilities add up to 1.
        logarithm: Whether the step is the logarithm of the softmax.
    """

    def secant(inputs, reference):
        logs = [x - ops.logsumexp(x, axis=axis, keepdims=True) for (x,) in (inputs, reference)]
        means = logarithmic_mean(*logs)
        whole = ops.sum(means, axis=axis, keepdims=True)

        def linear(tensors):
            (change,) = tensors
            centered = change - ops.sum(means * change, axis=axis, keepdims=True) / whole
            return [centered if logarithm else means * centered]

        return linear

    return secant


def logarithmic_mean(log_a: Any, log_b: Any) -> Any:
    """(a - b) / (log a - log b), and a where both are equal, for tensors of logarithms."""
    distance = ops.abs(log_a - log_b)
    apart = ops.logical_and(distance > 0, ops.isfinite(distance))
    safe = ops.where(apart, distance, ops.ones_like(distance))
    return ops.exp(ops.maximum(log_a, log_b)) * ops.where(
        apart, -ops.expm1(-safe) / safe, ops.cast(distance == 0, distance.dtype)
    )


@final
@dataclasses.dataclass(frozen=True)
class Normalized:
    """A normalization y = finish(c / q), q = sqrt(max(mean(c c) + epsilon, least)), of centered entries c.

    Attributes:
        centered: The linear map from inputs to c.
        mean: The linear map from the squares of c to their mean or sum.
        finish: The linear map from c / q to outputs; a bias may follow.
        epsilon: Added to the mean.
        least: Lower limit of the square of q.
    """

    centered: Callable[[Any], Any]
    mean: Callable[[Any], Any]
    finish: Callable[[Any], Any]
    epsilon: float = 0.0
    least: float = 0.0

    def divisor(self, c: Any) -> Any:
        """q, for centered entries."""
        return ops.sqrt(ops.maximum(self.mean(c * c) + self.epsilon, self.least))


def normalization(parts: Normalized) -> Secant:
    """The secant of a normalization.

    As c = y q, the two-argument Shapley form gives c(x) - c(b) = Y (q(x) - q(b)) + Q (y(x) - y(b)), with the means Y and Q of sample and
    reference, and q(x) - q(b) = (v(x) - v(b)) / (2 Q), with v = q q. Solved for the difference of y, it stays accurate for a reference
    whose q is near zero, where the form of the product with 1 / q is a difference of large numbers.
    """

    def secant(inputs, reference):
        c, d = parts.centered(inputs[0]), parts.centered(reference[0])
        v, u = parts.mean(c * c) + parts.epsilon, parts.mean(d * d) + parts.epsilon
        above, below = ops.maximum(v, parts.least), ops.maximum(u, parts.least)
        slope = ops.where(v == u, ops.ones_like(v), quotient(above - below, v - u))
        q, p = ops.sqrt(above), ops.sqrt(below)

        def linear(tensors):
            change = parts.centered(tensors[0])
            of_square = slope * parts.mean((c + d) * change)
            return [parts.finish(2 * change / (q + p) - (c / q + d / p) * of_square / ops.square(q + p))]

        return linear

    return secant
