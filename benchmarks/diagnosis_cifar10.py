"""Whether the neighborhood hit orders networks as their accuracy does: SqueezeNet and MobileNet on CIFAR-10, after transfer.

    KERAS_XAI_DATA=... python benchmarks/diagnosis_cifar10.py --work DIR --output docs/benchmarks    # hours on two cores

Each network is looked at in four states: fine-tuned as a whole at two learning rates, with its ImageNet weights and a fitted head, and with
random weights and a fitted head, the control that the paper lacks. Finished networks and diagnoses are kept in DIR, so that a run that was
interrupted goes on; two processes, one for each `--network`, can share the work.
"""

import itertools
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import numpy as np
import photos
import report
import transfer

from keras_xai.diagnosis import Diagnosis, Protocol, compare_networks, diagnose
from keras_xai.features import reconstruct
from keras_xai.report import deconvnet_plot, depth_plot

LAYERS = {
    "SqueezeNet": ("pool1", "pool3", "pool5", "fire7_concat", "fire9_concat"),
    "MobileNet": ("conv_pw_1_relu", "conv_pw_3_relu", "conv_pw_5_relu", "conv_pw_11_relu", "conv_pw_12_relu"),
}
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SUBSAMPLES = 3
REPEATS = 5
DIFFERENT = 0.02  # twice the standard error of a difference of accuracies on 2,000 images, about, where most are the same
# Table 3 of the paper, and the accuracies in its text.
PAPER = {"AlexNet": ((0.21, 0.25, 0.29, 0.35, 0.45), 0.79), "VGG19": ((0.22, 0.24, 0.34, 0.42, 0.80), 0.91)}
MEASURES = {"neighborhood_hit": "t-SNE", "activation_hit": "activations", "probe_accuracy": "linear probe"}


def main(arguments: list[str] | None = None) -> None:
    """Diagnoses, and writes tables and pictures."""
    parser = report.parser(__doc__, output="folder to write the table and the pictures to")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for finished networks and diagnoses")
    parser.add_argument("--network", choices=transfer.NAMES, help="do the work for one network only, without tables")
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    found, accuracies = {}, {}
    for name, state in itertools.product([options.network] if options.network else transfer.NAMES, transfer.STATES):
        model, accuracies[name, state] = transfer.network(name, state, options.work)
        print(f"\n{name}, {state}: {accuracies[name, state]:.1%}", flush=True)
        found[name, state] = [diagnosed(model, name, state, subsample, options.work) for subsample in range(SUBSAMPLES)]
    if options.network:
        return
    lines = [*head(accuracies), *layers_table(found, accuracies), *pairs_table(found), *order_table(found, accuracies)]
    text = report.page(lines, "python benchmarks/diagnosis_cifar10.py")
    print(text)
    if options.output:
        (options.output / "diagnosis_cifar10.md").write_text(text, encoding="utf-8")
        draw(found, options)


def diagnosed(model, name, state, subsample, work):
    """The diagnosis of a network on one subsample of the test images, from a file if it is there."""
    path = work / f"{name}-{state}-{subsample}.npz"
    if not path.exists():
        _, _, x, y = transfer.cifar10()
        protocol = Protocol(seed=subsample, repeats=REPEATS)
        diagnose(model, transfer.scaled(name, x.astype("float32")), y, LAYERS[name], protocol=protocol, verbose=2).save(path)
    return Diagnosis.load(path)


def head(accuracies):
    """What was done."""
    lines = [
        "# Layer diagnosis: CIFAR-10",
        "",
        f"SqueezeNet 1.1 and MobileNet (1.0, up to `conv_pw_12`) with a linear head on CIFAR-10: 10,000 training images, {REPEATS} "
        f"random starts of t-SNE on each of {SUBSAMPLES} subsamples of 1,000 of 2,000 test images, k = 6, perplexity 30. Pretrained: "
        "the ImageNet weights and a head fitted by logistic regression. Fine-tuned: all weights of the pretrained network, trained for "
        "2 epochs by Adam at 1e-5, the learning rate of the paper, in batches of 16, with frozen batch normalizations. Fine-tuned "
        "fast: 3 epochs at 1e-4. Random: random weights and a fitted head.",
        "",
        *report.head("test accuracy", *transfer.STATES),
    ]
    lines += [report.row(name, *(f"{accuracies[name, state]:.3f}" for state in transfer.STATES)) for name in transfer.NAMES]
    paper = ", ".join(f"{name} {accuracy:.2f}" for name, (_, accuracy) in PAPER.items())
    return [*lines, "", f"In the paper, whose networks were fine-tuned on all 50,000 images: {paper}.", ""]


