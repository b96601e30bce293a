"""Composites: the LRP rule of each layer, by its role and depth, or by its path."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import final

import keras

from keras_xai.data.checks import check_number, check_positive
from keras_xai.rules.lrp import AlphaBeta, Epsilon, Flat, Gamma, Rule, ZPlus
from keras_xai.rules.nonlinear import ProductRule, SignalTakesAll, Taylor, Uniform
from keras_xai.rules.rule import Pass

_PROPORTIONAL, _WHOLE = Epsilon(), Pass()
_GATED, _UNIFORM, _EXPANSION = SignalTakesAll(), Uniform(), Taylor()
AnyRule = Rule | Pass | ProductRule | Taylor


@final
@dataclasses.dataclass(frozen=True)
class Place:
    """The position of a layer in a network, from which a composite chooses its rule.

    Attributes:
        path: The layer's path.
        role: `"dense"` or `"convolution"`, which have weights; `"pooling"`: averages, upsampling and other affine layers; `"merge"`: sums
            of tensors; `"scaling"`: elementwise affine layers, such as a batch normalization that cannot be folded into a layer before it;
            `"product"`: products of tensors; `"softmax"`; `"normalization"`: normalizations by statistics of the sample.
        depth: Number of layers with weights before it, on the longest path from the input.
    """

    path: str
    role: str
    depth: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Composite(abc.ABC):
    """Base class of composites: chooses the rule of each layer.

    Elementwise activations pass relevance on unchanged; max poolings give all of it to the winner; layers that move, join or repeat entries
    pass it back along with them. None of these takes a rule.

    Args:
        layers: Rules by layer or by its path, which take precedence.
        product: Rule of products of tensors, such as gates, attention and squeeze-and-excite.
    """

    layers: Mapping[str | keras.Layer, AnyRule] = dataclasses.field(default_factory=dict)
    product: ProductRule = _GATED

    def __post_init__(self):
        if not isinstance(self.layers, Mapping):
            raise TypeError(f"Expected `layers` to map layers or their paths to rules. Received: layers={self.layers!r}")
        for path, rule in self.layers.items():
            _check_rule("layers", rule, AnyRule, f" for '{path}'")
        _check_rule("product", self.product, ProductRule)

    @abc.abstractmethod
    def rule(self, place: Place) -> AnyRule:
        """The rule of a layer that is not in `layers`."""


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class RoleComposite(Composite):
    """Rules by role, and optionally by depth.

    Args:
        dense: Rule of dense layers; or rules by depth, each from its depth on: `{0: Gamma(0.5), 3: Epsilon()}`. Depth is the number of
            layers with weights before the layer, on the longest path from the input.
        convolution: The same for convolutions.
        first: Rule of the first layers with weights on each path; by default that of other layers.
        pooling: Rule of averages, upsampling, and other affine layers without known weights.
        merge: Rule of sums of tensors.
        scaling: Rule of elementwise affine layers. By default all relevance is passed on: in proportion, an input that a shift brings close
            to zero would get a large multiple of its output's relevance.
        product: Rule of products of tensors.
        softmax: Rule of softmax, unless it is the model's last layer.
        normalization: Rule of normalizations by statistics of the sample, of which the divisor counts as a constant; `Pass()` passes all
            relevance on, entry by entry.
        layers: Rules by layer or by its path, which take precedence.

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
    softmax: Taylor = _EXPANSION
    normalization: Rule | Pass = _PROPORTIONAL

    def __post_init__(self):
        super().__post_init__()
        for name in ("first", "pooling", "merge", "scaling", "normalization"):
            if name != "first" or self.first is not None:
                _check_rule(name, getattr(self, name), Rule | Pass)
        _check_rule("softmax", self.softmax, Taylor)
        for name in ("dense", "convolution"):
            rules = getattr(self, name)
            for rule in rules.values() if isinstance(rules, Mapping) else [rules]:
                _check_rule(name, rule, Rule | Pass)
            if isinstance(rules, Mapping) and 0 not in rules:
                raise ValueError(f"Expected rules by depth to start at depth 0. Received: {name}={rules!r}")

    def rule(self, place):
        """See `Composite`."""
        if self.first is not None and place.depth == 0 and place.role in ("dense", "convolution"):
            return self.first
        rules = getattr(self, place.role)
        return rules[max(depth for depth in rules if depth <= place.depth)] if isinstance(rules, Mapping) else rules


