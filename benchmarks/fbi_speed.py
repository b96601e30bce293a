"""A training step with the FBI penalty against a plain one: same network, optimizer and data, in turn in one process.

    python benchmarks/fbi_speed.py --output docs/benchmarks/fbi_speed.md    # three minutes on two cores

Batches of 128 images of 28 x 28 made of random numbers. Each time is that of an epoch of `fit()`, divided by its steps; each ratio is
the median of those of each turn. Memory is the greatest resident size of a process of its own that trains one epoch, less that of one
that has loaded all and compiled nothing.
"""

import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import numpy as np
from keras import layers

from keras_xai.models import FBIModel

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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=7, help="how often each is timed (default: %(default)s)")
    parser.add_argument("--output", type=pathlib.Path, help="Markdown file to write the table to")
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.memory_of:
        print(peak_memory(*options.memory_of))
        return
    lines = [
        "# The FBI loss: speed and memory",
        "",
        f"A step of training on {BATCH_SIZE} images of 28 x 28, as a multiple of the same step of the plain model in the same run; and the "
        "greatest memory of a process that trains, beyond what it takes to load all, as a multiple likewise.",
        "",
        "| network | plain step, ms | before the latch | z | zplus | plain memory, MiB | z | zplus |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for network in NETWORKS:
        plain, ratios = timed(network, options.turns)
        memory = {arm: memory_in_a_process(network, arm) for arm in ("nothing", "plain", "z", "zplus")}
        used = {arm: memory[arm] - memory["nothing"] for arm in ("plain", "z", "zplus")}
        cells = [network, f"{plain:.1f}", *(f"{ratios[arm]:.2f}" for arm in list(ARMS)[1:])]
        cells += [f"{used['plain']:.0f}", *(f"{used[arm] / used['plain']:.2f}" for arm in ("z", "zplus"))]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    text = "\n".join([*lines, "", "Made by `python benchmarks/fbi_speed.py`.", ""])
    print(f"\n{text}")
    if options.output:
        options.output.write_text(text, encoding="utf-8")


def data(steps):
    """Random images and labels."""
    random = np.random.default_rng(0)
    return random.uniform(size=(steps * BATCH_SIZE, 28, 28, 1)).astype("float32"), random.integers(10, size=steps * BATCH_SIZE)


def timed(network, turns):
    """Milliseconds of a plain step, and what the others take in its stead."""
    x, y = data(STEPS)
    models = {arm: training(network, arm) for arm in ARMS}
    seconds = {arm: [] for arm in ARMS}
    for turn in range(turns + 1):
        for arm, model in models.items():
            start = time.perf_counter()
            model.fit(x, y, batch_size=BATCH_SIZE, verbose=0, shuffle=False)
            if turn:  # the first compiles
                seconds[arm].append((time.perf_counter() - start) / STEPS)
    ratios = {
        arm: statistics.median(mine / plain for mine, plain in zip(seconds[arm], seconds["plain"], strict=True))
        for arm in ARMS
    }
    return 1e3 * statistics.median(seconds["plain"]), ratios


def memory_in_a_process(network, arm):
    """MiB."""
    command = [sys.executable, __file__, "--memory-of", network, arm]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def peak_memory(network, arm):
    """Greatest resident size of this process, in MiB, after an epoch of training, or of nothing but its preparation."""
    x, y = data(STEPS)
    model = training(network, "plain" if arm == "nothing" else arm)
    if arm != "nothing":
        model.fit(x, y, batch_size=BATCH_SIZE, verbose=0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
