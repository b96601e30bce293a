"""A step of pretraining against its matrix products: the processor time of all cores, in turn in one process, float32.

    python benchmarks/rbm_step.py --output docs/benchmarks/rbm_step.md    # two minutes on two cores

A step is the trainer's compiled `train_step` in a loop, without reading data. The products are v0 W, h0 W^T, v1 W, v0^T h0 and v1^T h1
in a compiled loop. The ratio is the median of those of each turn.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import numpy as np
import report
import tensorflow as tf

from keras_xai.backend import FusedSGD
from keras_xai.graph.trace import trace
from keras_xai.layers import RBMDense
from keras_xai.pretraining import ContrastiveDivergence, PersistentContrastiveDivergence, ReconstructionError, Rule
from keras_xai.pretraining.plan import plan
from keras_xai.pretraining.trainer import RBMTrainer

FEATURES = 784
SETTINGS = ((800, 10), (800, 128), (800, 1024), (256, 10), (256, 128), (256, 1024))  # units, batch size
WORK = 20e9  # multiplications and additions of the products in one measurement
RULES = {
    "contrastive divergence": ContrastiveDivergence(),
    "contrastive divergence, sampled": ContrastiveDivergence(sampling=True),
    "persistent": PersistentContrastiveDivergence(),
    "reconstruction error": ReconstructionError(),
}


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


def main(arguments: list[str] | None = None) -> None:
    """Measures, and shows the table."""
    options = report.parser(__doc__, turns=7).parse_args(arguments)
    lines = [
        "# Pretraining: a step",
        "",
        f"A step with momentum, {FEATURES} visible units, float32: CPU milliseconds of its five matrix products, and how many times as "
        "much a step takes. The goal is 1.25. A step with sampled hidden units has one product more, for the reconstruction error, and one "
        "of the persistent chains has two more.",
        "",
        *report.head("units", "batch", "products (ms)", *RULES),
    ]
    for units, batch_size in SETTINGS:
        count = tf.constant(round(max(2, WORK / (10 * units * batch_size * FEATURES))))
        loops = {"products": products(units, batch_size)} | {
            name: steps(units, batch_size, rule) for name, rule in RULES.items()
        }
        for loop in loops.values():
            loop(count)  # compiles
        cpu = {name: [] for name in loops}
        for _ in range(options.turns):
            for name, loop in loops.items():
                cpu[name].append(report.clocked(loop, count)[1] / int(count))
        bound = np.array(cpu.pop("products"))
        cells = [f"{np.median(seconds / bound):.2f}" for seconds in cpu.values()]
        lines.append(report.row(units, batch_size, f"{1e3 * np.median(bound):.2f}", *cells))
        print(lines[-1], flush=True)
    text = report.page(lines, "python benchmarks/rbm_step.py")
    report.publish(text, options.output)


if __name__ == "__main__":
    main()
