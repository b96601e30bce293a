"""A step of pretraining against its matrix products, and an epoch against scikit-learn's BernoulliRBM, in turn in one process, float32.

    python benchmarks/rbm_speed.py --output docs/benchmarks/rbm_speed.md    # four minutes on two cores

The data are MNIST images, read from `mnist.npz` in the folder that the environment variable KERAS_XAI_DATA names, else as Keras
downloads them. Times are of the epochs after the first, which compiles; the ratio is the median of those of each turn. A step's
products are v0 W, h0 W^T, v1 W, v0^T h0 and v1^T h1 in a compiled loop; its time is that of all cores, because a bound of the work is
compared, and a step is the trainer's compiled `train_step` in a loop, without reading data.
"""

import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import numpy as np
import report
import tensorflow as tf
from rbm_runs import mnist
from sklearn.neural_network import BernoulliRBM

from keras_xai.backend import FusedSGD
from keras_xai.graph.trace import trace
from keras_xai.layers import RBMDense
from keras_xai.pretraining import ContrastiveDivergence, PersistentContrastiveDivergence, ReconstructionError, Rule, pretrain
from keras_xai.pretraining.plan import plan
from keras_xai.pretraining.trainer import RBMTrainer

NUM_IMAGES = 20_000
FEATURES = 784
SETTINGS = ((800, 128), (256, 10))  # units, batch size
STEPS = ((800, 10), (800, 128), (800, 1024), (256, 10), (256, 128), (256, 1024))
WORK = 20e9  # multiplications and additions of the products in one measurement of steps
RULES = {
    "contrastive divergence": ContrastiveDivergence(),
    "contrastive divergence, sampled": ContrastiveDivergence(sampling=True),
    "persistent": PersistentContrastiveDivergence(),
    "reconstruction error": ReconstructionError(),
}


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def on_train_begin(self, logs=None):
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self._start)


def products(units: int, batch_size: int) -> tf.types.experimental.PolymorphicFunction:
    """A compiled loop over the five products of a step; each turn needs the one before, so that none is left out."""
    kernel = keras.initializers.Orthogonal(seed=0)((FEATURES, units))
    x = tf.random.normal((batch_size, FEATURES))

    def body(step, visible, start, end):
        hidden = visible @ kernel
        again = tf.matmul(hidden, kernel, transpose_b=True)
        start, end = (tf.matmul(v, h, transpose_a=True) for v, h in ((visible, hidden), (again, again @ kernel)))
        return step + 1, again, start, end

    @tf.function
    def run(count):
        none = tf.zeros((FEATURES, units))
        return tf.while_loop(lambda step, *_: step < count, body, [0, x, none, none], parallel_iterations=1)

    return run


def steps(units: int, batch_size: int, rule: Rule) -> tf.types.experimental.PolymorphicFunction:
    """A compiled loop over the steps of a rule."""
    model = keras.Sequential([keras.Input((FEATURES,)), RBMDense(units, "sigmoid")])
    trainer = RBMTrainer(plan(trace(model), rule, 1)[0], batch_size, 0)
    trainer.compile(FusedSGD(rule.learning_rate, momentum=0.5))
    trainer.layer.visible_bias.trainable = True
    trainer.optimizer.build(trainer.trainable_variables)
    x = tf.random.uniform((batch_size, FEATURES))

    @tf.function
    def run(count):
        for _ in tf.range(count):
            trainer.train_step((x,))

    return run


def steps_table(turns: int) -> list[str]:
    """The lines about single steps."""
    lines = [
        "A step, with momentum: CPU milliseconds of its five products, and how many times as much a step takes. The aim is 1.25. "
        "A step with sampled hidden units has another product, for the reconstruction error, and that of the persistent chains two.",
        "",
        *report.head("units", "batch", "products", *RULES),
    ]
    for units, batch_size in STEPS:
        count = tf.constant(round(max(2, WORK / (10 * units * batch_size * FEATURES))))
        loops = {"products": products(units, batch_size)} | {
            name: steps(units, batch_size, rule) for name, rule in RULES.items()
        }
        for loop in loops.values():
            loop(count)
        cpu = {name: [] for name in loops}
        for _ in range(turns):
            for name, loop in loops.items():
                cpu[name].append(report.clocked(loop, count)[1] / int(count))
        bound = np.array(cpu.pop("products"))
        cells = [f"{np.median(seconds / bound):.2f}" for seconds in cpu.values()]
        lines.append(report.row(units, batch_size, f"{1e3 * np.median(bound):.2f}", *cells))
        print(lines[-1], flush=True)
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Measures, and shows the table."""
    options = report.parser(__doc__, turns=3).parse_args(arguments)
    x = mnist()["train"][0][:NUM_IMAGES]
    lines = [
        "# Pretraining: speed",
        "",
        *steps_table(2 * options.turns + 1),
        "",
        f"One epoch of {NUM_IMAGES:,} MNIST images, 784 visible units, float32: seconds, and how many times faster than scikit-learn's "
        f"`BernoulliRBM` (persistent contrastive divergence) in the same run.",
        "",
        *report.head("units", "batch", "scikit-learn", *RULES),
    ]
    for units, batch_size in SETTINGS:
        theirs, ours = [], {name: [] for name in RULES}
        for _ in range(options.turns):
            theirs.append(report.clocked(BernoulliRBM(units, batch_size=batch_size, n_iter=1, random_state=0).fit, x)[0])
            for name, rule in RULES.items():
                model = keras.Sequential([keras.Input((784,)), RBMDense(units, "sigmoid")])
                clock = Clock()
                pretrain(model, x, rule, epochs=3, batch_size=batch_size, callbacks=clock, verbose=0)
                ours[name].append(min(clock.seconds[1:]))
            print(units, batch_size, theirs[-1], {name: seconds[-1] for name, seconds in ours.items()}, flush=True)
        cells = [
            f"{statistics.median(seconds):.2f} ({statistics.median(a / b for a, b in zip(theirs, seconds, strict=True)):.1f})"
            for seconds in ours.values()
        ]
        lines.append(report.row(units, batch_size, f"{statistics.median(theirs):.2f}", *cells))
    text = report.page(lines, "python benchmarks/rbm_speed.py")
    report.publish(text, options.output)


if __name__ == "__main__":
    main()
