"""Attribution methods: the contribution of each part of an input to a score."""

from keras_xai.attribution.attention.rollout import AttentionRollout, GradientRollout
from keras_xai.attribution.cam.ablation_cam import AblationCAM
from keras_xai.attribution.cam.cam import CAM
from keras_xai.attribution.cam.eigen_cam import EigenCAM
from keras_xai.attribution.cam.grad_cam import GradCAM, GradCAMPlusPlus
from keras_xai.attribution.cam.guided_grad_cam import GuidedGradCAM
from keras_xai.attribution.cam.hi_res_cam import HiResCAM
from keras_xai.attribution.cam.layer_cam import LayerCAM
from keras_xai.attribution.cam.score_cam import ScoreCAM
from keras_xai.attribution.cam.x_grad_cam import XGradCAM
from keras_xai.attribution.generation import explain_generation
from keras_xai.attribution.gradient.decision_features import DecisionFeatures
from keras_xai.attribution.gradient.integrated_gradients import IntegratedGradients
from keras_xai.attribution.gradient.rectified import Deconvnet, GuidedBackprop
from keras_xai.attribution.gradient.saliency import GradientTimesInput, Saliency
from keras_xai.attribution.gradient.smooth_grad import SmoothGrad
from keras_xai.attribution.gradient.var_grad import VarGrad
from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Batch, Part
from keras_xai.attribution.perturbation.feature_ablation import FeatureAblation
from keras_xai.attribution.perturbation.hsic_attribution import HSICAttribution
from keras_xai.attribution.perturbation.lime import LIME
from keras_xai.attribution.perturbation.occlusion import Occlusion
from keras_xai.attribution.perturbation.permutation_importance import PermutationImportance
from keras_xai.attribution.perturbation.rise import RISE
from keras_xai.attribution.perturbation.sobol_attribution import SobolAttribution
from keras_xai.attribution.relevance.deep_lift import DeepLIFT
from keras_xai.attribution.relevance.lrp import LRP
from keras_xai.attribution.shapley.deep_shap import DeepSHAP
from keras_xai.attribution.shapley.gradient_shap import GradientSHAP
from keras_xai.attribution.shapley.shap import SHAP
from keras_xai.attribution.shapley.shapley_value_sampling import ShapleyValueSampling
from keras_xai.results.explanation import Explanation
from keras_xai.results.feature_importance import FeatureImportance
from keras_xai.results.generation import Generation
from keras_xai.rules.composites import (
    CPLRP,
    AttnLRP,
    Composite,
    EpsilonAlpha2Beta1,
    EpsilonPlus,
    EpsilonPlusFlat,
    RoleComposite,
)
from keras_xai.rules.lrp import AlphaBeta, Epsilon, Flat, Gamma, Rule, ZBox, ZPlus
from keras_xai.rules.maps import AffineMap
from keras_xai.rules.nonlinear import ProductRule, SignalTakesAll, Taylor, Uniform
from keras_xai.rules.products import Product, shared
from keras_xai.rules.rule import Pass

__all__ = [
    "CAM",
    "CPLRP",
    "LIME",
    "LRP",
    "RISE",
    "SHAP",
    "AblationCAM",
    "AffineMap",
    "AlphaBeta",
    "AttentionRollout",
    "AttnLRP",
    "Batch",
    "Composite",
    "DecisionFeatures",
    "Deconvnet",
    "DeepLIFT",
    "DeepSHAP",
    "EigenCAM",
    "Epsilon",
    "EpsilonAlpha2Beta1",
    "EpsilonPlus",
    "EpsilonPlusFlat",
    "Explanation",
    "FeatureAblation",
    "FeatureImportance",
    "Flat",
    "Gamma",
    "Generation",
    "GradCAM",
    "GradCAMPlusPlus",
    "GradientRollout",
    "GradientSHAP",
    "GradientTimesInput",
    "GuidedBackprop",
    "GuidedGradCAM",
    "HSICAttribution",
    "HiResCAM",
    "IntegratedGradients",
    "LayerCAM",
    "Method",
    "Occlusion",
    "Part",
    "Pass",
    "PermutationImportance",
    "Product",
    "ProductRule",
    "RoleComposite",
    "Rule",
    "Saliency",
    "ScoreCAM",
    "ShapleyValueSampling",
    "SignalTakesAll",
    "SmoothGrad",
    "SobolAttribution",
    "Taylor",
    "Uniform",
    "VarGrad",
    "XGradCAM",
    "ZBox",
    "ZPlus",
    "explain_generation",
    "shared",
]
