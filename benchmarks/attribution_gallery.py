"""Pictures of every attribution method on two photographs that anybody may copy, and of what a real network dreams of.

    KERAS_XAI_DATA=... python benchmarks/attribution_gallery.py --output docs/benchmarks    # about six minutes on two cores

The photographs are those that scikit-learn brings along: a temple in China and a flower, by Daniel Buechele and Vultilion, under the
license CC BY 2.0. SqueezeNet 1.1 with the weights that it learned on ImageNet explains what it sees in them, is shown what excites four of
its classes, and dreams into the flower.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import numpy as np
import photos
from attribution_photos import methods
from sklearn.datasets import load_sample_image

from keras_xai.features import deep_dream, maximize_activation
from keras_xai.report import explanations_plot

CLASSES = [130, 9, 985, 954]  # flamingo, ostrich, daisy and banana
LAYER = "fire8_concat"
ROWS = [
    ["Saliency", "SmoothGrad", "GradientTimesInput", "IntegratedGradients", "GuidedBackprop", "Deconvnet"],
    [
        "LRP EpsilonPlus",
        "LRP EpsilonAlpha2Beta1",
        "LRP EpsilonPlusFlat",
        "DecisionFeatures",
        "GradientSHAP",
        "SHAP partition",
    ],
    ["CAM", "GradCAM", "GradCAMPlusPlus", "ScoreCAM", "Occlusion", "LIME"],
    ["LayerCAM", "HiResCAM", "XGradCAM", "EigenCAM", "AblationCAM", "GuidedGradCAM"],
    ["FeatureAblation", "RISE", "SobolAttribution", "HSICAttribution", "ShapleyValueSampling", "VarGrad"],
]


def samples() -> np.ndarray:
    """The middle of each photograph, `(2, 227, 227, 3)`."""
    images = []
    for name, left in (("china.jpg", 130), ("flower.jpg", 106)):
        square = load_sample_image(name)[:, left : left + 427].astype("float32")
        images.append(keras.ops.convert_to_numpy(keras.ops.image.resize(square, (227, 227), antialias=True)))
    return np.stack(images)


def main(arguments: list[str] | None = None) -> None:
    """Explains and draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for the pictures")
    options = parser.parse_args(arguments)
    model = photos.squeezenet()
    x = photos.prepared(samples())
    made = methods(model)
    print("classes", model.predict(x, verbose=0).argmax(axis=1), flush=True)
    for number, names in enumerate(ROWS, start=1):
        explanations = {name: made[name]()(x) for name in names}
        figure = explanations_plot(explanations, preprocessing=photos.PREPROCESSING, class_names="imagenet")
        figure.savefig(options.output / f"attribution_gallery_{number}.png", dpi=80)
        print(f"{number} of {len(ROWS)}", flush=True)
    limits = photos.prepared(np.array([[[[0.0] * 3]], [[[255.0] * 3]]])).reshape(2, 3)  # black and white
    found = maximize_activation(model, CLASSES, value_range=tuple(limits), seed=0)
    figure = found.plot(show=photos.shown, class_names="imagenet")
    figure.savefig(options.output / "attribution_gallery_classes.png", dpi=80)
    dream = deep_dream(model, x[1:], layers=LAYER, value_range=tuple(limits), seed=0)
    dream.plot(show=photos.shown).savefig(options.output / "attribution_gallery_dream.png", dpi=80)


if __name__ == "__main__":
    main()
