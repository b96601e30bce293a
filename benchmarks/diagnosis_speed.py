"""What a diagnosis takes: seconds by stage, and memory.

    KERAS_XAI_DATA=... python benchmarks/diagnosis_speed.py --output docs/benchmarks/diagnosis_speed.md    # two minutes on two cores

SqueezeNet 1.1 with its ImageNet weights, 227 x 227, and test images of CIFAR-10.
"""

import argparse
import os
import pathlib
import resource
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import photos
import transfer

from keras_xai.diagnosis import diagnose

LAYERS = ("pool1", "pool3", "pool5", "fire7_concat", "fire9_concat")


def main(arguments: list[str] | None = None) -> None:
    """Measures, and shows the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, help="Markdown file to write the tables to")
    options = parser.parse_args(arguments)
    model = photos.squeezenet()
    _, _, x, y = transfer.cifar10()
    x = transfer.scaled("SqueezeNet", x.astype("float32"))

    before = peak()
    start = time.perf_counter()
    report = diagnose(model, x, y, LAYERS, verbose=2)
    whole = time.perf_counter() - start
    protocol = report.protocol
    stages = {
        "resizing and one forward pass": report.seconds["activations"],
        f"t-SNE, {protocol.repeats} times for each layer": report.seconds["t-SNE"],
        "distances, principal components, hits, trustworthiness, probes": report.seconds["measures"],
        "all": whole,
    }
    lines = [
        "# Layer diagnosis: cost",
        "",
        f"`diagnose` with the default protocol on {len(report.labels):,} images of CIFAR-10, resized to 227 x 227, {len(LAYERS)} layers of "
        f"SqueezeNet. The process held {before:.2f} GiB at most before, and {peak():.2f} GiB at most after it.",
        "",
        "| stage | seconds |",
        "|---|---|",
        *(f"| {stage} | {seconds:.1f} |" for stage, seconds in stages.items()),
        "",
    ]
    text = "\n".join([*lines, "Made by `python benchmarks/diagnosis_speed.py`.", ""])
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


def peak():
    """The most memory that the process has held, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
