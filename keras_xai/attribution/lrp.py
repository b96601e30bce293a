"""Layer-wise relevance propagation (LRP)."""

from collections.abc import Iterable
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.method import Method, Part
from keras_xai.graph.steps import Step
from keras_xai.kinds.expansion import indivisible, kind_of
from keras_xai.network.backward import Backward, refuse
from keras_xai.network.entries import total
from keras_xai.network.signs import nonnegative_tensors
from keras_xai.rules.composites import Composite, EpsilonPlus, Place
from keras_xai.rules.folding import folded_into
from keras_xai.rules.lrp import Rule
from keras_xai.rules.maps import has_weights, role_of
from keras_xai.rules.rule import Pass, Passage

_ADVICE = (
    "It passes layers that are affine, choose a maximum, move entries, or act on each alone. Use a method that asks nothing of the "
    "layers, such as IntegratedGradients."
)
_WEIGHTED = ("dense", "convolution")
_RULED = (*_WEIGHTED, "pooling", "merge", "scaling")


@final
class LRP(Method):
    """Layer-wise relevance propagation (LRP): redistributes the score backward through the layers by rules.

    What a layer's outputs are given they hand on to its inputs, each layer by the rule that the composite chooses for it. All of it
    arrives at the input, but for what biases, stabilizers and outputs for which nothing speaks keep: that is `convergence_delta`.

    A batch normalization that follows a layer with weights is folded into it, along the graph and not by the order of layers, and so
    are constants that are added. Where none comes before, it passes relevance on as it is, unless the composite says else.
    An activation passes relevance on whatever its shape, curved ones as well: each of its outputs depends on one input alone. Of
    tokens, the relevance of the vector that an `Embedding` makes of each is added up.

    One forward pass, and as many products forward and back as the rules take: `EpsilonPlus` costs about as much as three passes,
    `EpsilonAlpha2Beta1` about five.

    Source: [Bach et al., 2015](https://doi.org/10.1371/journal.pone.0130140). Rules and composites are those of
    [zennit](https://arxiv.org/abs/2106.13200), written anew for Keras. The relevance to start with is the explained score; of a
    callable `target` it is, for each of the model's outputs, the output times the derivative by it.

    Args:
        model: As for every method, see `Method`.
        composite: Chooses the rule of each layer, `EpsilonPlus()` by default: of the usual ones, it is the one that also tells
            the features of a table apart, where the first layer is dense.
        batch_size: Samples in the model at a time; `None` to choose it by the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 for it at once, 2 for one line at the end, 0 for silence.

    Raises:
        UnsupportedLayerError: If relevance cannot pass a layer, or a layer cannot take its rule.
        ValueError: If the composite names a layer that there is not or that takes no rule, or no layer takes one.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution.lrp import LRP
    >>> dense = keras.layers.Dense(1)
    >>> model = keras.Sequential([keras.Input((2,)), dense])
    >>> dense.set_weights([np.array([[1.0], [2.0]]), np.array([5.0])])
    >>> explanation = LRP(model)(np.array([[3.0, 1.0]]))  # the score is 3 + 2 + 5
    >>> explanation.values.round(4).tolist(), explanation.convergence_delta.round(4).tolist()
    ([[3.0, 2.0]], [5.0])
    """

    def __init__(
        self, model: keras.Model, *, composite: Composite | None = None, batch_size: int | None = None, verbose: Any = "auto"
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        composite = EpsilonPlus() if composite is None else composite
        if not isinstance(composite, Composite):
            raise ValueError(
                "Expected `composite` to be a `Composite`, such as EpsilonPlus() or RoleComposite(dense=..., convolution=...). "
                f"Received: composite={composite!r}"
            )
        self._back = Backward(self._scores, "LRP")
        refuse("LRP", ((step, _refusal(step)) for step in self._back.steps), _ADVICE)
        graph = self._scores.graph
        self._folded = {step: folded_into(graph, step) for step in self._back.steps if _can_fold(step)}
        self._absorbed = {step for steps in self._folded.values() for step in steps}
        self._rules = self._chosen(composite)
        refuse("LRP", ((step, _misfit(step, rule)) for step, rule in self._rules.items()), "Choose another rule for it.")
        self._nonnegative = nonnegative_tensors(graph.steps)
        self._passages = {step: self._passage(step) for step in self._back.steps}

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
            return Part(values, indices, delta, num_forward_passes=passes * len(batch.numbers))

        return explain

    def _passage(self, step):
        """How relevance passes a step."""
        if step in self._rules:
            nonnegative = self._nonnegative.issuperset(step.inputs)
            return Passage(step, self._rules[step], self._folded.get(step, ()), nonnegative)
        return Passage(step, Pass()) if step in self._absorbed or role_of(step) == "activation" else Passage(step)

    def _chosen(self, composite):
        """The rule of each step that takes one."""
        places = _places(self._back.steps, self._back.entries.identifiers)
        named = {step: rule for path, rule in composite.layers.items() for step in self._named(path, places)}
        rules = {step: named[step] if step in named else composite.rule(place) for step, place in places.items()}
        rules = {step: rule for step, rule in rules.items() if step not in self._absorbed}
        for step, rule in rules.items():
            if not isinstance(rule, (Rule, Pass)):
                raise ValueError(f"Expected a `Rule` for '{step.path}', such as Epsilon(). Received: {rule!r}")
        if not rules:
            raise ValueError(
                f"LRP shares the score out by the rules of layers. Received: the model '{self._scores.name}', in which no layer takes "
                "one: it has none with weights, nor averages or sums."
            )
        return rules

    def _named(self, path: str, places: Iterable[Step]) -> list[Step]:
        """The steps of the layer at a path that take a rule."""
        last = self._scores.find(path)
        steps = [step for step in places if step.path == path or step.path.startswith(f"{path}.")]
        taking = [step for step in steps if step not in self._absorbed]
        if not taking:
            why = (
                "is folded into the layer before it; name that one"
                if steps
                else "takes no rule, as it acts on each entry alone, moves entries or chooses a maximum; or no score depends on it"
            )
            raise ValueError(
                f"Expected `layers` of the composite to name layers that take a rule. Received: '{path}' "
                f"({type(last.operation).__name__}), which {why}."
            )
        return taking


def _start(output, slope):
    """The relevance of the scores. Scores that do not count may be infinite, as those of classes that are masked."""
    return ops.where(slope == 0, ops.zeros_like(output), output * slope)


def _refusal(step: Step) -> str | None:
    kind = kind_of(step)
    return None if kind.role == "curved" else kind.refusal(step) or indivisible(step)


def _can_fold(step: Step) -> bool:
    return role_of(step) in _WEIGHTED and has_weights(step)


def _misfit(step: Step, rule: Rule | Pass) -> str | None:
    """Why a step cannot take a rule."""
    name = type(rule).__name__
    if isinstance(rule, Pass):
        return (
            None if role_of(step) == "scaling" else "the rule Pass is for layers that act on each entry alone, and it does not"
        )
    if rule.splits and not has_weights(step):
        return f"the rule {name} takes weights apart, and those of this layer are not known; Epsilon does not"
    return None


def _places(steps: Iterable[Step], entries: Iterable[int]) -> dict[Step, Place]:
    """The steps that take a rule, and where they are."""
    depths = dict.fromkeys(entries, 0)
    places = {}
    for step in steps:
        role = role_of(step)
        depth = max(depths.get(identifier, 0) for identifier in step.inputs)
        if role in _RULED:
            places[step] = Place(step.path, role, depth)
        depths.update(dict.fromkeys(step.outputs, depth + (role in _WEIGHTED)))
    return places
