"""What a diagnosis takes: seconds by stage, and memory.

    KERAS_XAI_DATA=... python benchmarks/diagnosis_speed.py --output docs/benchmarks/diagnosis_speed.md    # two minutes on two cores

SqueezeNet 1.1 with its ImageNet weights, 227 x 227, and test images of CIFAR-10.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import photos
import report
import transfer

from keras_xai.diagnosis import diagnose

LAYERS = ("pool1", "pool3", "pool5", "fire7_concat", "fire9_concat")


def main(arguments: list[str] | None = None) -> None:
    """Measures, and shows the tables."""
    options = report.parser(__doc__, output="Markdown file to write the tables to").parse_args(arguments)
    model = photos.squeezenet()
    _, _, x, y = transfer.cifar10()
    x = transfer.scaled("SqueezeNet", x.astype("float32"))

    before = report.peak_memory() / 1024
    start = time.perf_counter()
    diagnosis = diagnose(model, x, y, LAYERS, verbose=2)
    whole = time.perf_counter() - start
    protocol = diagnosis.protocol
    stages = {
        "resizing and one forward pass": diagnosis.seconds["activations"],
        f"t-SNE, {protocol.repeats} times for each layer": diagnosis.seconds["t-SNE"],
        "distances, principal components, hits, trustworthiness, probes": diagnosis.seconds["measures"],
        "all": whole,
    }
    lines = [
        "# Layer diagnosis: cost",
        "",
        f"`diagnose` with the default protocol on {len(diagnosis.labels):,} images of CIFAR-10, resized to 227 x 227, {len(LAYERS)} "
        f"layers of SqueezeNet. The peak memory of the process was {before:.2f} GiB before and {report.peak_memory() / 1024:.2f} GiB "
        "after the call.",
        "",
        *report.head("stage", "seconds"),
        *(report.row(stage, f"{seconds:.1f}") for stage, seconds in stages.items()),
        "",
    ]
    print("\n".join(lines), flush=True)
    report.publish(report.page(lines, "python benchmarks/diagnosis_speed.py"), options.output)


if __name__ == "__main__":
    main()
