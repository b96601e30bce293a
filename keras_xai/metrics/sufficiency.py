"""Sufficiency: do samples with the same explanation have the same prediction?"""

from typing import final

import keras
import numpy as np
from keras import ops, tree

from keras_xai.data.batches import rows
from keras_xai.data.checks import Verbose, check_number
from keras_xai.data.progress import progress
from keras_xai.metrics.metric import ModelMetric
from keras_xai.metrics.replacement import Replacement

# Number of explanations that are compared with all others at a time.
_ROWS = 256


@final
class Sufficiency(ModelMetric):
    r"""Sufficiency: of the other samples with a similar explanation, the share with the same predicted class.

    $$\mathrm{P}\bigl( \hat y(x') = \hat y(x) \bigm| \|\phi(x') - \phi(x)\|_2 \le t \bigr)$$

    An explanation is sufficient if it determines the prediction. Each explanation is divided by its norm before the distance is taken, and
    distances by the largest one among the samples. Explain many samples, of all classes; with the predicted classes as targets.

    One forward pass.

    Source: [Dasgupta et al., 2022](https://arxiv.org/abs/2202.00734), for explanations that are equal; as in Quantus, close ones
    count as equal. There the distance is standardized by the variance of each entry, which few samples do not determine.

    Args:
        model: The explained model.
        threshold: Distance t up to which two explanations count as equal, as a fraction of the largest distance, as in Quantus. `None` to
            compare each sample with that of the nearest explanation, several if they are equally near.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If `threshold` is not a number from 0 to 1. When called: if there is one sample only, an explained output is not of
            classes, the explanation does not fit the model, or a score is NaN or infinite.

    NaN for a sample to which no other is as close as `threshold`; Quantus counts 0.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput
    >>> from keras_xai.metrics import Sufficiency
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, kernel_initializer="identity")])
    >>> x = np.array([[3.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 4.0]])
    >>> Sufficiency(model)(GradientTimesInput(model)(x)).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    higher_is_better = True

    def __init__(
        self, model: keras.Model, *, threshold: float | None = None, batch_size: int | None = None, verbose: Verbose = "auto"
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._threshold = threshold if threshold is None else check_number("threshold", threshold, least=0, most=1)
        self._replacement = Replacement(self._scores, self._batch_size, verbose)
        self._predictions = self._scores.predictions()

    def _rate(self, explanation):
        if len(explanation) < 2:
            raise ValueError(
                f"Expected at least two samples, so that each has others to compare with. Received: {len(explanation)} sample."
            )
        outputs = self._outputs(explanation.target)
        values = self._replacement.checked(explanation).values
        norm = np.linalg.norm(values, axis=1, keepdims=True)
        values = values / np.where(norm > 0, norm, 1)
        predicted = self._predicted(explanation, outputs)
        parts = rows(len(values), _ROWS)
        largest = 0.0 if self._threshold is None else max(_distances(values, part).max() for part in parts)
        found = []
        for part in progress(parts, len(parts), self._verbose):
            distances = _distances(values, part)
            distances[np.arange(len(distances)), np.arange(part.start, part.stop)] = np.inf  # not with itself
            if self._threshold is None:
                # Up to rounding, so that equal explanations are equally near.
                similar = distances <= distances.min(axis=1, keepdims=True) + 1e-12
            else:
                similar = distances <= self._threshold * largest
            same = (predicted[part, None] == predicted[None]).all(axis=-1)
            count = similar.sum(axis=1)
            found.append(np.where(count > 0, (similar & same).sum(axis=1) / np.where(count > 0, count, 1), np.nan))
        return np.concatenate(found)

    def _outputs(self, target):
        """The positions of the explained outputs, all of which have classes."""
        graph = self._scores.graph
        names = list(target) if isinstance(target, dict) else graph.output_names[:1]
        found = [graph.output_names.index(name) for name in names]
        for position in found:
            spec = graph.output_specs[position]
            if len(spec.shape) != 2 or (spec.shape[-1] == 1 and self._scores.links[position] != "sigmoid"):
                raise ValueError(
                    "Expected a model that predicts classes: scores of shape (n, classes), or a single sigmoid. Received: the output "
                    f"'{graph.output_names[position]}' of shape {spec.shape}."
                )
        return found

    def _predicted(self, explanation, outputs):
        """The predicted class of each sample and explained output, `(n, outputs)`."""
        inputs = self._scores.typed([np.asarray(x) for x in tree.flatten(explanation.inputs)])
        self._scores.check_same_function(inputs)
        found = []
        for part in rows(len(explanation), self._batch_size):
            made = [ops.convert_to_numpy(each) for each in self._predictions([x[part] for x in inputs])]
            bad = [i for i, each in enumerate(made) if i in outputs and not np.isfinite(each).all()]
            if bad:
                raise ValueError(
                    f"The scores of the model '{self._scores.name}' are NaN or infinite. Check the model's weights, and that the samples "
                    "are in the range of its inputs."
                )
            classes = [made[i].argmax(axis=-1) if made[i].shape[-1] > 1 else made[i][:, 0] > 0.5 for i in outputs]
            found.append(np.stack([each.astype("int64") for each in classes], axis=1))
        return np.concatenate(found)


def _distances(values, part):
    from scipy.spatial.distance import cdist

    return cdist(values[part], values)
