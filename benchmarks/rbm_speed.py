"""An epoch of pretraining against scikit-learn's BernoulliRBM: same data, sizes and batches, float32, in turn in one process.

    python benchmarks/rbm_speed.py --output docs/benchmarks/rbm_speed.md    # two minutes on two cores

The data are MNIST images, read from `mnist.npz` in the folder that the environment variable KERAS_XAI_DATA names, else as Keras
downloads them. Times are of the epochs after the first, which compiles; the ratio is the median of those of each turn.
"""

import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import report
from rbm_runs import mnist
from sklearn.neural_network import BernoulliRBM

from keras_xai.layers import RBMDense
from keras_xai.pretraining import ContrastiveDivergence, PersistentContrastiveDivergence, ReconstructionError, pretrain

NUM_IMAGES = 20_000
STEPS_PER_EXECUTION = 10
SETTINGS = ((800, 128), (256, 10))  # units, batch size
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


def main(arguments: list[str] | None = None) -> None:
    """Measures, and shows the table."""
    options = report.parser(__doc__, turns=3).parse_args(arguments)
    x = mnist()["train"][0][:NUM_IMAGES]
    lines = [
        "# Pretraining: speed",
        "",
        f"One epoch of {NUM_IMAGES:,} MNIST images, 784 visible units, float32: seconds, and how many times faster than scikit-learn's "
        f"`BernoulliRBM` (persistent contrastive divergence) in the same run. With `steps_per_execution={STEPS_PER_EXECUTION}`.",
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
                fit = {"callbacks": clock, "steps_per_execution": STEPS_PER_EXECUTION, "verbose": 0}
                pretrain(model, x, rule, epochs=3, batch_size=batch_size, **fit)
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
