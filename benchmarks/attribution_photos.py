"""How far attribution methods can be trusted, on a real network and real photographs: every method by every metric.

    KERAS_XAI_DATA=... python benchmarks/attribution_photos.py --work DIR --output docs/benchmarks    # three hours on two cores

SqueezeNet 1.1 with its ImageNet weights explains the class that it predicts for 50 photographs of as many classes, and, for 74
objects in COCO photographs, the best-scored of the classes that name the object. Explanations and figures are kept in DIR, so that a
run that is cut off goes on where it was, and `--methods` divides the work among processes. Three controls explain nothing: random
values, the nearness to the center, and the image's own edges.
"""

import dataclasses
import functools
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import numpy as np
import photos
import report
import scipy.ndimage
from runs import Runs, interval

from keras_xai import attribution, metrics
from keras_xai.attribution import Explanation

# The last concatenation: 512 maps of features. The convolution behind it has one map for each class, of which CAM draws one.
LAYER = "fire9_concat"


@dataclasses.dataclass(frozen=True)
class Control:
    """What looks like a method and explains nothing.

    Attributes:
        values: Maps images `(n, height, width, 3)` to values `(n, height, width, 1)`.
    """

    values: object

    def __call__(self, x, target):
        """Values for images, whatever the target."""
        return Explanation(self.values(x), np.asarray(target), x, None, None, 0.0, "control")


def random_values(x):
    """Standard normal."""
    return np.random.default_rng(0).normal(size=(*x.shape[:3], 1)).astype("float32")


def central_values(x):
    """A bell around the center, an eighth of the side wide."""
    place = np.linspace(-4, 4, x.shape[1])
    bell = np.exp(-0.5 * (place[:, None] ** 2 + place[None, :] ** 2) / 2)
    return np.broadcast_to(bell[..., None].astype("float32"), (*x.shape[:3], 1))


def edges(x):
    """The length of the image's own gradient."""
    gray = x.mean(axis=3)
    return np.hypot(scipy.ndimage.sobel(gray, axis=1), scipy.ndimage.sobel(gray, axis=2))[..., None].astype("float32")


def methods(model):
    """What makes each method, by the name in the table."""
    a = attribution
    return {
        "Saliency": lambda: a.Saliency(model),
        "GradientTimesInput": lambda: a.GradientTimesInput(model),
        "SmoothGrad": lambda: a.SmoothGrad(model, seed=0),
        "IntegratedGradients": lambda: a.IntegratedGradients(model),
        "GuidedBackprop": lambda: a.GuidedBackprop(model),
        "Deconvnet": lambda: a.Deconvnet(model),
        "LRP EpsilonPlus": lambda: a.LRP(model, composite=a.EpsilonPlus()),
        "LRP EpsilonAlpha2Beta1": lambda: a.LRP(model, composite=a.EpsilonAlpha2Beta1()),
        "LRP EpsilonPlusFlat": lambda: a.LRP(model, composite=a.EpsilonPlusFlat()),
        "CAM": lambda: a.CAM(model),
        "GradCAM": lambda: a.GradCAM(model, layer=LAYER),
        "GradCAMPlusPlus": lambda: a.GradCAMPlusPlus(model, layer=LAYER),
        "ScoreCAM": lambda: a.ScoreCAM(model, layer=LAYER, max_maps=64),
        "LayerCAM": lambda: a.LayerCAM(model, layer=LAYER),
        "HiResCAM": lambda: a.HiResCAM(model, layer=LAYER),
        "XGradCAM": lambda: a.XGradCAM(model, layer=LAYER),
        "EigenCAM": lambda: a.EigenCAM(model, layer=LAYER),
        "AblationCAM": lambda: a.AblationCAM(model, layer=LAYER),
        "GuidedGradCAM": lambda: a.GuidedGradCAM(model, layer=LAYER),
        "Occlusion": lambda: a.Occlusion(model, window=43, stride=23),
        "FeatureAblation": lambda: a.FeatureAblation(model),
        "RISE": lambda: a.RISE(model, num_samples=1000, seed=0),
        "SobolAttribution": lambda: a.SobolAttribution(model, num_samples=8, seed=0),
        "HSICAttribution": lambda: a.HSICAttribution(model, seed=0),
        "ShapleyValueSampling": lambda: a.ShapleyValueSampling(model, num_samples=5, seed=0),
        "VarGrad": lambda: a.VarGrad(model, seed=0),
        "LIME": lambda: a.LIME(model, num_samples=200, seed=0),
        "DeepLIFT": lambda: a.DeepLIFT(model),
        "GradientSHAP": lambda: a.GradientSHAP(model, num_samples=32, seed=0),
        "SHAP partition": lambda: a.SHAP(model, explainer="partition", num_samples=200, seed=0),
        "DecisionFeatures": lambda: a.DecisionFeatures(model),
        "control: random": lambda: Control(random_values),
        "control: center": lambda: Control(central_values),
        "control: edges": lambda: Control(edges),
    }


