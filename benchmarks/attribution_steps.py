"""How many gradients integrated gradients take to add up, by which rule, on a real network.

    KERAS_XAI_DATA=... python benchmarks/attribution_steps.py --output docs/benchmarks/attribution_steps.md    # two minutes on two cores

SqueezeNet 1.1 and six photographs; the convergence delta is relative to the score difference from the baseline, zero.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import numpy as np
import photos
import report
import tensorflow as tf

from keras_xai.attribution import IntegratedGradients

NUM_IMAGES = 6
STEPS = (32, 128)
TOLERANCE = 1e-3


def main(arguments: list[str] | None = None) -> None:
    """Measures, and shows the table."""
    options = report.parser(__doc__).parse_args(arguments)
    model = photos.squeezenet()
    images, labels = photos.photographs()
    x, target = photos.prepared(images[:NUM_IMAGES]), labels[:NUM_IMAGES]
    lines = [
        "# Integrated gradients: steps and convergence delta",
        "",
        f"Convergence delta relative to the score difference, SqueezeNet 1.1 and {NUM_IMAGES} photographs.",
        "",
        *report.head("rule", "gradients", "least", "median", "largest"),
    ]

    def add(name, gradients, deltas):
        numbers = [f"{number:.2%}" for number in (deltas.min(), np.median(deltas), deltas.max())]
        lines.append(report.row(name, f"{gradients:.0f}", *numbers))
        print(lines[-1], flush=True)

    slope, difference = along_the_path(model, x, target)
    for steps in STEPS:
        for name, places, weights in equal_steps(steps):
            found = sum(weight * slope(place) for place, weight in zip(places, weights, strict=True))
            add(name, len(places), np.abs(found / difference - 1))
        add("Gauss and Legendre", steps, part(IntegratedGradients(model, steps=steps)(x, target)))
    explanation = IntegratedGradients(model, tolerance=TOLERANCE)(x, target)
    add(f"tolerance={TOLERANCE:g}", (explanation.num_forward_passes - 2) / 2, part(explanation))
    text = report.page(lines, "python benchmarks/attribution_steps.py")
    report.publish(text, options.output)


def equal_steps(steps):
    """The rules of equal steps: name, places and weights."""
    yield "middles of equal steps", (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)
    ends = np.full(steps + 1, 1 / steps)
    ends[[0, -1]] /= 2
    yield "trapezoidal", np.arange(steps + 1) / steps, ends


def along_the_path(model, x, target):
    """The derivative of each score along the path from zero, as a function of the position on it, and the score difference."""
    scores = keras.Model(model.inputs, model.layers[-1].input)
    point = tf.constant(x)

    @tf.function
    def slope(place):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            here = place * point
            tape.watch(here)
            score = tf.gather(scores(here, training=False), target, batch_dims=1)
        return score, tf.reduce_sum(tape.gradient(score, here) * point, axis=(1, 2, 3))

    first, last = (slope(tf.constant(end))[0].numpy() for end in (0.0, 1.0))
    return (lambda place: slope(tf.constant(place, tf.float32))[1].numpy()), last - first


def part(explanation):
    """The convergence delta relative to the score difference."""
    difference = explanation.values.sum(axis=(1, 2, 3)) + explanation.convergence_delta
    return np.abs(explanation.convergence_delta / difference)


if __name__ == "__main__":
    main()
