"""What attribution methods cost against the same work done bare, in turn in one process.

    export KERAS_XAI_DATA=... MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_MMAP_THRESHOLD_=4000000000
    python benchmarks/attribution_speed.py --turns 5 --output docs/benchmarks/attribution_speed.md    # three minutes on two cores

The small CNN explains 64 images of 28 x 28, SqueezeNet one or more photographs of 227 x 227; the classes are given, so that nobody
has to find them. Programs are compiled before the clock starts. Each ratio is the median of those of each turn.
"""

import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import numpy as np
import photos
import report
import tensorflow as tf
from keras import layers

from keras_xai import attribution


def small_cnn():
    """Two convolutions, each pooled, and a dense layer; ends in scores."""
    keras.utils.set_random_seed(0)
    hidden = [layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(2), layers.Conv2D(32, 3, activation="relu")]
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *hidden,
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dense(10),
        ]
    )


def squeezenet():
    """SqueezeNet without its softmax."""
    model = photos.squeezenet()
    return keras.Model(model.inputs, model.layers[-1].input)


class Setting:
    """A network, samples and their classes."""

    def __init__(self, name, model, x, target):
        self.name, self.model, self.x, self.target = name, model, x.astype("float32"), target
        self.gradient = tf.function(self._gradient)
        self.scores = tf.function(lambda x: tf.gather(model(x, training=False), target[: len(x)], batch_dims=1))

    def _gradient(self, x):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            score = tf.gather(self.model(x, training=False), self.target, batch_dims=1)
        return tape.gradient(score, x)

    def bare(self, gradients):
        """So many compiled gradients, one after the other."""
        point = tf.constant(self.x)
        return lambda: [self.gradient(point).numpy() for _ in range(gradients)]

    def ours(self, method):
        """An explanation of all samples in one batch."""
        return lambda: method(self.x, self.target)


def gradient_rows(setting):
    """Methods whose work is gradients, with the number of them."""
    options = {"batch_size": len(setting.x)}
    model = setting.model
    yield "Saliency", setting.ours(attribution.Saliency(model, **options)), setting.bare(1)
    yield "gradient x input", setting.ours(attribution.GradientTimesInput(model, **options)), setting.bare(1)
    yield "SmoothGrad, 8", setting.ours(attribution.SmoothGrad(model, num_samples=8, seed=0, **options)), setting.bare(8)
    yield "integrated gradients, 8", setting.ours(attribution.IntegratedGradients(model, steps=8, **options)), setting.bare(8)
    yield "guided backpropagation", setting.ours(attribution.GuidedBackprop(model, **options)), setting.bare(1)
    yield "Deconvnet", setting.ours(attribution.Deconvnet(model, **options)), setting.bare(1)
    yield "DeepLIFT", setting.ours(attribution.DeepLIFT(model, **options)), setting.bare(1)
    yield (
        "LRP, epsilon plus",
        setting.ours(attribution.LRP(model, composite=attribution.EpsilonPlus(), **options)),
        setting.bare(1),
    )


def grad_cam_row(setting, layer):
    """Grad-CAM against that of tf-keras-vis, on the same layer."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.scores import CategoricalScore

    peer = Gradcam(setting.model, clone=False)
    score = CategoricalScore(setting.target.tolist())
    method = attribution.GradCAM(setting.model, layer=layer, batch_size=len(setting.x))
    yield "Grad-CAM / tf-keras-vis", setting.ours(method), lambda: peer(score, setting.x, penultimate_layer=layer)


def mask_rows(setting, window, stride, maps):
    """Methods that hide parts of one image, against a loop over masks of a compiled model."""
    one = Setting(setting.name, setting.model, setting.x[:1], setting.target[:1])
    size = one.x.shape[1]
    starts = range(0, size - window + 1, stride)

    def occluded():
        found = []
        for row in starts:
            for column in starts:
                masked = one.x.copy()
                masked[:, row : row + window, column : column + window] = 0
                found.append(one.scores(tf.constant(masked)).numpy())
        return found

    def eager():
        return [one.model(one.x * 1.0, training=False).numpy() for _ in range(len(starts) ** 2)]

    method = attribution.Occlusion(one.model, window=window, stride=stride, batch_size=64)
    yield f"occlusion, {len(starts) ** 2} masks / compiled loop", one.ours(method), occluded
    yield f"occlusion, {len(starts) ** 2} masks / loop of model(x)", one.ours(method), eager
    score = attribution.ScoreCAM(one.model, layer=maps[0], batch_size=64)

    def masked_maps():
        return [one.model(one.x * 1.0, training=False).numpy() for _ in range(maps[1])]

    yield f"Score-CAM, {maps[1]} maps / loop of model(x)", one.ours(score), masked_maps


def deep_shap_row(setting, background):
    """DeepSHAP against shap's own."""
    import shap

    explainer = shap.DeepExplainer(setting.model, background)
    method = attribution.DeepSHAP(setting.model)

    def peer():
        return explainer.shap_values(setting.x, check_additivity=False)

    yield (
        f"DeepSHAP, {setting.model.output_shape[-1]} classes / shap, all classes",
        lambda: [method(setting.x, k, baseline=background) for k in range(setting.model.output_shape[-1])],
        peer,
    )


def timed(rows, turns):
    """A line of the table for each row: seconds of ours, of the other, and their ratio."""
    for name, ours, other in rows:
        seconds = report.in_turn({"ours": ours, "other": other}, turns)
        ratio = np.median(seconds["ours"] / seconds["other"])
        first, second = (1e3 * np.median(seconds[arm]) for arm in ("ours", "other"))
        yield name, f"{first:.1f}", f"{second:.1f}", f"{ratio:.2f}"


def main(arguments: list[str] | None = None) -> None:
    """Measures, and shows the table."""
    parser = report.parser(__doc__, turns=9)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    small = Setting("small CNN", small_cnn(), rng.normal(size=(64, 28, 28, 1)), np.arange(64) % 10)
    images, labels = photos.photographs()
    large = Setting("SqueezeNet", squeezenet(), photos.prepared(images[:8]), labels[:8])
    lines = [
        "# Attribution: speed",
        "",
        "Milliseconds of a method and of a reference, and the median of their ratios; the two run in turn. The reference of a gradient "
        "method is the same number of compiled gradients of the same batch, by a plain `tf.GradientTape`: 64 images for the small CNN, "
        "8 for SqueezeNet. Occlusion and Score-CAM explain one image; the reference is one forward pass per mask. The checks of "
        "arguments and results take about a millisecond, which is visible where a gradient takes 5. The C library was set to keep "
        "memory that has been freed.",
        "",
        *report.head("network", "method", "ours, ms", "other, ms", "ratio"),
    ]
    for setting, layer, mask, maps in [(small, "conv2d_1", (4, 2), ("conv2d_1", 32)), (large, "", (45, 26), ("", 0))]:
        rows = [*gradient_rows(setting)]
        if layer:
            rows += [*grad_cam_row(setting, layer), *mask_rows(setting, *mask, maps), *deep_shap_row(setting, setting.x[:8])]
        else:
            last = [each.name for each in setting.model.layers if isinstance(each, layers.Conv2D)]
            rows += [*grad_cam_row(setting, last[-1]), *mask_rows(setting, *mask, (last[-2], 256))]
        for cells in timed(rows, options.turns):
            lines.append(report.row(setting.name, *cells))
            print(lines[-1], flush=True)
    text = report.page(lines, "python benchmarks/attribution_speed.py")
    report.publish(text, options.output)


if __name__ == "__main__":
    main()
