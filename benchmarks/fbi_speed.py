"""A training step with the FBI penalty against a plain one: same network, optimizer and data, in turn in one process.

    python benchmarks/fbi_speed.py --output docs/benchmarks/fbi_speed.md    # five minutes on two cores

Batches of 128 images of 28 x 28 made of random numbers. Each time is that of an epoch of `fit()`, divided by its steps; each ratio is
the median of those of each turn. Memory is by how much the resident size of a process of its own grows at most while it compiles and
trains one epoch, as Linux reports it. The C library is told to keep memory that has been freed.
"""

import argparse
import functools
import os
import pathlib
import statistics
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import numpy as np
import report
from keras import layers

from keras_xai.models import FBIModel

# The C library may hand large blocks of memory back to the system and ask for them again at every step, or not, as chance has it. A
# penalized step is then twice as slow in some processes and not in others, so that nothing could be compared.
KEPT = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000"}
BATCH_SIZE = 128
STEPS = 20


def convolution(filters):
    """3 x 3, rectified."""
    return layers.Conv2D(filters, 3, padding="same", activation="relu")


def small():
    """Two convolutions, each pooled, and a dense layer."""
    hidden = [convolution(16), layers.MaxPooling2D(2), convolution(32), layers.MaxPooling2D(2)]
    return [*hidden, layers.Flatten(), layers.Dense(64, "relu"), layers.Dense(10, "softmax")]


def paper():
    """Five convolutions of the filters of `fbi_mnist.py`, three of them pooled."""
    first = [convolution(16), layers.MaxPooling2D(2), convolution(16), layers.MaxPooling2D(2)]
    hidden = [*first, convolution(32), convolution(32), convolution(64), layers.MaxPooling2D(2)]
    return [*hidden, layers.Flatten(), layers.Dense(128, "relu"), layers.Dense(10, "softmax")]


def perceptron():
    """Two dense layers of 512."""
    return [layers.Flatten(), layers.Dense(512, "relu"), layers.Dense(512, "relu"), layers.Dense(10, "softmax")]


NETWORKS = {"small CNN": small, "CNN of five convolutions": paper, "perceptron": perceptron}
ARMS = {"plain": None, "before the latch": "z", "z": "z", "zplus": "zplus"}


def training(network: str, arm: str):
    """What to call `fit()` of."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((28, 28, 1)), *NETWORKS[network]()])
    if ARMS[arm] is not None:
        model = FBIModel(model, rule=ARMS[arm])
    model.compile("sgd", "sparse_categorical_crossentropy")
    if arm == "before the latch":
        model.switch(False)
    return model


def main(arguments: list[str] | None = None) -> None:
    """Measures, and shows the table."""
    parser = report.parser(__doc__, turns=21)
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.memory_of:
        print(peak_memory(*options.memory_of))
        return
    lines = [
        "# The FBI loss: speed and memory",
        "",
        f"Time of a training step on {BATCH_SIZE} images of 28 x 28, as a multiple of the same step of the plain model in the same run, "
        "and peak memory growth of a process while it compiles and trains an epoch, as the same multiple. The C library is set to keep "
        "freed memory. With its default, penalized steps of the CNN of five convolutions took 2.0 to 3.8 plain steps in several runs, "
        "depending on how often memory was returned and requested again.",
        "",
        *report.head("network", "plain step, ms", "before the latch", "z", "zplus", "plain memory, MiB", "z", "zplus"),
    ]
    for network in NETWORKS:
        plain, ratios = timed(network, options.turns)
        used = {arm: statistics.median(memory_in_a_process(network, arm) for _ in range(3)) for arm in ("plain", "z", "zplus")}
        cells = [network, f"{plain:.1f}", *(f"{ratios[arm]:.2f}" for arm in list(ARMS)[1:])]
        cells += [f"{used['plain']:.0f}", *(f"{used[arm] / used['plain']:.2f}" for arm in ("z", "zplus"))]
        lines.append(report.row(*cells))
        print(lines[-1], flush=True)
    text = report.page(lines, "python benchmarks/fbi_speed.py")
    report.publish(text, options.output)


def data(steps):
    """Random images and labels."""
    random = np.random.default_rng(0)
    return random.uniform(size=(steps * BATCH_SIZE, 28, 28, 1)).astype("float32"), random.integers(10, size=steps * BATCH_SIZE)


def timed(network, turns):
    """Milliseconds of a plain step, and what the others take in its stead."""
    x, y = data(STEPS)
    epochs = {
        arm: functools.partial(training(network, arm).fit, x, y, batch_size=BATCH_SIZE, verbose=0, shuffle=False)
        for arm in ARMS
    }
    seconds = report.in_turn(epochs, turns)
    ratios = {arm: np.median(seconds[arm] / seconds["plain"]) for arm in ARMS}
    return 1e3 * np.median(seconds["plain"]) / STEPS, ratios


def memory_in_a_process(network, arm):
    """MiB."""
    command = [sys.executable, __file__, "--memory-of", network, arm]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def peak_memory(network, arm):
    """By how many MiB the resident size of this process grows at most while it compiles and trains."""
    x, y = data(STEPS)
    # What TensorFlow keeps from its first training is not the network's.
    warm_up = training("perceptron", "plain")
    warm_up.fit(x[:2], y[:2], verbose=0)
    model = training(network, arm)
    before = resident("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts anew
    model.fit(x, y, batch_size=BATCH_SIZE, verbose=0)
    return resident("VmHWM") - before


def resident(name):
    """A resident size of this process, in MiB, as Linux reports it."""
    return int(pathlib.Path("/proc/self/status").read_text(encoding="utf-8").split(f"{name}:")[1].split()[0]) / 1024


if __name__ == "__main__":
    if not set(KEPT) <= set(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.argv], KEPT | os.environ)
    main()
