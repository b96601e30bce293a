"""SHAP values by the explainers of the shap library."""

from typing import Any, final

import keras
import numpy as np

from keras_xai.attribution.baseline import for_each_input
from keras_xai.attribution.method import Method
from keras_xai.attribution.perturbation.segments import Segments
from keras_xai.attribution.shapley.coalitions import Kernel, Partition
from keras_xai.attribution.shapley.derivatives import Deep, Gradient
from keras_xai.data.arrays import unchecked, with_rank
from keras_xai.data.checks import check_count
from keras_xai.data.texts import is_string

_EXPLAINERS = ("deep", "gradient", "kernel", "partition")


@final
class SHAP(Method):
    """SHAP: Shapley values of input parts, by deep, gradient, kernel or partition explainers.

    A hidden part takes the values of a background sample. The values add up to the difference between the sample's score and the mean score
    of the background; `convergence_delta` is the error.

    The library [shap](https://github.com/shap/shap) computes the values with one of four explainers:

    - `"deep"`, DeepSHAP: the rules of DeepLIFT, averaged over the background; 4 passes per background sample. Its values add up for ReLU,
      LeakyReLU, ReLU6, ELU, sigmoid, tanh, GELU and max pooling. Layers without a rule in shap are rejected.
    - `"gradient"`, expected gradients: integrated gradients from random background samples. Any differentiable model.
    - `"kernel"`, Kernel SHAP: a regression on coalitions of shown parts, exact if `num_samples` covers all of them. Features, tokens,
      superpixels of images and segments of series.
    - `"partition"`, Owen values: Shapley values along a hierarchy of parts. Images and series are halved recursively; features are joined
      by their correlation in a background of at least three samples.

    Source: [Lundberg and Lee, 2017](https://arxiv.org/abs/1705.07874) for Kernel and Deep SHAP; [Shrikumar et al.,
    2017](https://arxiv.org/abs/1704.02685), the rescale rule, for DeepLIFT; [Erion et al., 2021](https://arxiv.org/abs/1906.10670) for
    expected gradients. Deviations: scores are explained instead of probabilities; Kernel SHAP gives all parts a value, while shap selects
    ten of them by default.

    Args:
        model: The model to explain, see `Method`.
        explainer: `"deep"`, `"gradient"`, `"kernel"` or `"partition"`.
        num_samples: Per sample, the number of random points (gradient, 200 by default), the number of coalitions (kernel, by default twice
            the number of parts plus 2048) or the maximum number of coalitions (partition, 500). None for deep, which draws nothing.
        segments: For kernel, the segmentation of images and series, see `LIME`.
        seed: Random seed; results do not depend on the batch size. By default, each call draws a new seed.
        batch_size: Rows per forward pass; a sample and a background sample are two rows for deep; `None` to choose
            it by the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    The `baseline` of a call is the background: samples `(m, *input_shape)`, shared by all explained samples, in the structure of `x` for a
    model of several inputs; or one sample, or a number for all entries. One sample of zeros by default.

    Raises:
        UnsupportedLayerError: For deep, if shap has no rule for a layer; names each such layer.
        ValueError: If an option is invalid or not supported by the explainer, or if shap fails.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import SHAP
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> explanation = SHAP(model, explainer="kernel")(np.array([[1.0, 2.0, 3.0]]), target=1, baseline=np.ones((5, 3)))
    >>> explanation.values.round(4).tolist()
    [[0.0, 1.0, 2.0]]
    """

    takes_baseline = True
    shares_baseline = True

    def __init__(
        self,
        model: keras.Model,
        *,
        explainer: str = "deep",
        num_samples: int | None = None,
        segments: Any = None,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        if explainer not in _EXPLAINERS:
            raise ValueError(f"Expected `explainer` to be one of {list(_EXPLAINERS)}. Received: explainer={explainer!r}")
        if num_samples is not None:
            check_count("num_samples", num_samples)
            if explainer == "deep":
                raise ValueError(
                    f"Expected no `num_samples` for `explainer='deep'`, which draws nothing. Received: {num_samples}"
                )
        if segments is not None and explainer != "kernel":
            raise ValueError(
                f"Expected no `segments` with `explainer='{explainer}'`, which only 'kernel' takes. Received: segments={segments!r}"
            )
        self._explainer_name = explainer
        self._seed = seed
        self._values = self._made(explainer, num_samples, Segments(self._scores, segments))

    def _made(self, explainer, num_samples, segments):
        scores, batch_size = self._scores, self._batch_size
        if explainer == "deep":
            return Deep(scores, batch_size)
        if explainer == "gradient":
            return Gradient(scores, num_samples, batch_size)
        if explainer == "kernel":
            return Kernel(scores, segments, num_samples, batch_size)
        return Partition(scores, num_samples, batch_size)

    @property
    def label(self) -> str:
        """Name of the method in explanations."""
        return f"SHAP ({self._explainer_name})"

    def _prepare(self, target):
        return self._values.prepare(target)

    def _baseline(self, baseline, inputs):
        graph = self._scores.graph
        given = for_each_input(0 if baseline is None else baseline, graph)
        if given is baseline:
            given = [*unchecked(baseline, graph)]
        arrays = []
        for array, x, spec in zip(
            self._scores.typed([np.asarray(each) for each in given]), inputs, graph.input_specs, strict=True
        ):
            shape = x.shape[1:]
            array = with_rank(array, spec) if array.ndim else array  # a column may be given as `(m,)`
            if array.shape not in ((), shape) and (array.shape[1:] != shape or array.ndim == len(shape) or not len(array)):
                raise ValueError(
                    f"Expected a baseline of background samples, (m, {', '.join(map(str, shape))}), or of the shape of one sample, "
                    f"{shape}, or a number, for input '{spec.name}'. Received: an array of shape {array.shape}."
                )
            if not is_string(spec) and not np.isfinite(array).all():
                raise ValueError(f"Expected a finite baseline for input '{spec.name}'. Received: one with NaN or infinity.")
            arrays.append(array if array.ndim == x.ndim else np.broadcast_to(array, (1, *shape)))
        counts = {len(array) for array in arrays}
        if len(counts - {1}) > 1:
            raise ValueError(f"Expected as many background samples for every input. Received: {sorted(counts)}.")
        return [np.broadcast_to(array, (max(counts), *array.shape[1:])) for array in arrays]