@dataclasses.dataclass(frozen=True, kw_only=True)
class _WithEpsilon(Composite):
    """Base class of composites with the rule `Epsilon` for some layers.

    Args:
        epsilon: Parameter of `Epsilon`.
    """

    epsilon: float = 1e-6

    def __post_init__(self):
        super().__post_init__()
        check_positive("epsilon", self.epsilon)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class EpsilonPlus(_WithEpsilon):
    """`ZPlus` for convolutions, `Epsilon` for dense layers.

    Args:
        epsilon: Parameter of `Epsilon` in dense layers.
        layers: Rules by layer or by its path, which take precedence.
        product: Rule of products of tensors.
    """

    def rule(self, place):
        """See `Composite`."""
        return RoleComposite(dense=Epsilon(self.epsilon), convolution=ZPlus(), product=self.product).rule(place)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class EpsilonAlpha2Beta1(_WithEpsilon):
    """`AlphaBeta(2, 1)` for convolutions, `Epsilon` for dense layers.

    Args:
        epsilon: Parameter of `Epsilon` in dense layers.
        layers: Rules by layer or by its path, which take precedence.
        product: Rule of products of tensors.
    """

    def rule(self, place):
        """See `Composite`."""
        return RoleComposite(dense=Epsilon(self.epsilon), convolution=AlphaBeta(2.0, 1.0), product=self.product).rule(place)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class EpsilonPlusFlat(_WithEpsilon):
    """`EpsilonPlus` with `Flat` for the first layers with weights on each path.

    Source: [Kohlbrenner et al., 2020](https://doi.org/10.1109/IJCNN48605.2020.9206975).

    Args:
        epsilon: Parameter of `Epsilon` in dense layers.
        layers: Rules by layer or by its path, which take precedence.
        product: Rule of products of tensors.
    """

    def rule(self, place):
        """See `Composite`."""
        return RoleComposite(dense=Epsilon(self.epsilon), convolution=ZPlus(), first=Flat(), product=self.product).rule(place)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class AttnLRP(_WithEpsilon):
    """AttnLRP: `Uniform` for products, `Taylor` for softmax, `Epsilon` or `Gamma` for layers with weights.

    Source: [Achtibat et al., 2024](https://arxiv.org/abs/2402.05602), who use `Epsilon` for language models and a gamma of 0.05 to 0.25 for
    vision transformers.

    Args:
        epsilon: Parameter of `Epsilon`.
        gamma: Parameter of `Gamma` in dense layers and convolutions; 0 for `Epsilon`.
        layers: Rules by layer or by its path, which take precedence.
        product: Rule of products of tensors.
    """

    gamma: float = 0.0
    product: ProductRule = _UNIFORM

    def __post_init__(self):
        super().__post_init__()
        check_number("gamma", self.gamma, least=0)

    def rule(self, place):
        """See `Composite`."""
        return _everywhere(self, Gamma(self.gamma) if self.gamma else Epsilon(self.epsilon)).rule(place)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class CPLRP(_WithEpsilon):
    """CP-LRP: attention weights and the divisors of normalizations count as constants; `Epsilon` for layers with weights.

    Source: [Ali et al., 2022](https://arxiv.org/abs/2202.07304), *conservative propagation*.

    Args:
        epsilon: Parameter of `Epsilon`.
        layers: Rules by layer or by its path, which take precedence.
        product: Rule of products of tensors.
    """

    def rule(self, place):
        """See `Composite`."""
        return _everywhere(self, Epsilon(self.epsilon)).rule(place)


def _everywhere(composite, weighted):
    """The rule of layers with weights, and epsilon for the other affine steps."""
    epsilon = Epsilon(composite.epsilon)
    return RoleComposite(
        dense=weighted, convolution=weighted, pooling=epsilon, merge=epsilon, normalization=epsilon, product=composite.product
    )


_SUCH = {"product": "a rule of products, Uniform() or SignalTakesAll()", "softmax": "the rule of softmax, Taylor()"}


def _check_rule(name, rule, kinds, where=""):
    if not isinstance(rule, kinds):
        such = _SUCH.get(name, "a rule of affine layers such as Epsilon(), an instance")
        raise TypeError(f"Expected `{name}` to be {such}. Received: {name}={rule!r}{where}")
