"""Feature ablation: the decrease of the score when a group of entries is replaced by the baseline."""

from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.attribution.perturbation.groups import Groups, group_scores
from keras_xai.data.checks import Verbose


@final
class FeatureAblation(Method):
    r"""Feature ablation: the drop of the score when a group of entries is replaced by the baseline.

    $$\phi_i(x) = f(x) - f(x_{g(i) \leftarrow b})$$

    g(i) is the group of entry i, all entries of which have this value, and b the baseline: 0 by default, which for tokens is the padding.
    `Occlusion` averages over overlapping windows; here groups do not overlap and may have any shape: the columns of one categorical
    feature, a segmentation, a channel, or entries of several inputs.

    One forward pass for each group that differs from the baseline, and one more.

    Source: captum's [FeatureAblation](https://captum.ai/api/feature_ablation.html), whose `feature_mask` is `groups`. Deviation: by default
    blocks of images and series are ablated, not each entry of each channel.

    Args:
        model: The model to explain, see `Method`.
        groups: Number of blocks along each axis of an image or a series, 8 by default; each feature of a table and each token is then a
            group. Or for each entry the number of its group: an integer array of the shape of a sample, in which axes may have length 1 and
            the channel axis may be left out. For a model of several inputs a dict of arrays by input name, or a list; entries with the same
            number are one group, also in different inputs.
        batch_size: Ablated copies per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If `groups` is not an integer of at least 1 or integers of at least 0, does not fit the inputs, or leaves one out.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import FeatureAblation
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> FeatureAblation(model, groups=[0, 1, 1])(np.array([[1.0, 2.0, 3.0]]), target=1).values.tolist()
    [[1.0, 5.0, 5.0]]
    """

    takes_baseline = True

    def __init__(self, model: keras.Model, *, groups: Any = None, batch_size: int | None = None, verbose: Verbose = "auto"):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._groups = Groups(self._scores, groups)

    def _prepare(self, target):
        def shown(rows, count):
            return ops.arange(count, dtype="int32")[None] != rows[:, None] - 1  # all in row 0

        predicted = self._scores.predictor(target)
        scored = group_scores(self._scores, target, self._batch_size, shown, ((), "int32"))

        def explain(batch):
            indices = predicted(batch.inputs, batch.indices)
            division = self._groups.of(batch.inputs)
            changing = division.changing(batch.inputs, batch.baseline)
            # A group that changes nothing is skipped, so that its value is exactly 0 instead of the rounding difference between batches.
            needed = np.pad(changing, ((0, 0), (1, 0)), constant_values=True)
            found = scored(batch, indices, 1 + division.count, division.numbers, division.count, needed=needed)
            values = division.spread(np.where(changing, found[:, :1] - found[:, 1:], 0))
            return Part(values, indices, None, num_forward_passes=int(needed.sum()) + batch.passes_to_predict)

        return explain
