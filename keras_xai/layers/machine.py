"""Means, free energy and Gibbs sampling of a restricted Boltzmann machine."""

import dataclasses
from typing import Any, final

from keras import ops

from keras_xai.layers.units import Unit


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Machine:
    """A restricted Boltzmann machine with tensor parameters, a snapshot of a layer's variables.

    Products are computed in the dtype of the kernel, everything else in that of the visible bias, because half precision is insufficient
    for sums over hundreds of units.

    Attributes:
        kernel: `(features, units)`.
        bias: Bias of the hidden units, `(units,)`; `None` for no bias.
        visible_bias: `(features,)`.
        hidden: The type of the hidden units.
        visible: The type of the visible units.
    """

    kernel: Any
    bias: Any
    visible_bias: Any
    hidden: Unit
    visible: Unit

    def hidden_sums(self, visible: Any) -> Any:
        """Weighted sums of the hidden units, `(..., units)`, for `visible` of shape `(..., features)`."""
        sums = self._product(visible, self.kernel)
        return sums if self.bias is None else sums + self.bias

    def visible_sums(self, hidden: Any) -> Any:
        """Weighted sums of the visible units, `(..., features)`, for `hidden` of shape `(..., units)`."""
        return self._product(hidden, ops.transpose(self.kernel)) + self.visible_bias

    def hidden_means(self, visible: Any) -> Any:
        """Means of the hidden units."""
        return self.hidden.activation(self.hidden_sums(visible))

    def visible_means(self, hidden: Any) -> Any:
        """Means of the visible units."""
        return self.visible.activation(self.visible_sums(hidden))

    def reconstruct(self, visible: Any) -> Any:
        """Reconstructions: means of the visible units given the hidden means given `visible`, in its shape."""
        return self.visible_means(self.hidden_means(visible))

    def free_energy(self, visible: Any) -> Any:
        """Minus the logarithm of the probability of `visible`, up to a constant, `(...)`.

        Exact for sigmoid, tanh and linear units. For rectified units it is the function whose derivatives are the means `relu(s)`, see
        `keras_xai.layers.units.Rectified`.
        """
        visible = ops.cast(visible, self.visible_bias.dtype)
        potential = ops.sum(self.hidden.potential(self.hidden_sums(visible)), axis=-1)
        return ops.sum(self.visible.energy(visible), axis=-1) - ops.matmul(visible, self.visible_bias) - potential

    def free_energies(self, *batches: Any) -> list[Any]:
        """The free energies of several batches, whose gradient with respect to the parameters is computed by one product for all of them.

        A product per batch would write the kernel's gradient once per batch and read it again to add them up, which takes longer than the
        product itself if there are few samples.

        Args:
            *batches: Each `(..., features)`. They are held fixed: no gradient flows to them.

        Returns:
            For each batch, `(...)`.
        """
        fixed = [ops.stop_gradient(ops.cast(each, self.visible_bias.dtype)) for each in batches]
        parameters = [self.kernel, self.visible_bias] + ([] if self.bias is None else [self.bias])

        @ops.custom_gradient
        def energies(kernel, visible_bias, bias=None):
            machine = dataclasses.replace(self, kernel=kernel, visible_bias=visible_bias, bias=bias)

            def gradient(*upstream):
                weights = ops.concatenate([ops.reshape(each, (-1, 1)) for each in upstream])
                visible = _rows(fixed)
                hidden = -weights * _rows([machine.hidden_means(each) for each in fixed])
                product = ops.matmul(ops.transpose(ops.cast(visible, kernel.dtype)), ops.cast(hidden, kernel.dtype))
                biases = [-ops.matmul(ops.reshape(weights, (-1,)), visible)] + (
                    [] if bias is None else [ops.sum(hidden, axis=0)]
                )
                return product, *biases

            return [machine.free_energy(each) for each in fixed], gradient

        return energies(*parameters)

    def gibbs(self, visible: Any, steps: int, seed: Any) -> Any:
        """Samples of the visible units after steps of block Gibbs sampling, alternating hidden and visible units."""
        for _ in range(steps):
            hidden = self.hidden.sample(self.hidden_sums(visible), seed)
            visible = self.visible.sample(self.visible_sums(hidden), seed)
        return visible

    def _product(self, values, matrix):
        product = ops.matmul(ops.cast(values, self.kernel.dtype), matrix)
        return ops.cast(product, self.visible_bias.dtype)


def _rows(batches):
    """The samples of several batches, `(n, features)`."""
    return ops.concatenate([ops.reshape(each, (-1, each.shape[-1])) for each in batches])
