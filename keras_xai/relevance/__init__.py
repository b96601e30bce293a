"""Relevance: what each activation contributes to a score, passed back through a network from layer to layer by a rule."""

from keras_xai.relevance.network import Network, Pass
from keras_xai.relevance.rules import RULES, Rule

__all__ = ["RULES", "Network", "Pass", "Rule"]
