"""A convolutional network as a classifier of its regions: time, memory, exactness, and how many samples share a region.

    python benchmarks/openbox_classifier.py --output docs/benchmarks/openbox_classifier.md    # ten minutes on two cores
    python benchmarks/openbox_classifier.py --quick                                           # two minutes

The network is that of the Keras example "Simple MNIST convnet", trained on MNIST, which is read from `mnist.npz` in the
folder that the environment variable KERAS_XAI_DATA names, else as Keras downloads it. Each measurement is a process of its own,
so that peaks of memory do not add up, and its result is kept in `--folder`: a run that was interrupted goes on where it was.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import numpy as np
import report
import tensorflow as tf
from keras import layers
from mnist import mnist_arrays

from keras_xai.openbox import OpenBox, RegionClassifier

MIB = 2**20
BATCH_SIZE = 128
COUNTS = (1_000, 5_000, 20_000, 60_000)
QUICK_COUNTS = (500, 1_000, 2_000)


def main(arguments: list[str] | None = None) -> None:
    """Runs what is not there yet, or, as a subprocess of itself, one measurement."""
    options = parse(arguments)
    folder = options.folder / ("quick" if options.quick else "full")
    if options.measure:
        result = MEASUREMENTS[options.measure[0]](folder, *map(int, options.measure[1:]))
        (folder / f"{'_'.join(options.measure)}.json").write_text(json.dumps(result), encoding="utf-8")
        return
    folder.mkdir(parents=True, exist_ok=True)
    counts = QUICK_COUNTS if options.quick else COUNTS
    tasks = [("train", str(counts[-1])), *(("convert", str(n)) for n in counts), ("predict", str(counts[-1])), ("cosine",)]
    bar = keras.utils.Progbar(len(tasks), unit_name="process")
    results = {}
    for done, task in enumerate(tasks, 1):
        path = folder / f"{'_'.join(task)}.json"
        if not path.exists():
            quick = ["--quick"] if options.quick else []
            command = [sys.executable, __file__, *quick, "--folder", str(options.folder), "--measure", *task]
            subprocess.run(command, check=True)
        results[path.stem] = json.loads(path.read_text(encoding="utf-8"))
        bar.update(done)
    text = fragment(results, counts, options)
    report.publish(text, options.output)


def parse(arguments):
    """The options of the command line."""
    parser = report.parser(
        __doc__, output="Markdown file to write the tables to", quick="few images, two minutes on two cores"
    )
    folder = pathlib.Path(tempfile.gettempdir()) / "keras_xai_openbox_classifier"
    parser.add_argument("--folder", type=pathlib.Path, default=folder, help="where results are kept; delete it to start anew")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def train(folder: pathlib.Path, num_samples: int) -> dict:
    """Trains the network and writes it, and the images in float32, where the other processes find them."""
    keras.utils.set_random_seed(0)
    x_train, y_train, x_test, y_test = mnist()
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train[:num_samples], y_train[:num_samples], batch_size=128, epochs=2, verbose=2)
    model.save(folder / "model.keras")
    np.save(folder / "x_train.npy", x_train)
    np.save(folder / "x_test.npy", x_test)
    np.save(folder / "y_test.npy", y_test)
    return {"accuracy": float(model.evaluate(x_test, y_test, verbose=0)[1])}


def mnist():
    """`(x_train, y_train, x_test, y_test)`, images `(n, 28, 28, 1)` in float32 from 0 to 1."""
    x_train, y_train, x_test, y_test = mnist_arrays()
    return *(scaled(x_train), y_train), *(scaled(x_test), y_test)


def scaled(images):
    """Gray levels from 0 to 1."""
    return (images[..., np.newaxis] / 255).astype("float32")


def convert(folder: pathlib.Path, num_samples: int) -> dict:
    """Times one call of `convert`, and by how much it raises the peak of this process."""
    box = OpenBox(keras.models.load_model(folder / "model.keras"), batch_size=BATCH_SIZE)
    x = np.load(folder / "x_train.npy")[:num_samples]
    report.compile_by(lambda: box.convert(x[:BATCH_SIZE], verbose=0).predict(x[:BATCH_SIZE]))
    before, start, start_cpu = report.peak_memory(), time.perf_counter(), time.process_time()
    classifier = box.convert(x, verbose=0)
    seconds, cpu_seconds, peak = time.perf_counter() - start, time.process_time() - start_cpu, report.peak_memory() - before
    path = folder / f"regions_{num_samples}.npz"
    start = time.perf_counter()
    classifier.save(path)
    saved = time.perf_counter() - start
    start = time.perf_counter()
    RegionClassifier.load(path, box, verbose=0)
    loaded = time.perf_counter() - start
    counts = np.bincount(classifier.apply(x))
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak": peak,
        "patterns": classifier.regions_.num_bytes / MIB,
        "regions": len(classifier.regions_),
        "pairs": int((counts * (counts - 1) // 2).sum()),
        "file": path.stat().st_size / MIB,
        "save": saved,
        "load": loaded,
    }


def predict(folder: pathlib.Path, num_samples: int) -> dict:
    """Times predictions for images that the classifier has not met, and holds them against the model's own."""
    model = keras.models.load_model(folder / "model.keras")
    x, y = np.load(folder / "x_test.npy"), np.load(folder / "y_test.npy")
    x, y = x[:num_samples], y[:num_samples]
    expected = model.predict(x, verbose=0)
    results = {"images": len(x)}
    for dtype in ("float32", "float64"):
        box = OpenBox(model, dtype=dtype, batch_size=BATCH_SIZE)
        classifier = RegionClassifier.load(folder / f"regions_{num_samples}.npz", box, verbose=0)
        known = len(classifier.regions_)
        report.compile_by(classifier.predict_proba, x[:BATCH_SIZE])
        seconds, found = [], None
        # Twice: first the regions are new, then they are known, and either way their pieces have to be found.
        for _ in range(2):
            start = time.perf_counter()
            found = classifier.predict_proba(x)
            seconds.append(time.perf_counter() - start)
        results[dtype] = {
            "seconds": seconds[0],
            "again": seconds[1],
            "difference": float(np.abs(found - expected).max()),
            "labels": int((found.argmax(axis=1) != expected.argmax(axis=1)).sum()),
            "new": len(classifier.regions_) - known,
            "accuracy": float((found.argmax(axis=1) == y).mean()),
        }
    return results


