"""SmoothGrad: gradients averaged over noisy copies."""

from typing import final

from keras_xai.attribution.gradient.noisy import NoisyGradients


@final
class SmoothGrad(NoisyGradients):
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

    powers = (1,)

    def _combined(self, entries, means):
        (mean,) = means
        return entries.magnitudes(mean)
