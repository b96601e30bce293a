"""Schedules of several rules."""

from collections.abc import Mapping, Sequence
from typing import final

from keras_xai.data.checks import is_integer
from keras_xai.pretraining.contrastive_divergence import ContrastiveDivergence
from keras_xai.pretraining.reconstruction_error import ReconstructionError
from keras_xai.pretraining.rule import Rule, Schedule


@final
class Hybrid(Schedule):
    """A schedule of rules, by epochs or by layer.

    Args:
        rules: A list of pairs `(rule, epochs)`, followed in this order for each layer; or a dict from a layer's path to its rule or
            schedule. By default 7 epochs of contrastive divergence, then 3 of the reconstruction error, as in Kroshchanka & Golovko,
            "Neural Networks Interpretation Improvement".

    Raises:
        TypeError: If a rule is not a rule instance, for example a class.
        ValueError: If a number of epochs is not positive.

    Example:

    >>> from keras_xai.pretraining import ContrastiveDivergence, Hybrid, ReconstructionError
    >>> by_epochs = Hybrid([(ContrastiveDivergence(), 7), (ReconstructionError(), 3)])
    >>> by_layer = Hybrid({"hidden_1": ContrastiveDivergence(), "hidden_2": by_epochs})
    """

    def __init__(self, rules: Sequence[tuple[Rule, int]] | Mapping[str, Schedule] | None = None):
        if rules is None:
            rules = [(ContrastiveDivergence(), 7), (ReconstructionError(), 3)]
        self._by_layer = dict(rules) if isinstance(rules, Mapping) else None
        pairs = isinstance(rules, (list, tuple)) and all(isinstance(each, (list, tuple)) and len(each) == 2 for each in rules)
        if not isinstance(rules, Mapping) and not pairs:
            raise TypeError(
                "Expected `rules` to be a list of pairs of a rule and its number of epochs, or a dict of rules by layer. "
                f"Received: rules={rules!r}"
            )
        self._by_epochs = [] if isinstance(rules, Mapping) else [(rule, epochs) for rule, epochs in rules]
        if not rules:
            raise ValueError(f"Expected at least one of `rules`. Received: rules={rules!r}")
        for rule in self._by_layer.values() if self._by_layer is not None else [rule for rule, _ in self._by_epochs]:
            wanted = Rule if self._by_layer is None else Schedule
            if not isinstance(rule, wanted):
                raise TypeError(
                    f"Expected `rules` to be instances of `keras_xai.pretraining.{wanted.__name__}`. Received: {rule!r}"
                )
        for rule, epochs in self._by_epochs:
            if not (is_integer(epochs) and epochs >= 1):
                raise ValueError(
                    f"Expected an integer number of epochs, at least 1, for each rule. Received: {epochs!r} for {type(rule).__name__}"
                )

    def stages(self, path, epochs):
        if self._by_layer is not None:
            if path not in self._by_layer:
                raise ValueError(
                    f"Expected a rule for each layer. Received: rules for {list(self._by_layer)}, none for '{path}'."
                )
            return self._by_layer[path].stages(path, epochs)
        total = sum(number for _, number in self._by_epochs)
        if total != epochs:
            parts = " + ".join(str(number) for _, number in self._by_epochs)
            raise ValueError(
                f"Expected rules for the requested number of epochs. Received: rules for {parts} = {total} epochs, and epochs={epochs}. "
                f"Pass epochs={total}, or change the rules."
            )
        return list(self._by_epochs)
