"""Pictures for the pages of the methods: what each returns on photographs, on sentences and on a table.

    KERAS_XAI_DATA=... python benchmarks/method_pictures.py --output docs/methods/pictures    # about ten minutes on two shared cores

SqueezeNet 1.1 with its ImageNet weights explains the two photographs of `attribution_gallery.py`, and responds to parts of photographs that
scikit-learn and scikit-image bring along. A small transformer, trained on movie reviews, explains two sentences. The table is one of
scikit-learn's.
"""

import argparse
import collections
import functools
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import attribution_photos
import keras
import numpy as np
import photos
from attribution_gallery import samples
from skimage import data
from sklearn.datasets import load_breast_cancer, load_sample_image

from keras_xai import attribution, features, metrics
from keras_xai.data.imagenet import imagenet_names
from keras_xai.report import explanations_plot, maps_plot
from keras_xai.report.figure import new_figure

CLASSES = [832, 991]  # "stupa" and "coral fungus", those predicted for the photographs
OTHER = ", other class"  # ends the name of a method that explains the class of the other photograph

# The methods of each page, by their names in `makers`.
PHOTOGRAPHS = {
    "saliency": ["Saliency"],
    "gradient_times_input": ["Saliency", "GradientTimesInput"],
    "smooth_grad": ["Saliency", "SmoothGrad"],
    "var_grad": ["SmoothGrad", "VarGrad"],
    "integrated_gradients": ["GradientTimesInput", "IntegratedGradients"],
    "guided_backprop": ["GuidedBackprop", f"GuidedBackprop{OTHER}"],
    "deconvnet": ["Deconvnet", f"Deconvnet{OTHER}"],
    "lrp": ["LRP EpsilonPlus", "LRP EpsilonAlpha2Beta1", "LRP EpsilonPlusFlat"],
    "deep_lift": ["GradientTimesInput", "DeepLIFT"],
    "decision_features": ["DecisionFeatures", f"DecisionFeatures{OTHER}"],
    "cam": ["CAM", f"CAM{OTHER}"],
    "grad_cam": ["GradCAM", f"GradCAM{OTHER}"],
    "grad_cam_plus_plus": ["GradCAM", "GradCAMPlusPlus"],
    "score_cam": ["ScoreCAM", f"ScoreCAM{OTHER}"],
    "layer_cam": ["LayerCAM", "LayerCAM fire5_concat", "LayerCAM fire3_concat"],
    "hi_res_cam": ["GradCAM", "HiResCAM"],
    "x_grad_cam": ["GradCAM", "XGradCAM"],
    "eigen_cam": ["EigenCAM", f"EigenCAM{OTHER}"],
    "ablation_cam": ["GradCAM", "AblationCAM"],
    "guided_grad_cam": ["GuidedBackprop", "GradCAM", "GuidedGradCAM"],
    "occlusion": ["Occlusion", f"Occlusion{OTHER}"],
    "feature_ablation": ["FeatureAblation", "FeatureAblation groups=16"],
    "rise": ["RISE"],
    "sobol_attribution": ["FeatureAblation", "SobolAttribution"],
    "hsic_attribution": ["FeatureAblation", "HSICAttribution"],
    "lime": ["LIME"],
    "shap": ["SHAP partition", f"SHAP partition{OTHER}"],
    "shapley_value_sampling": ["FeatureAblation", "ShapleyValueSampling"],
    "deep_shap": ["DeepLIFT", "DeepSHAP"],
    "gradient_shap": ["IntegratedGradients", "GradientSHAP"],
}
CURVES = {"GradCAM": "#d55e00", "IntegratedGradients": "#0072b2", "Saliency": "#009e73", "control: random": "#8a939c"}
SENTENCES = (
    "a warm , funny and moving film with a wonderful cast",
    "a dull story with stupid jokes , but good actors",
)
NUM_BACKGROUND = 20


