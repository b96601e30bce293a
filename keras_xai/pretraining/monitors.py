"""Callbacks that monitor a machine: free-energy gap and pseudo-likelihood."""

import abc
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.data.arrays import typed
from keras_xai.data.checks import check_seed
from keras_xai.data.reader import Samples, read_all
from keras_xai.data.streams import is_once
from keras_xai.data.structure import packed

_BATCH = 256


class Monitor(keras.callbacks.Callback, abc.ABC):
    """Base class of monitors: measurements at the end of each epoch for the history, the log and TensorBoard.

    `pretrain` runs monitors before other callbacks, whatever their position in the list.
    """

    @abc.abstractmethod
    def measure(self) -> dict[str, float]:
        """Returns the measured values by name. `self.model` is the `keras_xai.pretraining.trainer.RBMTrainer`."""

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs.update(self.measure())


@final
class FreeEnergyGap(Monitor):
    """Free-energy gap between training and held-out data; if it grows, the machine overfits.

    The mean free energy of the held-out samples minus that of the training samples, recorded as `free_energy_gap` in the history. The
    unknown constant of the free energy cancels.

    Source: [Hinton, 2010](https://www.cs.toronto.edu/~hinton/absps/guideTR.pdf), section 6.

    Args:
        x: A fixed part of the training data, in the structure of the model's inputs; 1,000 samples suffice.
        held_out: Samples outside the training data.

    Example:

    >>> import numpy as np
    >>> from keras_xai.callbacks import FreeEnergyGap
    >>> x = np.random.default_rng(0).uniform(size=(200, 64))
    >>> monitor = FreeEnergyGap(x[:100], x[100:])
    """

    def __init__(self, x: Any, held_out: Any):
        super().__init__()
        self._x = x
        self._held_out = held_out

    def measure(self):
        self._x, self._held_out = (_kept(x, self.model.graph) for x in (self._x, self._held_out))
        seen, held_out = (_mean(self.model, x, self.model.layer.free_energy) for x in (self._x, self._held_out))
        return {"free_energy_gap": held_out - seen}


@final
class PseudoLikelihood(Monitor):
    """Estimate of the log pseudo-likelihood, recorded as `pseudo_likelihood` in the history.

    The pseudo-likelihood is the product, over the visible units, of the probability of a unit given all others. As in scikit-learn's
    `BernoulliRBM`, it is estimated from one random unit per sample, here fixed over epochs. Layers whose visible units are not two-valued
    (activations `"linear"` and `"relu"`) are skipped.

    Args:
        x: Samples in the structure of the model's inputs; 1,000 suffice.
        seed: Seed of the random units.

    Example:

    >>> import numpy as np
    >>> from keras_xai.callbacks import PseudoLikelihood
    >>> monitor = PseudoLikelihood(np.random.default_rng(0).uniform(size=(100, 64)))
    """

    def __init__(self, x: Any, seed: int = 0):
        super().__init__()
        self._x = x
        self._seed = check_seed(seed)

    def measure(self):
        layer = self.model.layer
        self._x = _kept(self._x, self.model.graph)
        unit = layer.machine().visible
        if not unit.two_valued:
            return {}
        features = layer.visible_bias.shape[0]
        rng = np.random.default_rng(self._seed)

        def estimate(visible):
            picked = ops.one_hot(rng.integers(features, size=visible.shape[:-1]), features, dtype=visible.dtype)
            flipped = visible + picked * (unit.low + unit.high - 2 * visible)
            return features * ops.log_sigmoid(layer.free_energy(flipped) - layer.free_energy(visible))

        return {"pseudo_likelihood": _mean(self.model, self._x, estimate)}


def _mean(trainer, x, quantity):
    graph = trainer.graph
    batches = (packed(typed(batch, graph), graph) for batch in Samples(x, graph, _BATCH))
    return float(np.mean(np.concatenate([ops.convert_to_numpy(quantity(trainer.call(batch))) for batch in batches])))


def _kept(x, graph):
    """Samples that can be read in each epoch; those of a generator are read now and kept."""
    return packed(read_all(x, graph), graph) if is_once(x) else x