def main(arguments: list[str] | None = None) -> None:
    """Explains, measures, and writes the table when all is there."""
    options = parse(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    model = photos.squeezenet()
    made = methods(model)
    chosen = options.methods or list(made)
    unknown = [name for name in chosen if name not in made]
    if unknown:
        sys.exit(f"Unknown methods {unknown}; there are {list(made)}.")
    runs = Runs(options.work / "runs.jsonl", functools.partial(measured, model, made, options.work))
    for name in chosen:
        for metric in METRICS:
            if applies(metric, name):
                runs.get(method=name, metric=metric)
    if options.output:
        results = {
            name: {metric: runs.get(method=name, metric=metric) for metric in METRICS if applies(metric, name)}
            for name in made
        }
        (options.output / "attribution_photos.md").write_text(table(results), encoding="utf-8")


def parse(arguments):
    """The command line."""
    parser = report.parser(__doc__, output="folder to write the table to")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for what has been done")
    parser.add_argument("--methods", nargs="*", help="only these, and no table")
    return parser.parse_args(arguments)


@functools.cache
def photograph_data():
    """Photographs as the network takes them."""
    return photos.prepared(photos.photographs()[0])


@functools.cache
def object_data(model):
    """Objects as the network takes them, the class explained for each, and their masks."""
    images, masks, classes = photos.objects()
    x = photos.prepared(images)
    scores = model.predict(x, verbose=0)
    return x, np.array([max(named, key=lambda k: row[k]) for named, row in zip(classes, scores, strict=True)]), masks


def explained(model, made, work, name, data):
    """The explanation of all photographs or objects, from the file if there is one."""
    path = work / f"{name.replace(' ', '_').replace(':', '')}_{data}.npz"
    if not path.exists():
        if data == "photographs":
            x = photograph_data()
            target = model.predict(x, verbose=0).argmax(axis=1)
        else:
            x, target, _ = object_data(model)
        made[name]()(x, target).save(path)
    return Explanation.load(path)


def measured(model, made, work, method, metric):
    """A metric of a method, one value for each sample; with the first of them, what the explanation cost."""
    if metric in AGAIN:
        explanation = explained(model, made, work, method, "photographs")
        part = dataclasses.replace(
            explanation,
            values=explanation.values[:NUM_AGAIN],
            inputs=explanation.inputs[:NUM_AGAIN],
            target=explanation.target[:NUM_AGAIN],
            baseline=None if explanation.baseline is None else explanation.baseline[:NUM_AGAIN],
        )
        return {"values": AGAIN[metric](model, made[method]())(part).tolist()}
    data = "photographs" if metric in PHOTOS else "objects"
    explanation = explained(model, made, work, method, data)
    if metric == "cost":
        return {"values": [explanation.num_forward_passes]}
    rate = photograph_metrics(model)[metric] if data == "photographs" else OBJECTS[metric](object_data(model)[2])
    return {"values": rate(explanation).tolist()}


NUM_AGAIN = 6  # photographs that are explained many times over


@functools.cache
def photograph_metrics(model):
    """What rates the explanations of photographs."""
    return {
        "Insertion": metrics.Insertion(model, steps=STEPS),
        "Deletion": metrics.Deletion(model, steps=STEPS),
        "PixelFlipping": metrics.PixelFlipping(model, region=9, steps=STEPS, seed=0),
        "Infidelity": metrics.Infidelity(model, num_perturbations=STEPS, seed=0),
        "Sparseness": metrics.Sparseness(),
    }


STEPS = 24
PHOTOS = ("cost", "Insertion", "Deletion", "PixelFlipping", "Infidelity", "Sparseness")
OBJECTS = {
    "PointingGame": metrics.PointingGame,
    "RelevanceMass": metrics.RelevanceMass,
    "RelevanceRank": metrics.RelevanceRank,
}
AGAIN = {
    "MaxSensitivity": lambda model, method: metrics.MaxSensitivity(method, num_samples=2, seed=0),
    "RandomLogit": lambda model, method: metrics.RandomLogit(model, method, seed=0),
}
METRICS = (*PHOTOS, *OBJECTS, *AGAIN)


def applies(metric, method):
    """Controls cannot explain anew."""
    return not (metric in AGAIN and method.startswith("control"))


def table(results):
    """The Markdown text."""
    shown = [metric for metric in METRICS if metric != "cost"]
    lines = [
        "# Attribution on photographs",
        "",
        "SqueezeNet 1.1 with ImageNet weights. Photographs are resized to 227 x 227 without antialiasing, so it classifies 60 % of "
        "them correctly. Insertion (higher is better), deletion (lower), pixel flipping (higher), infidelity (lower) and sparseness (a "
        "property, not a merit) on 50 photographs, for the predicted class; the pointing game, the share of relevance on the object, "
        "and the share of the object among the most relevant places (higher is better) on 74 objects in COCO photographs with masks; "
        f"max-sensitivity, and the similarity to the explanation of another class (lower is better), on {NUM_AGAIN} of the photographs. "
        "Means over samples, +- half of the 95 % confidence interval. Passes are forward passes for one photograph. [Their "
        "time](#attribution-speed) is a separate benchmark.",
        "",
        *report.head("method", "passes", *shown),
    ]
    for method, found in results.items():
        cells = [method, f"{found['cost']['values'][0]:.0f}"]
        for metric in shown:
            if metric not in found:
                cells.append("")
                continue
            values = np.array(found[metric]["values"], "float64")
            mean, half = interval(values[np.isfinite(values)])
            cells.append(f"{mean:.3f} +- {half:.3f}")
        lines.append(report.row(*cells))
    return report.page(lines, "python benchmarks/attribution_photos.py --work DIR --output docs/benchmarks")


if __name__ == "__main__":
    main()
