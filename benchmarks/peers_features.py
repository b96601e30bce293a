"""Which methods and measures each library has, by its documentation: the second table of `attribution_peers.py`.

keras_xai's column is not written down: a row is `yes` where the package has every name of it.
"""

import importlib

import report

LIBRARIES = {
    "captum": "0.9.0",
    "zennit": "0.5.1",
    "xplique": "2.0.2",
    "tf-keras-vis": "0.8.7",
    "shap": "0.51.0",
    "lime": "0.2.0.1",
    "iNNvestigate": "2.1.2",
    "Aletheia": "1.3.5",
}
NO = "-"
# A row: keras_xai's names, then the other libraries in the order above; those left out have nothing.
ROWS = {
    "saliency": ("attribution.Saliency", "yes", "yes", "yes", "yes", NO, NO, "yes"),
    "gradient x input": ("attribution.GradientTimesInput", "yes", NO, "yes", NO, NO, NO, "yes"),
    "SmoothGrad": ("attribution.SmoothGrad", "yes", "yes", "yes", "yes", NO, NO, "yes"),
    "integrated gradients": ("attribution.IntegratedGradients", "yes", "yes", "yes", NO, "expected gradients", NO, "yes"),
    "... with its convergence delta reported": ("attribution.IntegratedGradients attribution.Explanation", "yes"),
    "... with adaptive steps": ("attribution.IntegratedGradients",),
    "guided backpropagation": ("attribution.GuidedBackprop", "yes", "yes", "yes", "as a modifier", NO, NO, "yes"),
    "Deconvnet": ("attribution.Deconvnet", "yes", "yes", "yes", NO, NO, NO, "yes"),
    "LRP": (
        "attribution.LRP attribution.Epsilon attribution.Gamma attribution.ZPlus attribution.AlphaBeta attribution.Flat attribution.ZBox",
        "epsilon, gamma, alpha 1 beta 0, identity",
        "epsilon, gamma, z+, alpha-beta, z-box, w², flat, norm, pass",
        NO,
        NO,
        NO,
        NO,
        "z, epsilon, z+, alpha-beta, w², flat, bounded",
    ),
    "... composites": (
        "attribution.EpsilonPlus attribution.EpsilonAlpha2Beta1 attribution.EpsilonPlusFlat",
        NO,
        "yes",
        NO,
        NO,
        NO,
        NO,
        "presets A and B",
    ),
    "CAM": ("attribution.CAM",),
    "Grad-CAM": ("attribution.GradCAM", "yes", NO, "yes", "yes"),
    "Grad-CAM++": ("attribution.GradCAMPlusPlus", NO, NO, "yes", "yes"),
    "Score-CAM": ("attribution.ScoreCAM", NO, NO, NO, "yes"),
    "occlusion": ("attribution.Occlusion", "yes", "yes", "yes"),
    "LIME": ("attribution.LIME", "yes", NO, "yes", NO, "wraps lime", "image, table, text"),
    "SHAP": (
        "attribution.SHAP",
        "deep, gradient, kernel, sampling, exact",
        NO,
        "kernel",
        NO,
        "deep, gradient, kernel, partition, permutation, sampling, exact, linear, tree",
    ),
    "exact linear pieces": (
        "attribution.DecisionFeatures openbox.OpenBox",
        NO,
        NO,
        NO,
        NO,
        NO,
        NO,
        NO,
        "Dense with ReLU, one output",
    ),
    "activation maximization": ("features.maximize_activation", NO, NO, "yes", "yes"),
    "Deep Dream": ("features.deep_dream",),
    "samples of largest and smallest activation": ("features.extreme_examples",),
    "t-SNE map of a layer": ("features.tsne_map",),
    "deletion, insertion": (
        "metrics.Deletion metrics.Insertion",
        NO,
        NO,
        "yes",
        NO,
        "in `shap.benchmark`",
        NO,
        "perturbation",
    ),
    "infidelity, max-sensitivity": ("metrics.Infidelity metrics.MaxSensitivity", "yes"),
    "parameter and logit randomization": ("metrics.ModelParameterRandomization metrics.RandomLogit", NO, NO, "yes"),
    "localization": ("metrics.PointingGame metrics.RelevanceMass metrics.RelevanceRank",),
    "framework": (
        "Keras 3 on TensorFlow",
        "PyTorch",
        "PyTorch",
        "TensorFlow; PyTorch through a wrapper",
        "TensorFlow",
        "any function; deep and gradient: TensorFlow, PyTorch",
        "any function",
        "TensorFlow below 2.15",
        "lists of weights",
    ),
}


def has(names: str) -> str:
    """What keras_xai's cell says of some of its names."""
    for name in names.split():
        package, _, attribute = name.rpartition(".")
        try:
            if not hasattr(importlib.import_module(f"keras_xai.{package}"), attribute):
                return NO
        except ImportError:
            return NO
    return "yes"


def lines() -> list[str]:
    """Of the table."""
    titles = ["", "keras_xai", *(f"{name} {version}" for name, version in LIBRARIES.items())]
    result = report.head(*titles)
    for title, (own, *others) in ROWS.items():
        cells = [own if title == "framework" else has(own), *others]
        result.append(f"| {' | '.join([title, *cells, *[NO] * (len(titles) - 1 - len(cells))])} |")
    return result
