"""Guided backpropagation and Deconvnet: gradients with modified ReLU rules."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, final

import keras

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.data.checks import Verbose
from keras_xai.graph.steps import Step
from keras_xai.graph.target import Target
from keras_xai.kinds.expansion import indivisible, kind_of
from keras_xai.kinds.gate import Gate
from keras_xai.network.backward import Backward, refuse
from keras_xai.network.scores import Scores
from keras_xai.rules.rectifiers import Deconvolved, Guided, is_rectifier
from keras_xai.rules.rule import BackwardRule, Passage

_INSTEAD = "Use a method that works with any layer, such as SmoothGrad or IntegratedGradients."


class Rectified(Method):
    """Base class of methods that modify the gradient at every rectifier.

    Attributes:
        rule: The rule for rectifiers.

    Args:
        model: The model to explain, see `Method`.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If the model has no rectifier, so that the values would be the plain gradient.
        UnsupportedLayerError: If it has an activation other than a rectifier, or a layer that is not piecewise linear.
    """

    gives_derivatives = True
    unrolls = True
    rule: ClassVar[BackwardRule]

    def __init__(self, model: keras.Model, *, batch_size: int | None = None, verbose: Verbose = "auto"):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._read()

    def _read_layers(self):
        self._gradient = RectifiedGradient(self._scores, self.label, self.rule)

    def _prepare(self, target):
        def values(inputs, indices):
            return self._gradient.values(inputs, indices, target)

        program = self._scores.program(target, values)

        def explain(batch):
            found, indices = program(batch.inputs, batch.indices)
            return Part(found, indices, convergence_delta=None, num_forward_passes=2 * len(batch.numbers))

        return explain


@final
class RectifiedGradient:
    """The gradient of scores by the inputs, modified at every rectifier.

    Args:
        scores: The scores of the model.
        method: Name of the method for errors.
        rule: The rule for rectifiers.

    Raises:
        ValueError: If the model has no rectifier, so that the values would be the plain gradient.
        UnsupportedLayerError: If it has an activation other than a rectifier, or a layer that is not piecewise linear.
    """

    def __init__(self, scores: Scores, method: str, rule: BackwardRule):
        self._back = Backward(scores, method)
        refuse_unrectified(method, self._back.steps, _INSTEAD)
        self._passages = {step: Passage(step, rule) for step in self._back.steps if is_rectifier(step)}
        if not self._passages:
            raise ValueError(
                f"{method} changes the gradient at rectifiers, such as ReLU, LeakyReLU or relu6. Received: the model "
                f"'{scores.name}', which has none before its scores, so that the values would be the plain gradient. Use Saliency."
            )

    def values(self, inputs: Sequence, indices: Sequence, target: Target) -> tuple[list, list]:
        """The modified gradient of a batch, a tensor for each input, and the explained classes; call it within a compiled program."""
        found = self._back.pass_back(inputs, indices, target, lambda output, slope: slope, self._passages)
        return self._back.entries.magnitudes(found.entries), found.indices


@final
class GuidedBackprop(Rectified):
    """Guided backpropagation: rectifiers pass the positive part of the gradient, where they are active.

    A unit passes the gradient only where the unit is active, as in plain backpropagation, and where the gradient is positive, as in
    `Deconvnet`. The result highlights fine details of the input that excite the units behind a score. The forward pass is unchanged.

    Rectifiers are ReLU and its variants with a threshold, a maximum (`relu6`) or a negative slope (`LeakyReLU`, `PReLU`), which pass the
    positive part of the gradient times that slope. The source defines the plain ReLU only. The values of an `Embedding` are the norms of
    the gradient with respect to the token's vector.

    One forward and one backward pass.

    Source: [Springenberg et al., 2014](https://arxiv.org/abs/1412.6806), section 3.4.

    Args:
        model: The model to explain, see `Method`.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If the model has no rectifier, so that the values would be the plain gradient.
        UnsupportedLayerError: If it has an activation other than a rectifier, or a layer that is not piecewise linear.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution.gradient.rectified import GuidedBackprop
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

    The backward signal is rectified at each rectifier, whether its unit is active or not, convolved with the transposed filters, and placed
    at the maximum of each pooling window. A `ReLU` passes positive signals only and ignores the forward pass, which enters through the
    switches of the max poolings.

    The source starts from one unit's activation; here the signal starts at the score with 1, its own derivative. Rectifiers with a negative
    slope or a maximum count as plain ReLU in the backward pass; batch normalization, average pooling and other affine layers, which the
    source does not cover, pass the signal by their transpose. The values of an `Embedding` are the norms of the signal at the token's
    vector.

    One forward and one backward pass.

    Source: [Zeiler and Fergus, 2014](https://arxiv.org/abs/1311.2901), section 2.1.

    Args:
        model: The model to explain, see `Method`.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If the model has no rectifier, so that the values would be the plain gradient.
        UnsupportedLayerError: If it has an activation other than a rectifier, or a layer that is not piecewise linear.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution.gradient.rectified import Deconvnet
    >>> first, last = keras.layers.Dense(2, "relu", use_bias=False), keras.layers.Dense(1, use_bias=False)
    >>> model = keras.Sequential([keras.Input((2,)), first, last])
    >>> first.set_weights([np.array([[1.0, 2.0], [3.0, -1.0]])]), last.set_weights([np.array([[1.0], [2.0]])])
    (None, None)
    >>> Deconvnet(model)(np.array([[1.0, 5.0]])).values.tolist()  # the second unit is not active
    [[5.0, 1.0]]
    """

    rule = Deconvolved()


def refuse_unrectified(method: str, steps: Iterable[Step], instead: str) -> None:
    """Rejects activations other than rectifiers, and layers that are not piecewise linear.

    Args:
        method: Name of the method.
        steps: The steps that the backward pass goes through.
        instead: Advice on alternatives.

    Raises:
        UnsupportedLayerError: If there are such layers; names each of them.
    """
    advice = f"It is defined for networks of rectifiers, poolings and affine layers. {instead}"
    refuse(method, ((step, _refusal(step)) for step in steps), advice)


def _refusal(step: Step) -> str | None:
    kind = kind_of(step)
    if isinstance(kind, Gate) and not is_rectifier(step):
        return "it is an activation other than a rectifier"
    return kind.refusal(step) or indivisible(step)
