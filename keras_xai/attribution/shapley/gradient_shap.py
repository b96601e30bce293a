"""GradientSHAP: expected gradients."""

from typing import final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.attribution.shapley.background import background_of, means
from keras_xai.data.checks import Verbose, check_count, check_seed
from keras_xai.network.entries import Entries


@final
class GradientSHAP(Method):
    r"""GradientSHAP: expected gradients, integrated gradients from random background samples.

    $$\phi_i = \mathbb{E}_{b,\, t \sim U(0, 1)} \left[ (x_i - b_i) \, \frac{\partial f}{\partial x_i} \bigl(b + t (x - b)\bigr) \right]$$

    The expectation is estimated from `num_samples` random pairs of a background sample b and a number t. The values of a sample add up to
    the difference between its score and the mean score of the background, up to the random error, which is `convergence_delta`. Any
    differentiable model. For tokens, the values of each `Embedding` vector are summed.

    `num_samples` forward and backward passes, and one forward pass for each background sample.

    Source: [Erion et al., 2021](https://arxiv.org/abs/1906.10670). It is the `GradientExplainer` of [shap](https://github.com/shap/shap),
    without smoothing, for scores instead of probabilities.

    Args:
        model: The model to explain, see `Method`.
        num_samples: Number of random points per sample.
        seed: Random seed; results do not depend on the batch size. By default, each call draws a new seed.
        batch_size: Points per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    The `baseline` of a call is the background, as for `DeepSHAP`.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientSHAP
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> explanation = GradientSHAP(model, num_samples=10)(np.array([[1.0, 2.0, 3.0]]), target=1, baseline=np.ones((1, 3)))
    >>> explanation.values.round(4).tolist()
    [[0.0, 1.0, 2.0]]
    """

    takes_baseline = True
    shares_baseline = True

    def __init__(
        self,
        model: keras.Model,
        *,
        num_samples: int = 200,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        check_count("num_samples", num_samples)
        self._num_samples = num_samples
        self._seed = None if seed is None else check_seed(seed)
        self._entries = Entries(self._scores, type(self).__name__)

    def _prepare(self, target):
        entries, signature = self._entries, self._scores.signature

        def contributions(inputs, indices, background, t):
            points, others = entries.points(inputs), entries.points(background)
            steps = [x - b for x, b in zip(points, others, strict=True)]
            between = [
                b + ops.reshape(t, (-1, *[1] * (len(b.shape) - 1))) * step for b, step in zip(others, steps, strict=True)
            ]
            slopes = entries.derivative(between, inputs, indices, target).gradients
            return entries.folded([slope * step for slope, step in zip(slopes, steps, strict=True)])

        def score(inputs, indices, others):
            return entries.score(entries.points(others), inputs, indices, target)[0]

        program = self._scores.program(target, contributions, signature, ((None,), self._scores.dtype))
        scored = self._scores.program(target, score, signature)
        predicted = self._scores.predictor(target)

        def explain(batch):
            indices = [np.asarray(each) for each in predicted(batch.inputs, batch.indices)]
            count, background = len(batch.numbers), len(batch.baseline[0])
            generators = [np.random.default_rng([batch.seed, number]) for number in batch.numbers]
            others = np.concatenate([each.integers(background, size=self._num_samples) for each in generators])
            t = np.concatenate([each.uniform(size=self._num_samples) for each in generators]).astype(self._scores.dtype)
            samples = np.repeat(np.arange(count), self._num_samples)

            def given(places):
                return [x[places] for x in batch.inputs], [index[places] for index in indices]

            def of_points(part):
                return program(*given(samples[part]), [b[others[part]] for b in batch.baseline], t[part])

            values = means(of_points, samples, self._batch_size)
            # The mean score of the background is the same for samples of the same class and tokens.
            first, alike = self._alike(batch, indices)
            pairs = np.repeat(np.arange(len(first)), background)

            def of_background(part):
                places = np.arange(len(pairs))[part] % background
                return [scored(*given(first[pairs[part]]), [b[places] for b in batch.baseline])]

            (expected,) = means(of_background, pairs, self._batch_size)
            own = ops.convert_to_numpy(scored(*given(slice(None)), batch.inputs))
            totals = sum(each.reshape(count, -1).sum(axis=1) for each in values if each is not None)
            passes = 2 * len(samples) + len(pairs) + count + batch.passes_to_predict
            return Part(values, indices, own - expected[alike] - totals, passes, base_score=expected[alike])

        return explain

    def _alike(self, batch, indices):
        """The first of the samples that are scored alike on the background, and the number of its kind for each sample."""
        inputs = self._scores.graph.inputs
        tokens = [x for x, identifier in zip(batch.inputs, inputs, strict=True) if identifier not in self._entries.identifiers]
        keys = [tuple(each[i].tobytes() for each in (*indices, *tokens)) for i in range(len(batch.numbers))]
        kinds = {key: i for i, key in reversed(list(enumerate(keys)))}
        first = np.array(sorted(kinds.values()))
        return first, np.searchsorted(first, [kinds[key] for key in keys])

    def _baseline(self, baseline, inputs):
        return background_of(baseline, inputs, self._scores)
