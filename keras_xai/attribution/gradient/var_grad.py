"""VarGrad: the variance of the gradient over noisy copies."""

from typing import final

from keras import ops

from keras_xai.attribution.gradient.noisy import NoisyGradients


@final
class VarGrad(NoisyGradients):
    r"""VarGrad: the variance of the gradient over noisy copies of a sample.

    $$\phi_i(x) = \frac{1}{m} \sum_{k=1}^{m} g_{ki}^2 - \Bigl(\frac{1}{m} \sum_{k=1}^{m} g_{ki}\Bigr)^2$$

    g_k is the gradient of the score at the k-th noisy copy; for the same seed, copies are those of `SmoothGrad`, which gives their mean.
    The values are at least 0, and 0 where the score is linear: they tell where its slope changes, not whether an entry raises or lowers
    it. For the tokens of an `Embedding`, variances are added over the token's vector.

    `num_samples` forward and backward passes, and one forward pass to find a predicted class.

    Source: [Adebayo et al., 2018](https://arxiv.org/abs/1810.03292), which compares it with SmoothGrad.

    Args:
        model: The model to explain, see `Method`.
        num_samples: Number of noisy copies of each sample.
        noise: Standard deviation, as a fraction of the range of the sample's values.
        seed: Random seed; results do not depend on the batch size. By default, each call draws a new seed.
        batch_size: Noisy copies per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import VarGrad
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "relu", kernel_initializer="ones")])
    >>> values = VarGrad(model, noise=1.0, seed=0)(np.array([[1.0, -1.0], [4.0, 5.0]])).values
    >>> bool((values[0] > 0.1).all()), values[1].tolist()  # the first is at the kink of the ReLU
    (True, [0.0, 0.0])
    """

    nonnegative = True
    powers = (1, 2)

    def _combined(self, entries, means):
        differences = [square - ops.square(mean) for mean, square in zip(*means, strict=True)]
        return entries.folded([ops.maximum(each, 0.0) for each in differences])  # rounding may make one negative
