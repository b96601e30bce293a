"""Faithfulness of the attribution methods on a text classifier and a vision transformer, beside random values and the gradient.

    export KERAS_XAI_DATA=... TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
    python benchmarks/faithfulness.py --work DIR --output docs/benchmarks/faithfulness.md    # fifteen minutes on one core

DIR keeps the trained networks and the values of each method, so that a run that was interrupted goes on, and a method that is added to
`METHODS` is the only one that is computed.
"""

import os
import pathlib
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import faithfulness_networks
import numpy as np
import report
import runs

from keras_xai import attribution, metrics
from keras_xai.statistics import intervals

NUM_SAMPLES = {"text": 200, "image": 100}
_PATCH = 4
_GRID = np.kron(np.arange(64).reshape(8, 8), np.ones((_PATCH, _PATCH), int))  # the patches of the vision transformer
_BOTH, _TEXT, _IMAGE = ("text", "image"), ("text",), ("image",)


class Random(attribution.Method):
    """Control: normal random values, one for each word, pixel or patch."""

    def __init__(self, model, *, patch=1, **options):
        super().__init__(model, **options)
        self._patch = patch

    def _prepare(self, target):
        predicted = self.scores.predictor(target)

        def explain(batch):
            indices = predicted(batch.inputs, batch.indices)
            (x,) = batch.inputs
            if x.ndim == 2:
                return attribution.Part([self._drawn(batch, x.shape[1:])], indices, None, len(x))
            drawn = self._drawn(batch, (x.shape[1] // self._patch, x.shape[2] // self._patch, 1))
            return attribution.Part([np.kron(drawn, np.ones((1, self._patch, self._patch, 1)))], indices, None, len(x))

        return explain

    def _drawn(self, batch, shape):
        return np.stack([np.random.default_rng(number).normal(size=shape) for number in batch.numbers])


def lrp(composite):
    """LRP by a composite."""
    return lambda model: attribution.LRP(model, composite=composite)


# To add a method, add a line: the networks that it is for, and how it is made of a model.
METHODS = {
    "random": (_BOTH, Random),
    "random patches": (_IMAGE, lambda model: Random(model, patch=_PATCH)),
    "Saliency": (_BOTH, attribution.Saliency),
    "GradientTimesInput": (_BOTH, attribution.GradientTimesInput),
    "SmoothGrad": (_BOTH, lambda model: attribution.SmoothGrad(model, seed=0)),
    "IntegratedGradients": (_BOTH, lambda model: attribution.IntegratedGradients(model, steps=32)),
    "GradientSHAP": (_BOTH, lambda model: attribution.GradientSHAP(model, num_samples=64, seed=0)),
    "DeepLIFT": (_BOTH, attribution.DeepLIFT),
    "DeepSHAP": (_BOTH, attribution.DeepSHAP),
    "LRP, EpsilonPlus": (_BOTH, lrp(attribution.EpsilonPlus())),
    "LRP, AttnLRP": (_BOTH, lrp(attribution.AttnLRP())),
    "LRP, AttnLRP(gamma=0.25)": (_BOTH, lrp(attribution.AttnLRP(gamma=0.25))),
    "LRP, CPLRP": (_BOTH, lrp(attribution.CPLRP())),
    "AttentionRollout": (_BOTH, attribution.AttentionRollout),
    "GradientRollout": (_BOTH, attribution.GradientRollout),
    "VarGrad": (_BOTH, lambda model: attribution.VarGrad(model, seed=0)),
    "GradCAM": (_IMAGE, attribution.GradCAM),
    "GradCAMPlusPlus": (_IMAGE, attribution.GradCAMPlusPlus),
    "LayerCAM": (_IMAGE, attribution.LayerCAM),
    "HiResCAM": (_IMAGE, attribution.HiResCAM),
    "XGradCAM": (_IMAGE, attribution.XGradCAM),
    "EigenCAM": (_IMAGE, attribution.EigenCAM),
    "AblationCAM": (_IMAGE, attribution.AblationCAM),
    "ScoreCAM": (_IMAGE, attribution.ScoreCAM),
    "Occlusion": (_TEXT, attribution.Occlusion),
    "Occlusion, patches": (_IMAGE, lambda model: attribution.Occlusion(model, window=_PATCH, stride=_PATCH)),
    "LIME": (_TEXT, lambda model: attribution.LIME(model, num_samples=500, seed=0)),
    "LIME, patches": (_IMAGE, lambda model: attribution.LIME(model, num_samples=300, segments=_GRID, seed=0)),
    "RISE": (_BOTH, lambda model: attribution.RISE(model, num_samples=500, grid_size=8, seed=0)),
    "SobolAttribution": (_BOTH, lambda model: attribution.SobolAttribution(model, num_samples=8, seed=0)),
    "HSICAttribution": (_BOTH, lambda model: attribution.HSICAttribution(model, num_samples=500, seed=0)),
    "ShapleyValueSampling": (_BOTH, lambda model: attribution.ShapleyValueSampling(model, num_samples=10, seed=0)),
    "SHAP, kernel": (_TEXT, lambda model: attribution.SHAP(model, num_samples=500, seed=0)),
    "SHAP, kernel, patches": (_IMAGE, lambda model: attribution.SHAP(model, num_samples=300, segments=_GRID, seed=0)),
}

# Of each metric: its column, the networks that it is for, whether more is better, and how it is made of a setting.
METRICS = {
    "deletion": (_BOTH, False, lambda setting: metrics.Deletion(setting.model, steps=24, baseline=setting.baseline)),
    "insertion": (_BOTH, True, lambda setting: metrics.Insertion(setting.model, steps=24, baseline=setting.baseline)),
    "pixel flipping": (_BOTH, True, lambda setting: metrics.PixelFlipping(setting.model, region=_PATCH, steps=32, seed=0)),
    "ROAD, MoRF": (_IMAGE, False, lambda setting: metrics.ROAD(setting.model, steps=5, seed=0)),
    "ROAD, LeRF": (_IMAGE, True, lambda setting: metrics.ROAD(setting.model, steps=5, order="lerf", seed=0)),
}
TITLES = {"text": "Text: rt-polarity", "image": "Images: CIFAR-10"}


def main(arguments: list[str] | None = None) -> None:
    """Measures, and writes the page."""
    parser = report.parser(__doc__, quick="one epoch and four samples, to try it out")
    parser.add_argument(
        "--work", type=pathlib.Path, default=pathlib.Path("faithfulness"), help="folder for networks and values"
    )
    names = faithfulness_networks.NAMES
    parser.add_argument("--network", choices=names, help="do the work for one network only, without the page")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    options.work.mkdir(parents=True, exist_ok=True)
    lines = head()
    for name in [options.network] if options.network else names:
        num_samples = 4 if options.quick else NUM_SAMPLES[name]
        setting = faithfulness_networks.setting(name, options.work, num_samples, options.quick)
        lines += section(setting, measured(setting, options.work, options.quick))
    if options.network:
        return
    command = f"python benchmarks/faithfulness.py{' --quick' if options.quick else ''} --work DIR"
    report.publish(report.page(lines[:-1], command), options.output)


def measured(setting, work, quick):
    """The values of each method: by method, by metric, one for each sample; with the forward passes of the method."""

    def rated(network, method, num_samples):
        _, make = METHODS[method]
        explanation = explained(make(setting.model), setting)
        results = {
            name: np.round(make_metric(setting)(explanation), 6).tolist()
            for name, (networks, _, make_metric) in METRICS.items()
            if network in networks
        }
        return {"passes": explanation.num_forward_passes, "metrics": results}

    kept = runs.Runs(work / "methods.jsonl", rated)
    if quick:
        kept = runs.Runs(report.quick_runs(work / "methods.jsonl", "methods"), rated)
    return {
        method: kept.get(network=setting.name, method=method, num_samples=len(setting.x))
        for method, (networks, _) in METHODS.items()
        if setting.name in networks
    }


def explained(method, setting):
    """An explanation of the predicted classes; the baseline is what stands for removed parts, or a background to average over."""
    if not method.takes_baseline:
        return method(setting.x)
    averages = isinstance(method, attribution.DeepSHAP | attribution.GradientSHAP)
    shared = setting.background if averages else setting.baseline[:1]
    return method(setting.x, baseline=shared if method.shares_baseline else setting.baseline)


def head():
    """What was done."""
    return [
        "# Faithfulness",
        "",
        "The change of the probability of the predicted class when the parts with the highest values are removed (deletion, ROAD MoRF: "
        "lower is better), inserted (insertion: higher is better) or replaced by noise (pixel flipping: higher is better), or when the "
        "parts with the lowest values are removed (ROAD LeRF: higher is better). A removed word becomes the token of unknown words, "
        "which replaced a fifth of the words in training. A removed pixel becomes the mean color in deletion and insertion, and a "
        "noisy mean of its neighbors in ROAD. Pixel flipping replaces words, or patches of 4 x 4 pixels, which are the patches of the "
        "network.",
        "",
        "Means with 95 % confidence intervals over the samples (Student's t). **Bold**: the best value, and values whose paired "
        "difference from it has an interval that contains zero. †: not better than random values, by the paired difference from the "
        "random control; for images, from the better of the two. The other control is `Saliency`, the gradient. Intervals are not "
        "corrected for the number of comparisons. Methods with one value per patch are at a disadvantage where single pixels are "
        "removed, in deletion and insertion.",
        "",
    ]


def section(setting, found):
    """The table of a network, and what it says of AttnLRP."""
    names = [name for name, (networks, _, _) in METRICS.items() if setting.name in networks]
    cells, beaten = {method: [] for method in found}, []
    for name in names:
        sign = 1 if METRICS[name][1] else -1
        values = {method: sign * np.array(results["metrics"][name]) for method, results in found.items()}
        best = max(values, key=lambda method: values[method].mean())
        control = max((method for method in values if method.startswith("random")), key=lambda method: values[method].mean())
        for method, each in values.items():
            cells[method].append(cell(sign, each, behind(each, values[best]), behind(values[control], each)))
        beaten.append(verdict(name, values, best))
    wins = sum("the best" in each for each in beaten)
    rows = [(method, *cells[method], f"{results['passes']:.0f}") for method, results in found.items()]
    arrows = [f"{name} {'↑' if METRICS[name][1] else '↓'}" for name in names]
    kind = "sentences of 24 words" if setting.name == "text" else "images"
    return [
        f"## {TITLES[setting.name]}",
        "",
        f"{DESCRIPTIONS[setting.name]} Test accuracy {setting.accuracy:.3f}; {len(setting.x)} test {kind} are explained.",
        "",
        report.table(["method", *arrows, "passes"], rows),
        "",
        f"`AttnLRP` {'wins' if wins == len(beaten) else 'does not win'} here: it has the best mean in {wins} of {len(beaten)} columns. "
        f"The better of its two settings in each: {'; '.join(beaten)}.",
        "",
    ]


DESCRIPTIONS = {
    "text": "Two pre-norm transformer blocks of width 64 on the 24 first words, mean of the tokens; trained on 9,662 sentences. "
    "Without convolutions, `EpsilonPlus` and `CPLRP` are the same.",
    "image": "Three pre-norm transformer blocks of width 64 on 64 patches, mean of the tokens; trained on 10,000 images.",
}


def behind(values, others):
    """Whether values are less than others, by the interval of the paired difference."""
    return intervals.difference(np.asarray(values), np.asarray(others), paired=True).high < 0


def cell(sign, values, is_behind, is_informed):
    """A mean with its interval, in the unit of the metric."""
    mean, half = runs.interval(values)
    text = f"{sign * mean:.3f} ± {half:.3f}"
    return (text if is_behind else f"**{text}**") + ("" if is_informed else " †")


def verdict(name, values, best):
    """What a metric says of AttnLRP against the best method and the gradient."""
    own = max((method for method in values if "AttnLRP" in method), key=lambda method: values[method].mean())
    place = "the best" if own == best else f"{'behind' if behind(values[own], values[best]) else 'level with'} {best}"
    gradient = values["Saliency"]
    worse = "worse than" if behind(values[own], gradient) else "level with"
    against = "better than" if behind(gradient, values[own]) else worse
    return f"{name}: {place}, {against} Saliency"


if __name__ == "__main__":
    main()
