"""Guided backpropagation and Deconvnet: gradients with modified ReLU rules."""

from collections.abc import Iterable
from typing import Any, ClassVar, final

import keras

from keras_xai.attribution.method import Method, Part
from keras_xai.graph.steps import Step
from keras_xai.kinds.expansion import indivisible, kind_of
from keras_xai.kinds.gate import Gate
from keras_xai.network.backward import Backward, refuse
from keras_xai.rules.rectifiers import Deconvolved, Guided, is_rectifier
from keras_xai.rules.rule import BackwardRule, Passage

_INSTEAD = "Use a method that asks nothing of the layers, such as SmoothGrad or IntegratedGradients."


class Rectified(Method):
    """Base class of methods that modify the gradient at every rectifier.

    Attributes:
        rule: The rule of rectifiers.

    Args:
        model: As for every method, see `Method`.
        batch_size: Samples in the model at a time; `None` to choose it by the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 for it at once, 2 for one line at the end, 0 for silence.

    Raises:
        ValueError: If the model has no rectifier, so that the values would be the plain gradient.
        UnsupportedLayerError: If it has an activation that is no rectifier, or a layer that is not piecewise linear.
    """

    gives_derivatives = True
    rule: ClassVar[BackwardRule]

    def __init__(self, model: keras.Model, *, batch_size: int | None = None, verbose: Any = "auto"):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._back = Backward(self._scores, self.label)
        refuse_unrectified(self.label, self._back.steps, _INSTEAD)
        if not any(is_rectifier(step) for step in self._back.steps):
            raise ValueError(
                f"{self.label} changes the gradient at rectifiers, such as ReLU, LeakyReLU or relu6. Received: the model "
                f"'{model.name}', which has none before its scores, so that the values would be the plain gradient. Use Saliency."
            )

    def _prepare(self, target):
        passages = {step: Passage(step, self.rule) for step in self._back.steps if is_rectifier(step)}

        def values(inputs, indices):
            found = self._back.pass_back(inputs, indices, target, lambda output, slope: slope, passages)
            return self._back.entries.magnitudes(found.entries), found.indices

        program = self._scores.program(target, values)

        def explain(batch):
            found, indices = program(batch.inputs, batch.indices)
            return Part(found, indices, convergence_delta=None, num_forward_passes=2 * len(batch.numbers))

        return explain


@final
class GuidedBackprop(Rectified):
    """Guided backpropagation: rectifiers pass the positive part of the gradient, where they are active.

    A unit passes a message only where it is active itself, as in the gradient, and where the message is positive, as in
    `Deconvnet`. What remains are fine drawings of the parts of the input that excite the units behind a score. The forward pass
    is the model's own.

    Rectifiers are the ReLU and its relatives: with a threshold, a largest value (`relu6`) or a slope below zero (`LeakyReLU`,
    `PReLU`), which passes the positive part of the message times that slope. The source knows the plain ReLU only. The values of an
    `Embedding` are the lengths of what comes back to the token's vector.

    One forward and one backward pass.

    Source: [Springenberg et al., 2014](https://arxiv.org/abs/1412.6806), section 3.4.

    Args:
        model: As for every method, see `Method`.
        batch_size: Samples in the model at a time; `None` to choose it by the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 for it at once, 2 for one line at the end, 0 for silence.

    Raises:
        ValueError: If the model has no rectifier, so that the values would be the plain gradient.
        UnsupportedLayerError: If it has an activation that is no rectifier, or a layer that is not piecewise linear.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution.rectified import GuidedBackprop
    >>> first, last = keras.layers.Dense(2, "relu", use_bias=False), keras.layers.Dense(1, use_bias=False)
    >>> model = keras.Sequential([keras.Input((2,)), first, last])
    >>> first.set_weights([np.array([[1.0, 2.0], [3.0, -1.0]])]), last.set_weights([np.array([[1.0], [-1.0]])])
    (None, None)
    >>> GuidedBackprop(model)(np.array([[2.0, 1.0]])).values.tolist()
    [[1.0, 3.0]]
    """

    rule = Guided()


@final
class Deconvnet(Rectified):
    """Deconvnet: rectifiers pass the positive part of the gradient, whether they are active or not.

    What comes back is rectified at each rectifier, whether its unit is active or not, convolved with the transposed filters, and
    put where the maximum of each pooling window was. A `ReLU` therefore only lets positive messages pass, and does not look
    at the forward pass; the switches of the max poolings do.

    In the source a network starts from one unit's activation; here it is a score, and the message starts as 1, that is as the
    score's derivative. A rectifier with a slope below zero or a largest value is taken as a plain ReLU on the way back, and batch
    normalization, average pooling and whatever else is affine as its transpose, of which the source says nothing. The values of
    an `Embedding` are the lengths of what comes back to the token's vector.

    One forward and one backward pass.

    Source: [Zeiler and Fergus, 2014](https://arxiv.org/abs/1311.2901), section 2.1.

    Args:
        model: As for every method, see `Method`.
        batch_size: Samples in the model at a time; `None` to choose it by the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 for it at once, 2 for one line at the end, 0 for silence.

    Raises:
        ValueError: If the model has no rectifier, so that the values would be the plain gradient.
        UnsupportedLayerError: If it has an activation that is no rectifier, or a layer that is not piecewise linear.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution.rectified import Deconvnet
    >>> first, last = keras.layers.Dense(2, "relu", use_bias=False), keras.layers.Dense(1, use_bias=False)
    >>> model = keras.Sequential([keras.Input((2,)), first, last])
    >>> first.set_weights([np.array([[1.0, 2.0], [3.0, -1.0]])]), last.set_weights([np.array([[1.0], [2.0]])])
    (None, None)
    >>> Deconvnet(model)(np.array([[1.0, 5.0]])).values.tolist()  # the second unit is not active
    [[5.0, 1.0]]
    """

    rule = Deconvolved()


def refuse_unrectified(method: str, steps: Iterable[Step], instead: str) -> None:
    """Refuses activations that are no rectifiers, and layers that are not piecewise linear.

    Args:
        method: Name of the method.
        steps: Those that messages pass through.
        instead: What else can be done.

    Raises:
        UnsupportedLayerError: If there are any; names each of them.
    """
    advice = f"It is defined for networks of rectifiers, poolings and layers that are affine. {instead}"
    refuse(method, ((step, _refusal(step)) for step in steps), advice)


def _refusal(step: Step) -> str | None:
    kind = kind_of(step)
    if isinstance(kind, Gate) and not is_rectifier(step):
        return "it is an activation, and no rectifier"
    return kind.refusal(step) or indivisible(step)