def cosine(folder: pathlib.Path) -> dict:
    """The cosines of the coefficients of samples of one region, and of samples of two, on networks where regions are shared."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    results = {}
    for name, units in (("64-8-10", (8,)), ("64-12-8-10", (12, 8))):
        keras.utils.set_random_seed(0)
        hidden = [layers.Dense(count, "relu") for count in units]
        model = keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10, "softmax")])
        model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x / 16, y, epochs=20, verbose=0)
        box = OpenBox(model, dtype="float64", batch_size=BATCH_SIZE)
        numbers = box.convert(x / 16, verbose=0).apply(x / 16)
        coef = box(x / 16, verbose=0).coef.reshape(len(x), -1)  # each sample's own, from its own gradients
        coef /= np.linalg.norm(coef, axis=1, keepdims=True)
        gap = 1 - coef @ coef.T
        same = numbers[:, np.newaxis] == numbers
        upper = np.triu(np.ones_like(same), 1)
        results[name] = {
            "accuracy": float(model.evaluate(x / 16, y, verbose=0)[1]),
            "regions": len(set(numbers.tolist())),
            "pairs": int((same & upper).sum()),
            "largest": float(gap[same & upper].max()),
            "within": float((gap[same & upper] <= 1e-12).mean()),
            "others": float(gap[~same].min()),
        }
    return results


MEASUREMENTS = {"train": train, "convert": convert, "predict": predict, "cosine": cosine}


def fragment(results: dict, counts: tuple[int, ...], options: argparse.Namespace) -> str:
    """The Markdown that the documentation includes."""
    converted = [results[f"convert_{n}"] for n in counts]
    predicted = results[f"predict_{counts[-1]}"]
    accuracy = results[f"train_{counts[-1]}"]["accuracy"]
    rows = [
        (
            f"{n:,}",
            f"{each['seconds']:.1f}",
            f"{each['seconds'] / n * 1e3:.2f}",
            f"{each['cpu_seconds'] / n * 1e3:.2f}",
            f"{each['regions']:,}",
            f"{each['pairs']:,}",
            f"{each['peak']:.0f}",
            f"{each['patterns']:.1f}",
            f"{each['file']:.1f}",
            f"{each['save']:.2f}",
            f"{each['load']:.2f}",
        )
        for n, each in zip(counts, converted, strict=True)
    ]
    header = (
        "images",
        "seconds",
        "ms an image",
        "ms of CPU time",
        "regions",
        "pairs of images in one",
        "peak, MiB",
        "of which patterns, MiB",
    )
    header = (*header, "file, MiB", "save, s", "load, s")
    dtypes = ("float32", "float64")
    lines = [
        (
            dtype,
            f"{predicted[dtype]['difference']:.1e}",
            str(predicted[dtype]["labels"]),
            f"{predicted[dtype]['accuracy']:.4f}",
            f"{predicted[dtype]['new']:,}",
            f"{predicted[dtype]['seconds']:.1f}",
            f"{predicted[dtype]['again']:.1f}",
        )
        for dtype in dtypes
    ]
    predictions = ("box", "largest difference", "other labels", "accuracy", "new regions", "first time, s", "again, s")
    cosines = [
        (
            name,
            f"{each['accuracy']:.3f}",
            str(each["regions"]),
            f"{each['pairs']:,}",
            f"{100 * each['within']:.2f} %",
            f"{each['largest']:.1e}",
            f"{each['others']:.1e}",
        )
        for name, each in results["cosine"].items()
    ]
    names = ("network", "accuracy", "regions", "pairs in one region", "within 1e-12 of 1", "largest 1 - cosine")
    return f"""# Regions as a classifier