def layers_table(found, accuracies):
    """Each measure in each layer, with the half-width of its interval, and what seeds and subsamples do to it."""
    lines = [
        "## Layer by layer",
        "",
        "Neighborhood hits on the t-SNE maps and among the activations, and accuracies of linear probes: means over subsamples. ± is "
        "half of the 95 % confidence interval of one subsample (the mean of three).",
        "",
        *report.head("network", "measure", "1st", "2nd", "3rd", "4th", "5th", "accuracy"),
    ]
    for name, (hits, accuracy) in PAPER.items():
        lines.append(report.row(f"{name}, in the paper", "t-SNE", *(f"{hit:.2f}" for hit in hits), f"{accuracy:.2f}"))
    for (name, state), reports in found.items():
        for attribute, title in MEASURES.items():
            cells = []
            for path in LAYERS[name]:
                each = [getattr(diagnosis.layers[path], attribute) for diagnosis in reports]
                half = np.mean([interval.high - interval.mean for interval in each])
                cells.append(f"{np.mean([interval.mean for interval in each]):.2f} ± {half:.2f}")
            lines.append(report.row(f"{name}, {state}", title, *cells, f"{accuracies[name, state]:.3f}"))
    by_seed, by_subsample = [], []
    for (name, _), reports in found.items():
        for path in LAYERS[name]:
            hits = np.array([diagnosis.layers[path].map_influence.mean(axis=1) for diagnosis in reports])
            by_seed.append(hits.std(axis=1, ddof=1).mean())
            by_subsample.append(hits.mean(axis=1).std(ddof=1))
    lines += [
        "",
        f"The standard deviation of a layer's hit over starts of t-SNE is {np.mean(by_seed):.4f} on average and {np.max(by_seed):.4f} "
        f"at most. Over subsamples, which overlap by half, it is {np.mean(by_subsample):.4f} on average and {np.max(by_subsample):.4f} "
        "at most.",
        "",
    ]
    return lines


def pairs_table(found):
    """The two networks, layer by layer."""
    lines = [
        "## MobileNet against SqueezeNet",
        "",
        "Differences of neighborhood hits, MobileNet's minus SqueezeNet's, with 95 % confidence intervals (means over subsamples of the "
        "mean and the ends).",
        "",
        *report.head("state", "measure", "1st", "2nd", "3rd", "4th", "5th"),
    ]
    mapping = dict(zip(LAYERS["MobileNet"], LAYERS["SqueezeNet"], strict=True))
    for state in transfer.STATES:
        compared = [
            compare_networks(one, other, mapping)
            for one, other in zip(found["MobileNet", state], found["SqueezeNet", state], strict=True)
        ]
        for attribute, title in (("difference", "t-SNE"), ("activation_difference", "activations")):
            cells = []
            for place in range(len(mapping)):
                mean, low, high = np.mean([getattr(each.pairs[place], attribute) for each in compared], axis=0)
                cells.append(f"{mean:+.2f} ({low:+.2f} to {high:+.2f})")
            lines.append(report.row(state, title, *cells))
        if state == "fine-tuned":
            words = compared[0].summary
    return [*lines, "", f"Summary for the fine-tuned networks and the first subsample: {words}", ""]


def order_table(found, accuracies):
    """How many pairs of networks each measure puts in the order of their accuracies."""
    pairs = [(a, b) for a, b in itertools.combinations(found, 2) if abs(accuracies[a] - accuracies[b]) > DIFFERENT]
    trained = [(a, b) for a, b in pairs if "random" not in (a[1], b[1])]
    lines = [
        "## Do the measures rank networks as accuracy does?",
        "",
        "The number of pairs of networks that a measure in a layer ranks as the test accuracy does, among the pairs whose accuracies "
        f"differ by more than {DIFFERENT:.0%}, as a mean over subsamples. Chance is half of the pairs.",
        "",
        *report.head("pairs", "measure", "1st", "2nd", "3rd", "4th", "5th"),
    ]
    for name, some in (("one of them random", [pair for pair in pairs if pair not in trained]), ("both trained", trained)):
        for attribute, title in MEASURES.items():
            cells = [f"{ordered_rightly(found, accuracies, some, attribute, place):.1f}" for place in range(5)]
            lines.append(report.row(f"{name}, {len(some)}", title, *cells))
    return lines


def ordered_rightly(found, accuracies, pairs, attribute, place):
    """How many of the pairs a measure of a layer puts in the order of accuracies, in the mean over subsamples."""
    right = []
    for subsample in range(SUBSAMPLES):
        value = {
            key: getattr(reports[subsample].layers[LAYERS[key[0]][place]], attribute).mean for key, reports in found.items()
        }
        right.append(sum((value[a] - value[b]) * (accuracies[a] - accuracies[b]) > 0 for a, b in pairs))
    return np.mean(right)


def draw(found, options):
    """Maps, curves and Deconvnet sheets."""
    first = {key: reports[0] for key, reports in found.items()}
    mapping = dict(zip(LAYERS["SqueezeNet"], LAYERS["MobileNet"], strict=True))
    tuned = compare_networks(first["SqueezeNet", "fine-tuned"], first["MobileNet", "fine-tuned"], mapping)
    tuned.plot(class_names=CLASSES).savefig(options.output / "diagnosis_maps.png", dpi=90)
    curves = {f"{name}, {state}": first[name, state] for state in transfer.STATES for name in transfer.NAMES}
    depth_plot(curves).savefig(options.output / "diagnosis_depth.png", dpi=90)
    sheets(options.work).savefig(options.output / "diagnosis_sheets.jpg", dpi=90)  # a quarter of the size


def sheets(work):
    """What the strongest maps of two layers of the fine-tuned networks send back to a photograph, as in figure 3."""
    from sklearn.datasets import load_sample_image

    photograph = transfer.square(load_sample_image("china.jpg").astype("float32"))[None]
    columns = {}
    for name in transfer.NAMES:
        model, _ = transfer.network(name, "fine-tuned", work)
        image = transfer.resized(name, transfer.scaled(name, photograph))
        columns[name] = [reconstruct(model, image, layer=layer, top=16) for layer in (LAYERS[name][1], LAYERS[name][4])]
    return deconvnet_plot(columns, show=photos.shown, bgr={"SqueezeNet": True, "MobileNet": False})


if __name__ == "__main__":
    main()
