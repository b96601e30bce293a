"""SmoothGrad: gradients averaged over noisy copies."""

from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.backend import normal
from keras_xai.data.checks import check_count, check_number, check_seed
from keras_xai.network.entries import Entries, in_steps


@final
class SmoothGrad(Method):
    """SmoothGrad: the mean gradient over noisy copies of a sample.

    Gradients of deep networks fluctuate from point to point; averaging over many points around the sample keeps their common part. The
    noise is Gaussian. Its standard deviation is a fraction of the range between the sample's minimum and maximum, as in the source.

    `num_samples` forward and backward passes, and one forward pass to find a predicted class.

    Source: [Smilkov et al., 2017](https://arxiv.org/abs/1706.03825).

    Args:
        model: The model to explain, see `Method`.
        num_samples: Number of noisy copies of each sample.
        noise: Standard deviation, as a fraction of the range of the sample's values. The source recommends 0.1 to 0.2.
        seed: Random seed; results do not depend on the batch size. By default, each call draws a new seed.
        batch_size: Noisy copies per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import SmoothGrad
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> SmoothGrad(model, num_samples=5, seed=0)(np.eye(3), target=1).values.round(4).tolist()[0]
    [1.0, 1.0, 1.0]
    """

    gives_derivatives = True

    def __init__(
        self,
        model: keras.Model,
        *,
        num_samples: int = 32,
        noise: float = 0.15,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        check_count("num_samples", num_samples)
        check_number("noise", noise, least=0)
        self._num_samples = num_samples
        self._noise = noise
        self._seed = None if seed is None else check_seed(seed)

    def _prepare(self, target):
        entries = Entries(self._scores, type(self).__name__, target)
        layouts = [
            self._scores.layouts[position] if identifier in self._scores.graph.inputs else None  # vectors of tokens
            for position, identifier in zip(entries.sources, entries.identifiers, strict=True)
        ]

        def mean(inputs, indices, weights, numbers, seed):
            points = entries.points(inputs)
            spreads = [self._noise * _range(x) for x in points]

            def noisy(places):
                draws = [_draws(x, layouts[i], places, numbers, seed + i) for i, x in enumerate(points)]
                return [x + spread * draw for x, spread, draw in zip(points, spreads, draws, strict=True)]

            return entries.magnitudes(entries.weighted_sum(noisy, weights, inputs, indices, target))

        arguments = (((None, None), self._scores.dtype), ((None,), "int32"), ((), "int32"))
        program = self._scores.program(target, mean, *arguments)
        predicted = self._scores.predictor(target)

        def explain(batch):
            indices = predicted(batch.inputs, batch.indices)
            weights = in_steps(
                np.full(self._num_samples, 1 / self._num_samples, self._scores.dtype), len(batch.numbers), self._batch_size
            )
            values = program(batch.inputs, indices, weights, batch.numbers, batch.seed)
            passes = 2 * self._num_samples * len(batch.numbers) + batch.passes_to_predict
            return Part(values, indices, convergence_delta=None, num_forward_passes=passes)

        return explain


def _draws(x, layout, places, numbers, seed):
    """Noise that is the same in all layouts of the input."""
    last = x if layout is None else layout.channels_last(x)
    draws = normal(last, places, numbers, seed)
    if last is x:
        return draws
    restored = layout.restored(ops.reshape(draws, (-1, *ops.shape(draws)[2:])))
    return ops.reshape(restored, (*ops.shape(draws)[:2], *ops.shape(restored)[1:]))


def _range(x):
    axes = tuple(range(1, len(x.shape)))
    return ops.max(x, axis=axes, keepdims=True) - ops.min(x, axis=axes, keepdims=True)
