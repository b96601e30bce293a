"""What a diagnosis takes: seconds by stage, memory, and both engines of t-SNE on the same vectors.

    KERAS_XAI_DATA=... python benchmarks/diagnosis_speed.py --output docs/benchmarks/diagnosis_speed.md    # four minutes on two cores

SqueezeNet 1.1 with its ImageNet weights, 227 x 227, and test images of CIFAR-10.
"""

import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import numpy as np
import photos
import report
import transfer

from keras_xai.diagnosis import diagnose, neighborhood_hit
from keras_xai.features import TSNE, activations

LAYERS = ("pool1", "pool3", "pool5", "fire7_concat", "fire9_concat")
ENGINES = ("openTSNE", "scikit-learn")
SEEDS = 5


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
        f"layers of SqueezeNet. The process held {before:.2f} GiB at most before, and "
        f"{report.peak_memory() / 1024:.2f} GiB at most after it.",
        "",
        *report.head("stage", "seconds"),
        *(report.row(stage, f"{seconds:.1f}") for stage, seconds in stages.items()),
        "",
    ]
    print("\n".join(lines), flush=True)
    text = report.page([*lines, *engines_table(model, x, y)], "python benchmarks/diagnosis_speed.py")
    report.publish(text, options.output)


def engines_table(model, x, y):
    """Both engines in turn on the same vectors, from random starts."""
    from sklearn.decomposition import PCA

    lines = [
        f"Both engines of t-SNE on 50 principal components of the means of the maps of `fire9_concat`, 1,000 iterations, {SEEDS} random "
        "starts each, in turn. Seconds are those of the median run.",
        "",
        *report.head("points", "engine", "seconds", "ratio", "neighborhood hit, mean and standard deviation"),
    ]
    for count in (1000, 2000):
        large = transfer.resized("SqueezeNet", x[:count])
        maps = activations(model, large, ["fire9_concat"])["fire9_concat"]
        vectors = PCA(50, random_state=0).fit_transform(maps.mean(axis=(1, 2)))
        seconds = {engine: [] for engine in ENGINES}
        hits = {engine: [] for engine in ENGINES}
        for seed in range(SEEDS):
            for engine in ENGINES:
                start = time.perf_counter()
                points = TSNE(engine=engine, initialization="random").embed(vectors, seed).points
                seconds[engine].append(time.perf_counter() - start)
                hits[engine].append(neighborhood_hit(points, y[:count]))
        slow = statistics.median(seconds["scikit-learn"])
        for engine in ENGINES:
            median = statistics.median(seconds[engine])
            hit, spread = np.mean(hits[engine]), np.std(hits[engine], ddof=1)
            lines.append(report.row(f"{count:,}", engine, f"{median:.1f}", f"{median / slow:.2f}", f"{hit:.3f}, {spread:.3f}"))
            print(lines[-1], flush=True)
    return lines


if __name__ == "__main__":
    main()
