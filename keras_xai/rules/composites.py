"""Composites: which rule of layer-wise relevance propagation each layer takes, by its role and depth, or by its path."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import final

from keras_xai.rules.lrp import AlphaBeta, Epsilon, Flat, Rule, ZPlus
from keras_xai.rules.rule import Pass

_PROPORTIONAL, _WHOLE = Epsilon(), Pass()


@final
@dataclasses.dataclass(frozen=True)
class Place:
    """The position of a layer in a network, from which a composite chooses its rule.

    Attributes:
        path: The layer's path.
        role: `"dense"` or `"convolution"`, which have weights; `"pooling"`: averages, upsampling and what else is affine;
            `"merge"`: sums of tensors; `"scaling"`: what is affine and acts on each entry alone, as a batch normalization that
            cannot be folded into a layer before it.
        depth: How many layers with weights come before it, on the longest way from the input.
    """

    path: str
    role: str
    depth: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Composite(abc.ABC):
    """Base class of composites: chooses the rule of each layer.

    Activations, which act on each entry alone, pass relevance on as it is; poolings that choose a maximum give all of it to the
    winner; what moves, joins or repeats entries passes it back along with them. None of these takes a rule.

    Args:
        layers: Rules by the path of a layer, which come before all others.
    """

    layers: Mapping[str, Rule | Pass] = dataclasses.field(default_factory=dict)

    @abc.abstractmethod
    def rule(self, place: Place) -> Rule | Pass:
        """The rule of a layer that `layers` does not name."""


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class RoleComposite(Composite):
    """Rules by role, and by depth where that is asked for.

    Args:
        dense: Rule of dense layers; or rules by depth, each from its depth on: `{0: Gamma(0.5), 3: Epsilon()}`. Depth is the
            number of layers with weights that come before, on the longest way from the input.
        convolution: The same of convolutions.
        first: Rule of the layers with weights that none comes before; by default that of others.
        pooling: Rule of averages, upsampling, and what else is affine and without weights that are known.
        merge: Rule of sums of tensors.
        scaling: Rule of what is affine and acts on each entry alone. By default it passes all relevance on: in proportion, an input
            that a shift brings close to zero would get a large multiple of its output's relevance.
        layers: Rules by the path of a layer, which come before all others.

    Raises:
        ValueError: If rules by depth do not start at 0.

    Example:

    >>> from keras_xai.rules.composites import RoleComposite
    >>> from keras_xai.rules.lrp import Epsilon, Gamma, ZBox
    >>> composite = RoleComposite(dense=Epsilon(), convolution={0: Gamma(0.25), 8: Epsilon()}, first=ZBox(0.0, 1.0))
    """

    dense: Rule | Mapping[int, Rule]
    convolution: Rule | Mapping[int, Rule]
    first: Rule | None = None
    pooling: Rule = _PROPORTIONAL
    merge: Rule = _PROPORTIONAL
    scaling: Rule | Pass = _WHOLE

    def __post_init__(self):
        for name in ("dense", "convolution"):
            rules = getattr(self, name)
            if isinstance(rules, Mapping) and 0 not in rules:
                raise ValueError(f"Expected rules by depth to start at depth 0. Received: {name}={rules!r}")

    def rule(self, place):
        """See `Composite`."""
        if self.first is not None and place.depth == 0 and place.role in ("dense", "convolution"):
            return self.first
        rules = getattr(self, place.role)
        return rules[max(depth for depth in rules if depth <= place.depth)] if isinstance(rules, Mapping) else rules


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class EpsilonPlus(Composite):
    """`ZPlus` for convolutions, `Epsilon` for dense layers.

    Args:
        epsilon: Of `Epsilon` in dense layers.
        layers: Rules by the path of a layer, which come before all others.
    """

    epsilon: float = 1e-6

    def rule(self, place):
        """See `Composite`."""
        return RoleComposite(dense=Epsilon(self.epsilon), convolution=ZPlus()).rule(place)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class EpsilonAlpha2Beta1(Composite):
    """`AlphaBeta(2, 1)` for convolutions, `Epsilon` for dense layers.

    Args:
        epsilon: Of `Epsilon` in dense layers.
        layers: Rules by the path of a layer, which come before all others.
    """

    epsilon: float = 1e-6

    def rule(self, place):
        """See `Composite`."""
        return RoleComposite(dense=Epsilon(self.epsilon), convolution=AlphaBeta(2.0, 1.0)).rule(place)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class EpsilonPlusFlat(Composite):
    """As `EpsilonPlus`, and `Flat` for the first layer with weights, or for several that none comes before.

    Source: [Kohlbrenner et al., 2020](https://doi.org/10.1109/IJCNN48605.2020.9206975).

    Args:
        epsilon: Of `Epsilon` in dense layers.
        layers: Rules by the path of a layer, which come before all others.
    """

    epsilon: float = 1e-6

    def rule(self, place):
        """See `Composite`."""
        return RoleComposite(dense=Epsilon(self.epsilon), convolution=ZPlus(), first=Flat()).rule(place)
