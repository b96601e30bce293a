"""DeepSHAP: the mean of DeepLIFT over background samples."""

from typing import final

import keras
import numpy as np

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.attribution.relevance.deep_lift import PASSES, Differences
from keras_xai.attribution.shapley.background import background_of, means
from keras_xai.data.checks import Verbose


@final
class DeepSHAP(Method):
    r"""DeepSHAP: the mean of DeepLIFT's contributions over background samples.

    $$\phi_i = \frac{1}{m} \sum_{b} \phi_i^{\mathrm{DeepLIFT}}(x, b)$$

    The values of a sample add up to the difference between its score and the mean score of the background; `convergence_delta` is the
    rounding error. The rules and the refused layers are those of `DeepLIFT`. Three passes for each pair of a sample and a background
    sample.

    Source: [Lundberg and Lee, 2017](https://arxiv.org/abs/1705.07874); the mean over a background is that of `DeepExplainer` in
    [shap](https://github.com/shap/shap), whose values these are, except for softmax layers and normalizations by statistics of the sample.
    Deviation: scores are explained instead of probabilities.

    Args:
        model: The model to explain, see `Method`.
        batch_size: Pairs of a sample and a background sample per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    The `baseline` of a call is the background: samples `(m, *input_shape)`, shared by all explained samples, in the structure of `x` for a
    model of several inputs; or one sample, or a number for all entries. One sample of zeros by default.

    Raises:
        UnsupportedLayerError: If there is no rule for a layer; names each such layer.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import DeepSHAP
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> explanation = DeepSHAP(model)(np.array([[1.0, 2.0, 3.0]]), target=1, baseline=np.array([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]]))
    >>> explanation.values.round(4).tolist()
    [[0.0, 1.0, 2.0]]
    """

    takes_baseline = True
    unrolls = True
    needs_sizes = True
    shares_baseline = True

    def __init__(self, model: keras.Model, *, batch_size: int | None = None, verbose: Verbose = "auto"):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._read()

    def _read_layers(self):
        self._differences = Differences(self._scores, "DeepSHAP")

    def _prepare(self, target):
        program, predicted = self._differences.program(target), self._scores.predictor(target)

        def explain(batch):
            indices = [np.asarray(each) for each in predicted(batch.inputs, batch.indices)]
            samples, others = np.divmod(np.arange(len(batch.numbers) * len(batch.baseline[0])), len(batch.baseline[0]))

            def contributions(part):
                values, _, delta, base = program(
                    [x[samples[part]] for x in batch.inputs],
                    [index[samples[part]] for index in indices],
                    [b[others[part]] for b in batch.baseline],
                )
                return [*values, delta, base]

            *values, delta, base = means(contributions, samples, self._batch_size)
            return Part(values, indices, delta, PASSES * len(samples) + batch.passes_to_predict, base_score=base)

        return explain

    def _baseline(self, baseline, inputs):
        return background_of(baseline, inputs, self._scores)
