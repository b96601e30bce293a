"""DeepLIFT: contributions of the differences from a baseline."""

from collections.abc import Callable
from typing import final

import keras

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.data.checks import Verbose
from keras_xai.graph.target import Target
from keras_xai.network.backward import Backward, conditional, refuse
from keras_xai.network.entries import total
from keras_xai.network.scores import Scores
from keras_xai.rules.differences import Multipliers, refusal
from keras_xai.rules.rule import Passage

# Two forward passes and a backward pass.
PASSES = 3

_CONDITION = "it takes a condition that is computed from the input, which may differ between sample and baseline"


@final
class Differences:
    """Contributions of the differences between samples and baselines to the difference of their scores.

    Args:
        scores: The scores of the model.
        method: Name of the method for errors.

    Raises:
        UnsupportedLayerError: If there is no rule for a layer.
    """

    def __init__(self, scores: Scores, method: str):
        self._scores = scores
        self._back = Backward(scores, method)
        advice = f"{method} has no rule for them. Use a method that works with any layer, such as IntegratedGradients or GradientSHAP."
        chosen = conditional(scores.graph, self._back.steps, self._back.entries.identifiers)
        refuse(
            method, ((step, refusal(step) or (_CONDITION if step in chosen else None)) for step in self._back.steps), advice
        )
        self._passages = {step: Passage(step, Multipliers()) for step in self._back.steps}

    def program(self, target: Target) -> Callable:
        """Compiles a function that maps samples, their classes and baselines to `(values, classes, delta, scores of the baselines)`."""
        entries = self._back.entries

        def contributions(inputs, indices, baseline):
            points, others = entries.points(inputs), entries.points(baseline)
            found = self._back.pass_back(inputs, indices, target, lambda output, slope: slope, self._passages, others)
            values = [each * (x - b) for each, x, b in zip(found.entries, points, others, strict=True)]
            delta = found.score - found.reference - total(values)
            return entries.folded(values), found.indices, delta, found.reference

        return self._scores.program(target, contributions, self._scores.signature)


@final
class DeepLIFT(Method):
    r"""DeepLIFT: the difference of the score from that of a baseline, redistributed backward through the layers.

    $$\phi_i = m_i \, (x_i - b_i), \qquad m_j = \frac{f(z_j) - f(z_j^b)}{z_j - z_j^b} \, m_{f(z_j)}$$

    Each layer passes multipliers back, which replace derivatives: an activation the quotient of the differences of its output and input
    (rescale rule), an affine layer its weights. A product, or a quotient, of tensors that both vary gives each its Shapley value; max
    pooling gives a rise to the largest entry of the sample and a fall to that of the baseline. The values of a sample add up to the score
    difference f(x) - f(b), for any of these layers; `convergence_delta` is the rounding error. For tokens, the values of each `Embedding`
    vector are summed.

    Two forward passes and a backward pass: about the cost of two gradients.

    Source: [Shrikumar et al., 2017](https://arxiv.org/abs/1704.02685), the rescale rule; [Lundberg and Lee,
    2017](https://arxiv.org/abs/1705.07874) for products. Deviations: the paper has no rule for products, softmax, and normalizations by
    statistics of the sample. Here each of them has a rule whose contributions add up, see `keras_xai.kinds.secants`. For a callable
    `target`, the multipliers of the scores are the mean derivatives on the straight line between the scores of baseline and sample, by 32
    Gauss-Legendre nodes. Recurrent layers are divided into the steps of their cells, attention into its products and its softmax.

    Args:
        model: The model to explain, see `Method`.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        UnsupportedLayerError: If there is no rule for a layer; names each such layer.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import DeepLIFT
    >>> x = keras.Input((2,))
    >>> model = keras.Model(x, keras.ops.sum(x, axis=1, keepdims=True) * keras.ops.relu(x[:, :1] - 1))  # (x + y) max(x - 1, 0)
    >>> explanation = DeepLIFT(model)(np.array([[2.0, 4.0]]))  # a score of 6
    >>> explanation.values.round(4).tolist(), explanation.convergence_delta.round(4).tolist()
    ([[4.0, 2.0]], [0.0])
    """

    takes_baseline = True
    unrolls = True
    needs_sizes = True

    def __init__(self, model: keras.Model, *, batch_size: int | None = None, verbose: Verbose = "auto"):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._read()

    def _read_layers(self):
        self._differences = Differences(self._scores, "DeepLIFT")

    def _prepare(self, target):
        program = self._differences.program(target)

        def explain(batch):
            values, indices, delta, base = program(batch.inputs, batch.indices, batch.baseline)
            return Part(values, indices, delta, num_forward_passes=PASSES * len(batch.numbers), base_score=base)

        return explain
