"""What the first explanations of one image cost, against an eager tape that does the same.

    python benchmarks/first_call.py --output docs/benchmarks/first_call.md    # ten minutes on two cores
    python benchmarks/first_call.py --quick                                  # MobileNetV2, each once

Each run is a process of its own, in which the network has been called once. There, a new method explains an image six times, or a
`tf.GradientTape` does: eagerly at first, then in a compiled function. Times are CPU seconds of all cores together.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import numpy as np
import report
import tensorflow as tf

from keras_xai import attribution

CALLS = 6
STEPS = 32
NETWORKS = ("ResNet50", "MobileNetV2")


def gradient(model):
    """The gradient of the highest score by the image."""

    def explain(x):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            score = tf.reduce_max(model(x, training=False), axis=1)
        return tape.gradient(score, x)

    return explain


def path(model):
    """The mean gradient at points between zero and the image, times the image."""
    of = gradient(model)

    def explain(x):
        return x * tf.reduce_mean(of(tf.reshape(tf.linspace(0.0, 1.0, STEPS), (-1, 1, 1, 1)) * x), axis=0)

    return explain


def last_maps(model):
    """Grad-CAM of the maps before the pooling."""
    inner = keras.Model(model.inputs, [model.layers[-3].output, model.output])

    def explain(x):
        with tf.GradientTape() as tape:
            maps, scores = inner(x, training=False)
            score = tf.reduce_max(scores, axis=1)
        weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
        return tf.image.resize(tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1, keepdims=True)), x.shape[1:3])

    return explain


# Each with the method, the tape that does the same, and the goal for their first calls.
METHODS: dict[str, tuple[Callable, Callable, float]] = {
    "saliency": (attribution.Saliency, gradient, 1.2),
    "Grad-CAM": (attribution.GradCAM, last_maps, 1.2),
    f"integrated gradients, {STEPS} steps": (
        lambda model, **options: attribution.IntegratedGradients(model, steps=STEPS, **options),
        path,
        1.2,
    ),
    "LRP / gradient": (attribution.LRP, gradient, 3.0),
}


def run(network: str, method: str, arm: str) -> list[float]:
    """The seconds of each call in this process."""
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, network)(weights=None)
    x = np.random.default_rng(0).normal(size=(1, 224, 224, 3)).astype("float32")
    model(x)
    make, tape, _ = METHODS[method]
    if arm == "ours":
        explain = make(model, verbose=0)
        return [report.clocked(explain, x)[1] for _ in range(CALLS)]
    explain = tape(model)
    if arm == "compiled":
        explain = tf.function(explain)
    return [report.clocked(lambda: explain(tf.constant(x)).numpy())[1] for _ in range(CALLS)]


def main(arguments: list[str] | None = None) -> None:
    """Measures, and shows the table."""
    parser = report.parser(__doc__, quick="MobileNetV2, each once", turns=3)
    parser.add_argument("--run", nargs=3, metavar=("NETWORK", "METHOD", "ARM"), help="one run, in this process")
    options = parser.parse_args(arguments)
    if options.run:
        print(json.dumps(run(*options.run)))
        return
    rows, turns = [], 1 if options.quick else options.turns
    for network in NETWORKS[1:] if options.quick else NETWORKS:
        for method, (*_, goal) in METHODS.items():
            seconds: dict[str, list] = {"ours": [], "eager": [], "compiled": []}
            for _ in range(turns):
                for arm, found in seconds.items():
                    output = subprocess.check_output([sys.executable, __file__, "--run", network, method, arm], text=True)
                    found.append(json.loads(output.splitlines()[-1]))
            ours, eager, compiled = (np.median(found, axis=0) for found in seconds.values())
            rows.append(
                (
                    network,
                    method,
                    *(f"{each:.2f}" for each in ours),
                    f"{eager[0]:.2f}, {np.median(eager[1:]):.2f}",
                    f"{compiled[0]:.2f}, {np.median(compiled[1:]):.2f}",
                    f"{ours[0] / eager[0]:.2f}",
                    f"{goal}",
                    f"{ours[-1] / np.median(compiled[1:]):.2f}",
                )
            )
            print(*rows[-1], flush=True)
    header = ["network", "method", *(f"call {i + 1}" for i in range(CALLS))]
    header += ["eager tape: first, later", "compiled tape: first, later", "first / eager", "goal", "last / compiled"]
    lines = [
        "# The first explanations of an image",
        "",
        "CPU seconds of each call of a new method on one image of 224 x 224, and of a plain `tf.GradientTape` that does the same, "
        f"eagerly and within `tf.function`; the median of {turns} runs, each in a process of its own. The first three calls "
        "of a program are eager ones, and the next one compiles it; a method that calls a program twice for an image compiles it sooner. "
        "The first call includes the comparison of the method's scores with the model's own.",
        "",
        report.table(header, rows, num_texts=2),
    ]
    report.publish(report.page(lines, f"{report.command_line('first_call', options)} --turns {turns}"), options.output)


if __name__ == "__main__":
    main()
