"""Backward rules: LRP and its composites, DeepLIFT, the FBI loss, guided backpropagation and Deconvnet."""

from keras_xai.rules.composites import (
    CPLRP,
    AttnLRP,
    Composite,
    EpsilonAlpha2Beta1,
    EpsilonPlus,
    EpsilonPlusFlat,
    Place,
    RoleComposite,
)
from keras_xai.rules.fbi import PROPAGATIONS, Propagation
from keras_xai.rules.lrp import AlphaBeta, Epsilon, Flat, Gamma, Rule, ZBox, ZPlus
from keras_xai.rules.nonlinear import ProductRule, SignalTakesAll, Taylor, Uniform
from keras_xai.rules.rectifiers import Deconvolved, Guided
from keras_xai.rules.rule import BackwardRule, Call, Pass, Passage, Transpose

__all__ = [
    "CPLRP",
    "PROPAGATIONS",
    "AlphaBeta",
    "AttnLRP",
    "BackwardRule",
    "Call",
    "Composite",
    "Deconvolved",
    "Epsilon",
    "EpsilonAlpha2Beta1",
    "EpsilonPlus",
    "EpsilonPlusFlat",
    "Flat",
    "Gamma",
    "Guided",
    "Pass",
    "Passage",
    "Place",
    "ProductRule",
    "Propagation",
    "RoleComposite",
    "Rule",
    "SignalTakesAll",
    "Taylor",
    "Transpose",
    "Uniform",
    "ZBox",
    "ZPlus",
]
