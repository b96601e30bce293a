"""Ready-made targets: probabilities, margins, entries, tokens, boxes, regions and similarities as scores to explain."""

from collections.abc import Mapping
from typing import Any

from keras_xai.targets.classes import Margin, Probability
from keras_xai.targets.entries import Box, Output, Token
from keras_xai.targets.maps import Region, Similarity
from keras_xai.targets.target import ScoreTarget
from keras_xai.targets.units import Unit

__all__ = ["Box", "Margin", "Output", "Probability", "Region", "ScoreTarget", "Similarity", "Token"]

_BY_NAME = {each.__name__: each for each in (Box, Margin, Output, Probability, Region, Similarity, Token, Unit)}


def to_fields(target: Any) -> Any:
    """Converts the ready-made targets in a target, which may be a dict by output name, to plain data; others are unchanged."""
    if isinstance(target, Mapping):
        return {name: to_fields(each) for name, each in target.items()}
    return target.to_fields() if type(target) in _BY_NAME.values() else target


def from_fields(fields: Any) -> Any:
    """The inverse of `to_fields`."""
    if not isinstance(fields, Mapping):
        return fields
    if fields.keys() == {"target", "fields"} and isinstance(fields["target"], str):
        return _BY_NAME[fields["target"]](**fields["fields"])
    return {name: from_fields(each) for name, each in fields.items()}
