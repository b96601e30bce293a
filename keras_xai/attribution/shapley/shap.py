"""SHAP values by coalitions, by the explainers of the shap library."""

from typing import Any, Literal, final, get_args

import keras

from keras_xai.attribution.method import Method
from keras_xai.attribution.perturbation.segments import Segments
from keras_xai.attribution.shapley.background import background_of
from keras_xai.attribution.shapley.coalitions import Kernel, Partition
from keras_xai.data.checks import Verbose, check_choice, check_count, check_seed

_Explainer = Literal["kernel", "partition"]


@final
class SHAP(Method):
    """SHAP: Shapley values of input parts, by kernel or partition explainers.

    A hidden part takes the values of a background sample. The values add up to the difference between the sample's score and the mean score
    of the background; `convergence_delta` is the error. `DeepSHAP` and `GradientSHAP` estimate such values by derivatives.

    The library [shap](https://github.com/shap/shap) computes the values with one of two explainers:

    - `"kernel"`, Kernel SHAP: a regression on coalitions of shown parts, exact if `num_samples` covers all of them. Features, tokens,
      superpixels of images and segments of series.
    - `"partition"`, Owen values: Shapley values along a hierarchy of parts. Images and series are halved recursively; features are joined
      by their correlation in a background of at least three samples.

    Source: [Lundberg and Lee, 2017](https://arxiv.org/abs/1705.07874). Deviations: scores are explained instead of probabilities; Kernel
    SHAP gives all parts a value, while shap selects ten of them by default.

    Args:
        model: The model to explain, see `Method`.
        explainer: `"kernel"` or `"partition"`.
        num_samples: Per sample, the number of coalitions (kernel, by default twice the number of parts plus 2048) or the maximum number of
            coalitions (partition, 500).
        segments: For kernel, the segmentation of images and series, see `LIME`.
        seed: Random seed; results do not depend on the batch size. By default, each call draws a new seed.
        batch_size: Rows per forward pass; `None` to choose it by the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    The `baseline` of a call is the background: samples `(m, *input_shape)`, shared by all explained samples, in the structure of `x` for a
    model of several inputs; or one sample, or a number for all entries. One sample of zeros by default.

    Raises:
        ValueError: If an option is invalid or not supported by the explainer.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import SHAP
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> explanation = SHAP(model)(np.array([[1.0, 2.0, 3.0]]), target=1, baseline=np.ones((5, 3)))
    >>> explanation.values.round(4).tolist()
    [[0.0, 1.0, 2.0]]
    """

    takes_baseline = True
    shares_baseline = True

    def __init__(
        self,
        model: keras.Model,
        *,
        explainer: _Explainer = "kernel",
        num_samples: int | None = None,
        segments: Any = None,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        if isinstance(explainer, str) and explainer in ("deep", "gradient"):
            raise ValueError(
                f"Expected `explainer` to be one of {list(get_args(_Explainer))}. Received: explainer={explainer!r}. SHAP values by "
                "derivatives are the methods DeepSHAP and GradientSHAP."
            )
        check_choice("explainer", explainer, get_args(_Explainer))
        if num_samples is not None:
            check_count("num_samples", num_samples)
        if segments is not None and explainer != "kernel":
            raise ValueError(
                f"Expected no `segments` with `explainer='{explainer}'`, which only 'kernel' takes. Received: segments={segments!r}"
            )
        self._explainer_name = explainer
        self._seed = None if seed is None else check_seed(seed)
        divided = Segments(self._scores, segments)
        self._values: Kernel | Partition
        if explainer == "kernel":
            self._values = Kernel(self._scores, divided, num_samples, self._batch_size)
        else:
            self._values = Partition(self._scores, num_samples, self._batch_size)

    @property
    def label(self) -> str:
        """Name of the method in explanations."""
        return f"SHAP ({self._explainer_name})"

    def _prepare(self, target):
        return self._values.prepare(target)

    def _baseline(self, baseline, inputs):
        return background_of(baseline, inputs, self._scores)