def main(arguments: list[str] | None = None) -> None:
    """Draws the pictures of all pages, or of some."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for the pictures")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="only these pages, such as grad_cam")
    options = parser.parse_args(arguments)
    pages = {name: functools.partial(photographs, names) for name, names in PHOTOGRAPHS.items()} | OTHERS
    unknown = [name for name in options.only or [] if name not in pages]
    if unknown:
        sys.exit(f"Unknown pages {unknown}; there are {list(pages)}.")
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.only or pages:
        figure = pages[name]()
        figure.savefig(options.output / f"{name}.jpg", dpi=min(100, 900 / figure.get_figwidth()), pil_kwargs={"quality": 85})
        print(name, flush=True)


@functools.cache
def squeezenet():
    """The network, and the photographs as it takes them."""
    return photos.squeezenet(), photos.prepared(samples())


@functools.cache
def makers():
    """What makes each method, by name."""
    model, _ = squeezenet()
    a = attribution
    return attribution_photos.methods(model) | {
        "LayerCAM fire5_concat": lambda: a.LayerCAM(model, layer="fire5_concat"),
        "LayerCAM fire3_concat": lambda: a.LayerCAM(model, layer="fire3_concat"),
        "FeatureAblation groups=16": lambda: a.FeatureAblation(model, groups=16),
        "RISE": lambda: a.RISE(model, num_samples=500, seed=0),
        "LIME": lambda: a.LIME(model, num_samples=300, seed=0),
        "DeepSHAP": lambda: a.DeepSHAP(model),
    }


@functools.cache
def explained(name):
    """The explanation of both photographs by a method; several pages share some."""
    _, x = squeezenet()
    method = makers()[name.removesuffix(OTHER)]()
    options = {"target": CLASSES[::-1] if name.endswith(OTHER) else CLASSES}
    if name in ("DeepSHAP", "GradientSHAP"):
        options["baseline"] = photos.prepared(photos.photographs()[0][:NUM_BACKGROUND])
    return method(x, **options)


def photographs(names):
    """The two photographs, and beside them what methods say of them."""
    named = {name.removeprefix("LRP "): explained(name) for name in names}
    return explanations_plot(named, preprocessing=photos.PREPROCESSING, class_names="imagenet")


def metric_curves():
    """How the probability decreases when places are removed, by the order of several methods."""
    model, x = squeezenet()
    deletion = metrics.Deletion(model, steps=48)
    figure = new_figure(figsize=(8, 3.2), layout="constrained")
    grid = figure.subplots(1, len(x), sharey=True)
    for name, color in CURVES.items():
        explanation = attribution_photos.Control(attribution_photos.random_values)(x, CLASSES)
        explanation = explanation if name.startswith("control") else explained(name)
        shares, scores = deletion.curve(explanation)
        for axes, curve in zip(grid, scores, strict=True):
            area = np.trapezoid(curve, shares)
            axes.plot(100 * shares, curve, color=color, label=f"{name.removeprefix('control: ')}: {area:.2f}")
    for axes, label in zip(grid, CLASSES, strict=True):
        axes.set_title(imagenet_names()[label], fontsize=11)
        axes.set_xlabel("removed pixels, %, most relevant first", fontsize=9)
        axes.legend(title="deletion (area)", fontsize=8, title_fontsize=8, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].set_ylabel("probability", fontsize=9)
    return figure


def activation_maps():
    """The strongest maps of an early and of the last layer for the temple."""
    model, x = squeezenet()
    found = features.activations(model, x[:1], ["fire3_concat", "fire9_concat"])
    return maps_plot(found, photos.shown(x[:1]), max_filters=16, strongest=True)


def tiles():
    """Squares of six photographs that anybody may copy, each at three scales, `(n, 227, 227, 3)`."""
    # Those of scikit-image are in the public domain or CC0.
    images = [load_sample_image("china.jpg"), load_sample_image("flower.jpg")]
    images += [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    found = []
    for image in images:
        for rows in (1, 2, 3):
            columns = round(rows * image.shape[1] / image.shape[0])
            size = (227 * rows, 227 * columns)
            scaled = keras.ops.convert_to_numpy(keras.ops.image.resize(image.astype("float32"), size, antialias=True))
            for strip in np.split(scaled, rows):
                found.extend(np.split(strip, columns, axis=1))
    return np.stack(found)


def extreme_examples():
    """The parts of photographs to which three channels of a layer respond most and least."""
    model, _ = squeezenet()
    x = photos.prepared(tiles())
    found = features.extreme_examples(model, x, layer="fire6_expand3x3", units=[1, 2, 3], k=6, verbose=0)
    return found.plot(show=photos.shown)


def importance():
    """What a small network for breast cancer data rests on, and the names of its columns."""
    table = load_breast_cancer(as_frame=True)
    x = ((table.data - table.data[:400].mean()) / table.data[:400].std()).astype("float32")
    y = table.target.to_numpy()
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x.to_numpy()[:400], y[:400], epochs=40, verbose=0)
    found = attribution.PermutationImportance(model, num_repeats=20, seed=0)(x.to_numpy()[400:], y[400:])
    return found, list(table.feature_names)


def permutation_importance():
    """The columns that the network for breast cancer data rests on most."""
    found, names = importance()
    return found.plot(top=12, feature_names=names, title="breast cancer data, 12 of 30 features")


LENGTH = 24  # words of a sentence in training


@functools.cache
def transformer():
    """A transformer that tells positive from negative sentences, the sentences that it explains as tokens, and its vocabulary."""
    lines, y = [], []
    for label, name in enumerate(("neg", "pos")):
        text = (photos.folder() / "text" / f"rt-polarity.{name}.txt").read_text(encoding="utf-8", errors="replace")
        lines += [line.split()[:LENGTH] for line in text.splitlines()]
        y += [label] * (len(lines) - len(y))
    counts = collections.Counter(word for line in lines for word in line)
    vocabulary = ["", "[UNK]", *(word for word, count in counts.most_common() if count >= 3)]
    numbers = {word: i for i, word in enumerate(vocabulary)}

    def tokens(lines):
        rows = np.zeros((len(lines), LENGTH), "int32")
        for row, words in zip(rows, lines, strict=True):
            row[: len(words)] = [numbers.get(word, 1) for word in words]
        return rows

    keras.utils.set_random_seed(0)
    model = _transformer(len(vocabulary))
    model.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    order = np.random.default_rng(0).permutation(len(lines))
    x, y = tokens(lines)[order], np.array(y)[order]
    model.fit(x[1000:], y[1000:], epochs=2, batch_size=64, validation_data=(x[:1000], y[:1000]), verbose=2)
    return model, tokens([sentence.split() for sentence in SENTENCES]), vocabulary


def _transformer(num_words):
    """Two blocks of attention with two heads, of width 64, and the mean over all words."""
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    x = keras.layers.Embedding(num_words, 64, mask_zero=True)(ids)
    for number in range(2):
        attended = keras.layers.MultiHeadAttention(2, 32, dropout=0.2, name=f"attention{number + 1}")(x, x)
        x = keras.layers.LayerNormalization()(keras.layers.Add()([x, keras.layers.Dropout(0.3)(attended)]))
        hidden = keras.layers.Dense(64)(keras.layers.Dense(128, activation="gelu")(x))
        x = keras.layers.LayerNormalization()(keras.layers.Add()([x, keras.layers.Dropout(0.3)(hidden)]))
    return keras.Model(ids, keras.layers.Dense(2, "softmax")(keras.layers.GlobalAveragePooling1D()(x)))


def attention_maps():
    """Attention between the words of a sentence."""
    model, x, vocabulary = transformer()
    return features.attention_maps(model, x, ["attention2"]).plot(sample=1, vocabulary=vocabulary, title="second layer")


def rollouts(*methods):
    """Rollouts for both classes, one beside the other."""
    model, x, vocabulary = transformer()
    named = {
        f"{method.__name__}, {name}": method(model)(x, target=target)
        for method in methods
        for target, name in ((1, "positive"), (0, "negative"))
    }
    return explanations_plot(named, vocabulary=vocabulary, class_names=["negative", "positive"], columns=1)


OTHERS = {
    "attention_maps": attention_maps,
    "attention_rollout": functools.partial(rollouts, attribution.AttentionRollout),
    "gradient_rollout": functools.partial(rollouts, attribution.GradientRollout),
    "permutation_importance": permutation_importance,
    "activation_maps": activation_maps,
    "extreme_examples": extreme_examples,
    "metrics": metric_curves,
}


if __name__ == "__main__":
    main()
