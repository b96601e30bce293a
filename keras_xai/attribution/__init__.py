"""Attribution: how much each part of an input counts for a score."""

from keras_xai.attribution.explanation import Explanation
from keras_xai.attribution.integrated_gradients import IntegratedGradients
from keras_xai.attribution.method import Method
from keras_xai.attribution.saliency import GradientTimesInput, Saliency
from keras_xai.attribution.smooth_grad import SmoothGrad

__all__ = ["Explanation", "GradientTimesInput", "IntegratedGradients", "Method", "Saliency", "SmoothGrad"]