Made by `{report.command_line("openbox_classifier", options)}` on {os.cpu_count()} CPU cores ({platform.machine()}), which others
used as well, with TensorFlow {tf.__version__}, Keras {keras.__version__}, NumPy {np.__version__}.

The network is that of the Keras example "Simple MNIST convnet" (34,826 weights), trained on MNIST; test accuracy {accuracy:.4f}.
Images are not dequantized, with gray levels from 0 to 1. The table shows one call of `box.convert(x)` with batches of {BATCH_SIZE},
compiled before, in float32. CPU time is the sum over all cores, and less affected by other load on the machine. The peak is the
increase of the peak resident size of a fresh process that already holds the images.

{report.table(header, rows)}

{read_conversions(counts, converted)}

`predict_proba` of {predicted["images"]:,} test images by the classifier of {counts[-1]:,} training images, against `model.predict`,
which computes in float32. Goal: a difference of 1e-5 at most.

{report.table(predictions, lines)}

Cosines of the coefficients (all classes together) of two samples of scikit-learn's digits, in float64, each sample's computed from
its own gradients. The networks are small, because samples have to share regions. Goal: 1 - cosine at most 1e-12 for all pairs of
one region. The last column is the control: the smallest 1 - cosine of two samples of different regions.

{report.table((*names, "least between regions"), cosines)}
"""


def read_conversions(counts: tuple[int, ...], converted: list[dict]) -> str:
    """Whether time and memory grow as they should, in words."""
    each = [result["cpu_seconds"] / n * 1e3 for n, result in zip(counts, converted, strict=True)]
    rest = [result["peak"] - result["patterns"] for result in converted]
    lines = [
        f"From {counts[0]:,} to {counts[-1]:,} images the CPU time for one goes from {each[0]:.2f} to {each[-1]:.2f} ms. Memory",
        f"beyond the packed patterns goes from {rest[0]:.0f} to {rest[-1]:.0f} MiB: ids of regions, and memory of the allocator. For",
        f"comparison, the images in float64 would be {counts[-1] * 784 * 8 / MIB:.0f} MiB, and all coefficients in float32 "
        f"{counts[-1] * 7840 * 4 / MIB:,.0f} MiB.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
