"""Persistent contrastive divergence."""

from typing import Unpack, final

import keras
from keras import ops

from keras_xai.data.checks import check_count
from keras_xai.pretraining.rule import Rule, RuleOptions


@keras.saving.register_keras_serializable(package="keras_xai")
@final
class PersistentContrastiveDivergence(Rule):
    """Persistent contrastive divergence (PCD): negative samples come from persistent Markov chains.

    The chains are not restarted from the data, so they sample the machine's own distribution, and the rule approximates the likelihood
    gradient better than contrastive divergence. Use small learning rates, so that the chains can follow.

    Source: [Tieleman, 2008](https://www.cs.toronto.edu/~tijmen/pcd/pcd.pdf). As there, the chains hold samples of visible and hidden units;
    as in scikit-learn's `BernoulliRBM`, the update uses the means of the hidden units.

    Args:
        k: Number of Gibbs steps per update.
        num_chains: Number of chains; `None` for the number of samples per batch. Under a distribution strategy, all replicas share the
            chains.
        **options: See `keras_xai.pretraining.Rule`.

    Example:

    >>> from keras_xai.pretraining import PersistentContrastiveDivergence
    >>> PersistentContrastiveDivergence(num_chains=100).get_config()["num_chains"]
    100
    """

    learning_rate = 0.01

    def __init__(self, k: int = 1, num_chains: int | None = None, **options: Unpack[RuleOptions]):
        check_count("k", k)
        if num_chains is not None:
            check_count("num_chains", num_chains)
        super().__init__(**options)
        self.k = k
        self.num_chains = num_chains

    def prepare(self, layer, batch_size, seed):
        super().prepare(layer, batch_size, seed)
        # Without information on the hidden units, the weighted sums of the visible ones are their biases.
        sums = ops.broadcast_to(layer.visible_bias, (self.num_chains or batch_size, *layer.visible_bias.shape))
        start = layer.machine().visible.sample(sums, self.random)
        self._chains = self.add_weight(
            name="chains", shape=start.shape, initializer=lambda shape, dtype: ops.cast(start, dtype), dtype=start.dtype,
            trainable=False, aggregation="only_first_replica",
        )  # fmt: skip

    def loss(self, machine, visible, *, training):
        chains = machine.gibbs(ops.convert_to_tensor(self._chains), self.k, self.random)
        if training:
            self._chains.assign(chains)
        data, model = machine.free_energies(visible, chains)
        return data - ops.mean(model)

    def get_config(self):
        return super().get_config() | {"k": self.k, "num_chains": self.num_chains}
