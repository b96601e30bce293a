"""Contrastive divergence."""

from typing import Unpack, final

import keras

from keras_xai.data.checks import check_count, check_flag
from keras_xai.pretraining.rule import Rule, RuleOptions


@keras.saving.register_keras_serializable(package="keras_xai")
@final
class ContrastiveDivergence(Rule):
    """Contrastive divergence (CD-k).

    With the data x0, the reconstructions xk and the means y of the hidden units, the batch mean of `outer(x0, y0) - outer(xk, yk)` is added
    to the kernel, `y0 - yk` to the bias and `x0 - xk` to the visible bias, times the learning rate. This is a gradient descent step on
    `free_energy(x0) - free_energy(xk)` with xk held fixed.

    Source: [Hinton, 2002](https://www.cs.toronto.edu/~hinton/absps/nccd.pdf); without sampling, as printed by
    Kroshchanka & Golovko, "Neural Networks Interpretation Improvement".

    Args:
        k: Number of Gibbs steps.
        sampling: Whether hidden units are sampled, as recommended by [Hinton, 2010](https://www.cs.toronto.edu/~hinton/absps/guideTR.pdf).
            Otherwise all units take their means (mean field), as in the paper, and a step is deterministic given the data. Visible units,
            and the hidden units in the update, take their means in either case.
        **options: See `keras_xai.pretraining.Rule`.

    Example:

    >>> from keras_xai.pretraining import ContrastiveDivergence
    >>> ContrastiveDivergence(k=1, weight_cost=1e-4).learning_rate
    0.01
    """

    learning_rate = 0.01

    def __init__(self, k: int = 1, sampling: bool = False, **options: Unpack[RuleOptions]):
        check_count("k", k)
        super().__init__(**options)
        self.k = k
        self.sampling = check_flag("sampling", sampling)

    def loss(self, machine, visible, *, training):
        end = visible
        for _ in range(self.k):
            sums = machine.hidden_sums(end)
            end = machine.visible_means(
                machine.hidden.sample(sums, self.random) if self.sampling else machine.hidden.activation(sums)
            )
        start, end = machine.free_energies(visible, end)
        return start - end

    def get_config(self):
        return super().get_config() | {"k": self.k, "sampling": self.sampling}
