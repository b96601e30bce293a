"""Layer-wise relevance propagation (LRP)."""

import dataclasses
from collections.abc import Iterable
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.attribution.relevance.bounds import Bounds
from keras_xai.data.checks import Verbose
from keras_xai.graph.steps import Step
from keras_xai.kinds.expansion import indivisible, kind_of
from keras_xai.network.backward import Backward, refuse
from keras_xai.network.entries import total
from keras_xai.network.signs import nonnegative_tensors
from keras_xai.rules.composites import AnyRule, Composite, EpsilonPlus, Place
from keras_xai.rules.folding import folded_into
from keras_xai.rules.lrp import Rule
from keras_xai.rules.maps import has_weights, role_of
from keras_xai.rules.nonlinear import ProductRule, Taylor, constant_factors
from keras_xai.rules.rule import Pass, Passage

_ADVICE = (
    "LRP supports layers that are affine, choose a maximum, move entries, act on each entry alone, or gate a signal by a sigmoid. Use a "
    "method that works with any layer, such as IntegratedGradients."
)
_WEIGHTED = ("dense", "convolution")
_AFFINE = "affine layers, which take rules such as Epsilon()"
# The rules that steps of each role can take, and what an error says of them.
_RULED: dict[str, tuple[Any, str]] = {
    **dict.fromkeys(_WEIGHTED, (Rule, "layers with weights, which take rules such as Epsilon()")),
    **dict.fromkeys(("pooling", "merge"), (Rule, _AFFINE)),
    **dict.fromkeys(("scaling", "normalization"), (Rule | Pass, _AFFINE)),
    "product": (ProductRule, "products of tensors, which take Uniform() or SignalTakesAll()"),
    "softmax": (Taylor, "softmax, which takes Taylor()"),
}


