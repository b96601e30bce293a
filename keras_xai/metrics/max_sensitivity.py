"""Max-sensitivity of an explanation to small input changes."""

from typing import Any, final

import numpy as np
from keras import tree

from keras_xai.attribution import Method
from keras_xai.data.batches import progress
from keras_xai.data.checks import check_count, check_positive, check_verbose
from keras_xai.metrics.metric import Metric, check_method, explain_again, seed_of
from keras_xai.metrics.places import Places


@final
class MaxSensitivity(Metric):
    r"""Max-sensitivity: the largest relative change of an explanation in a small box around the sample.

    $$\mathrm{SENS}(x) = \max_{\|y - x\|_\infty \le r} \frac{\|\phi(y) - \phi(x)\|_2}{\|\phi(x)\|_2}$$

    The maximum is taken over random points, so it is a lower bound of the true one. r is a fraction of the range of the sample's values, so
    a constant sample is not perturbed. The explained class stays that of the sample.

    `num_samples` explanations. A method with random draws needs a seed, or its own noise counts as well.

    Source: [Yeh et al., 2019](https://arxiv.org/abs/1901.09392), definition 4.1, with the norm in the denominator as in the source's
    experiments and captum, because methods have different units.

    Args:
        method: The method that made the explanations.
        radius: Maximum change of a value, as a fraction of the range of the sample's values.
        num_samples: Number of random points.
        seed: Seed of the points; by default drawn once per metric.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        TypeError: If `method` is not an attribution method.
        ValueError: If an option is invalid. When called: if the method did not make the explanation, or the model takes integers only,
            which have no small perturbations.

    For a sample whose values are all zero, returns 0 if they stay zero, and NaN otherwise.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import Saliency
    >>> from keras_xai.metrics import MaxSensitivity
    >>> method = Saliency(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]))
    >>> explanation = method(np.random.default_rng(0).normal(size=(2, 4)))
    >>> MaxSensitivity(method, seed=0)(explanation).tolist()  # the gradient of a linear model is the same everywhere
    [0.0, 0.0]
    """

    higher_is_better = False

    def __init__(
        self, method: Method, *, radius: float = 0.02, num_samples: int = 10, seed: int | None = None, verbose: Any = "auto"
    ):
        check_method(method, type(self).__name__)
        check_count("num_samples", num_samples)
        check_verbose(verbose)
        check_positive("radius", radius)
        self._method = method
        self._radius = radius
        self._num_samples = num_samples
        self._seed = seed_of(seed)
        self._verbose = verbose

    def _rate(self, explanation):
        inputs = tree.flatten(explanation.inputs)
        if all(x.dtype.kind != "f" for x in inputs):
            raise ValueError(
                "Expected samples of real numbers, which can be perturbed slightly. Received: inputs of dtype "
                f"{[x.dtype.name for x in inputs]}."
            )
        layouts = explanation.layouts
        values = Places(explanation).values
        norm, largest = np.linalg.norm(values, axis=1), np.zeros(len(values))
        for number in progress(range(self._num_samples), self._num_samples, self._verbose):
            moved = [self._moved(x, i, number, layout) for i, (x, layout) in enumerate(zip(inputs, layouts, strict=True))]
            moved = tree.pack_sequence_as(explanation.inputs, moved)
            again = Places(explain_again(self._method, explanation, inputs=moved)).values
            largest = np.maximum(largest, np.linalg.norm(again - values, axis=1))
        largest = np.where(np.any([_ranges(x) > 0 for x in inputs], axis=0), largest, 0)  # otherwise nothing was perturbed
        return np.where(norm > 0, largest / np.where(norm > 0, norm, 1), np.where(largest > 0, np.nan, 0))

    def _moved(self, x, i, number, layout):
        if x.dtype.kind != "f":
            return x
        ranges = (self._radius * _ranges(x)).reshape(-1, *[1] * (x.ndim - 1))
        shape = layout.channels_last_shape(x.shape)[1:]
        draws = [np.random.default_rng((self._seed, i, number, k)).uniform(-1, 1, shape) for k in range(len(x))]
        return (x + ranges * layout.restored(np.stack(draws))).astype(x.dtype)


def _ranges(x):
    """The range of each sample's values; 0 for integers, which are not perturbed."""
    return np.ptp(x.reshape(len(x), -1), axis=1) if x.dtype.kind == "f" else np.zeros(len(x))
