"""Seconds that `keras_xai.explain` takes, beside the seconds that it may take.

    python benchmarks/explain_time.py

Wall-clock times of one process, so the machine should have nothing else to do.
"""

import argparse
import time

import keras
import numpy as np
from keras import layers

import keras_xai


def network():
    """A network of images that takes some milliseconds for each."""
    maps = [layer for size in (32, 64, 64) for layer in (layers.Conv2D(size, 3, activation="relu"), layers.MaxPooling2D())]
    return keras.Sequential([keras.Input((128, 128, 3)), *maps, layers.GlobalAveragePooling2D(), layers.Dense(5, "softmax")])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, nargs="+", default=[2, 4, 8, 16, 60], help="the limits (default: %(default)s)"
    )
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).random((4, 128, 128, 3)).astype("float32")
    explain = keras_xai.explain  # loads its package
    print("| limit, s | taken, s | methods | left out |\n|---|---|---|---|")
    for seconds in options.seconds:
        start = time.perf_counter()
        report = explain(network(), x, seconds=seconds, verbose=0)
        taken = time.perf_counter() - start
        print(f"| {seconds:g} | {taken:.1f} | {', '.join(report.reasons) or '-'} | {', '.join(report.left_out) or '-'} |")


if __name__ == "__main__":
    main()