@final
class LRP(Method):
    """Layer-wise relevance propagation (LRP): redistributes the score backward through the layers by rules.

    Each layer redistributes the relevance of its outputs to its inputs by the rule that the composite chooses for it. All relevance arrives
    at the input, except for the part absorbed by biases, stabilizers and outputs without positive contributions: that part is
    `convergence_delta`.

    A batch normalization that follows a layer with weights in the graph is folded into it, and so are added constants, also into sums. A
    batch normalization without such a layer passes relevance on unchanged, unless the composite chooses otherwise. Activations pass
    relevance on unchanged, whatever their shape: each output depends on one input alone. In the product of a sigmoid gate and a signal, as
    in LSTM and GRU, the signal takes all relevance. For tokens, the relevance of each `Embedding` vector is summed.

    One forward pass, and the forward and backward products that the rules take: `EpsilonPlus` costs about as much as three passes,
    `EpsilonAlpha2Beta1` about five.

    Source: [Bach et al., 2015](https://doi.org/10.1371/journal.pone.0130140). Rules and composites are those of
    [zennit](https://arxiv.org/abs/2106.13200), reimplemented for Keras; the rule of gates is that of [Arras et al.,
    2019](https://doi.org/10.1007/978-3-030-28954-6_11). The initial relevance is the explained score; for a callable
    `target` it is, for each of the model's outputs, the output times the derivative with respect to it.

    Args:
        model: The model to explain, see `Method`.
        composite: Chooses the rule of each layer, `EpsilonPlus()` by default. Among the common composites, only `EpsilonPlus` also
            discriminates between the features of a table, where the first layer is dense.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        UnsupportedLayerError: If relevance cannot pass a layer, or a layer does not support its rule.
        ValueError: If the composite names a layer that does not exist or takes no rule, or if no layer takes one.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution.relevance.lrp import LRP
    >>> dense = keras.layers.Dense(1)
    >>> model = keras.Sequential([keras.Input((2,)), dense])
    >>> dense.set_weights([np.array([[1.0], [2.0]]), np.array([5.0])])
    >>> explanation = LRP(model)(np.array([[3.0, 1.0]]))  # the score is 3 + 2 + 5
    >>> explanation.values.round(4).tolist(), explanation.convergence_delta.round(4).tolist()
    ([[3.0, 2.0]], [5.0])
    """

    unrolls = True

    def __init__(
        self,
        model: keras.Model,
        *,
        composite: Composite | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        composite = EpsilonPlus() if composite is None else composite
        if not isinstance(composite, Composite):
            raise ValueError(
                "Expected `composite` to be a `Composite`, such as EpsilonPlus() or RoleComposite(dense=..., convolution=...). "
                f"Received: composite={composite!r}" + (". Create it: add parentheses." if isinstance(composite, type) else "")
            )
        self._composite = composite
        self._read()

    @property
    def label(self) -> str:
        """Name of the method in explanations, with that of its composite."""
        return f"LRP ({type(self._composite).__name__})"

    def _read_layers(self):
        composite = self._composite
        self._back = Backward(self._scores, "LRP")
        refuse("LRP", ((step, _refusal(step)) for step in self._back.steps), _ADVICE)
        graph = self._scores.graph
        self._folded = {step: folded_into(graph, step) for step in self._back.steps if _can_fold(step)}
        self._absorbed = {step for steps in self._folded.values() for step in steps}
        self._varying = frozenset(self._back.entries.identifiers).union(*(step.outputs for step in self._back.steps))
        self._producers = {output: step for step in graph.steps for output in step.outputs}
        paths = self._scores.paths_of(composite.layers)
        if paths != list(composite.layers):  # some are layers themselves
            composite = dataclasses.replace(composite, layers=dict(zip(paths, composite.layers.values(), strict=True)))
            self._remember(composite=composite)
        self._rules = self._chosen(composite)
        refuse("LRP", ((step, _misfit(step, rule)) for step, rule in self._rules.items()), "Choose another rule for it.")
        self._nonnegative = nonnegative_tensors(graph.steps)
        self._passages = {step: self._passage(step) for step in self._back.steps}
        self._bounds = Bounds(
            self._scores, {step: rule for step, rule in self._rules.items() if isinstance(rule, Rule)}, self._varying
        )

    def _check_samples(self, inputs, start):
        self._bounds.check(inputs, start, self._batch_size)

    def _prepare(self, target):
        def relevance(inputs, indices):
            found = self._back.pass_back(inputs, indices, target, _start, self._passages)
            values = self._back.entries.folded(found.entries)
            return values, found.indices, found.score - total(values)

        program = self._scores.program(target, relevance)
        weighted = [
            (step, rule) for step, rule in self._rules.items() if role_of(step) in _WEIGHTED and isinstance(rule, Rule)
        ]
        products = [rule.products[0 if self._passages[step].nonnegative else 1] for step, rule in weighted]
        passes = 1 + (float(np.mean(products)) if products else 1)

        def explain(batch):
            values, indices, delta = program(batch.inputs, batch.indices)
            count = len(batch.numbers)
            return Part(values, indices, delta, num_forward_passes=passes * count, base_score=np.zeros(count))

        return explain

    def _passage(self, step):
        """How relevance passes through a step."""
        if step in self._rules:
            rule, nonnegative = self._rules[step], self._nonnegative.issuperset(step.inputs)
            return Passage(step, rule, self._folded.get(step, ()), nonnegative, self._held(step, rule))
        return Passage(step, Pass()) if step in self._absorbed or role_of(step) == "activation" else Passage(step)

    def _held(self, step, rule):
        """The factors of a product that count as constants."""
        if not isinstance(rule, ProductRule):
            return frozenset()
        held = constant_factors(step, self._producers, self._varying, gates=rule.holds_gates)
        return held.union(set(step.inputs) - self._varying)

    def _chosen(self, composite):
        """The rule of each step that takes one."""
        places = _places(self._back.steps, self._back.entries.identifiers)
        named = {step: rule for path, rule in composite.layers.items() for step in self._named(path, places)}
        rules = {step: named[step] if step in named else composite.rule(place) for step, place in places.items()}
        rules = {step: rule for step, rule in rules.items() if step not in self._absorbed}
        for step, rule in rules.items():
            if not isinstance(rule, AnyRule):
                raise ValueError(f"Expected a `Rule` for '{step.path}', such as Epsilon(). Received: {rule!r}")
        if not rules:
            raise ValueError(
                f"LRP redistributes the score by the rules of layers. Received: the model '{self._scores.name}', in which no layer takes a"
                " rule: it has no layers with weights, averages or sums."
            )
        return rules

    def _named(self, path: str, places: Iterable[Step]) -> list[Step]:
        """The steps of the layer at a path that take a rule."""
        last = self._scores.find(path)
        steps = self._scores.parts_of(path, places)
        taking = [step for step in steps if step not in self._absorbed]
        if not taking:
            why = (
                "is folded into the layer before it; name that layer"
                if steps
                else "takes no rule, because it acts on each entry alone, moves entries or chooses a maximum, or no score depends on it"
            )
            raise ValueError(
                f"Expected `layers` of the composite to name layers that take a rule. Received: '{path}' "
                f"({type(last.operation).__name__}), which {why}."
            )
        return taking


def _start(output, slope):
    """The relevance of the scores. Scores of other classes may be infinite, for example those of masked classes."""
    return ops.where(slope == 0, ops.zeros_like(output), output * slope)


def _refusal(step: Step) -> str | None:
    kind = kind_of(step)
    return None if kind.relevance(step) else kind.refusal(step) or indivisible(step)


def _can_fold(step: Step) -> bool:
    return role_of(step) == "merge" or (role_of(step) in _WEIGHTED and has_weights(step))


def _misfit(step: Step, rule: AnyRule) -> str | None:
    """The reason why a step cannot take a rule."""
    name, role = type(rule).__name__, role_of(step)
    if isinstance(rule, Pass) and role not in ("scaling", "normalization"):
        return "the rule Pass is for layers that act on each entry alone, which this layer does not"
    fitting, described = _RULED[role]
    if not isinstance(rule, fitting):
        return f"the rule {name} is not for {described}"
    if isinstance(rule, Rule) and rule.splits and not has_weights(step):
        return f"the rule {name} splits weights by sign, and the weights of this layer are not known; Epsilon needs no weights"
    return None


def _places(steps: Iterable[Step], entries: Iterable[int]) -> dict[Step, Place]:
    """The steps that take a rule, with their positions."""
    depths = dict.fromkeys(entries, 0)
    places = {}
    for step in steps:
        role = role_of(step)
        depth = max((depths.get(identifier, 0) for identifier in step.inputs), default=0)
        if role in _RULED:
            places[step] = Place(step.path, role, depth)
        depths.update(dict.fromkeys(step.outputs, depth + (role in _WEIGHTED)))
    return places
