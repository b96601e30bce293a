"""A good classifier of MNIST, 784-800-800-10 with ReLU: pretraining, noise, batch normalization, falling learning rate.

    python benchmarks/rbm_recipe.py --output docs/benchmarks/rbm_recipe.md    # half an hour on two cores
    python benchmarks/rbm_recipe.py --quick                                   # a minute: whether it runs

Finished runs are kept in `--runs`, one JSON object a line: what was interrupted goes on with the next run.
"""

import os
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import report
from rbm_runs import Checks, mnist
from runs import Runs

from keras_xai.layers import RBMDense
from keras_xai.pretraining import ReconstructionError, pretrain

EPOCHS = 60
NOISE = 0.3  # standard deviation, of the inputs and of the normalized hidden units
LEARNING_RATE = 2e-3
CHECK_EVERY = 5  # epochs


def main(arguments: list[str] | None = None) -> None:
    """Makes the runs that are not there yet, and shows all."""
    options = parse(arguments)
    data = mnist()
    if options.quick:
        data["train"] = tuple(array[:6000] for array in data["train"])
    runs = Runs(options.runs, lambda **settings: train(data, **settings))
    found = [runs.get(arm=arm, seed=seed, epochs=options.epochs) for seed in range(options.seeds) for arm in options.arms]
    text = fragment(found, options)
    report.publish(text, options.output)


def parse(arguments):
    """The options of the command line."""
    parser = report.parser(__doc__, quick="two epochs on few images", runs="rbm_recipe.jsonl")
    parser.add_argument("--arms", nargs="+", choices=("pretrained", "random"), default=["pretrained"])
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, 0 and up (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of backpropagation (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.quick:
        options.epochs, options.runs = 2, report.quick_runs(options.runs, "rbm_recipe")
    return options


def train(data, arm, seed, epochs) -> dict:
    """One run."""
    keras.utils.set_random_seed(seed)
    x, y = data["train"]
    model = keras.Sequential([keras.Input((784,)), keras.layers.GaussianNoise(NOISE)])
    for name in ("hidden_1", "hidden_2"):
        model.add(RBMDense(800, "relu", kernel_initializer="he_normal", name=name))
        # Before training, normalization in inference mode is the identity: the machines do not notice it.
        model.add(keras.layers.BatchNormalization(epsilon=1e-6))
        model.add(keras.layers.GaussianNoise(NOISE))
    model.add(keras.layers.Dense(10, "softmax", name="output"))
    if arm == "pretrained":
        pretrain(model, x, ReconstructionError(), epochs=5, verbose=2)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * -(-len(x) // 128))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"], steps_per_execution=10)
    checks = Checks(data, CHECK_EVERY)
    model.fit(x, y, batch_size=128, epochs=epochs, verbose=0, callbacks=[checks])
    return {"arm": arm, "checks": checks.results}


def fragment(found, options) -> str:
    """The table, in Markdown."""
    lines = [
        "# Pretraining: a recipe",
        "",
        f"MNIST, 784-800-800-10, ReLU, 55,000 training images. Pretrained with the paper's rule for 5 epochs; {options.epochs} "
        f"epochs of backpropagation by Adam with batch normalization and Gaussian noise of standard deviation {NOISE} on inputs and "
        f"hidden units, as in the baseline of Rasmus et al. (2015), and a learning rate that decays from {LEARNING_RATE} to 0 as a "
        f"cosine. Test accuracy in percent, mean of {options.seeds} seed{'s' if options.seeds > 1 else ''}.",
        "",
        *report.head("start", "after the last epoch", f"best of the checks every {CHECK_EVERY} epochs"),
    ]
    for arm in options.arms:
        runs = [run["checks"] for run in found if run["arm"] == arm]
        last = statistics.mean(run[-1]["test"] for run in runs)
        best = statistics.mean(max(check["test"] for check in run) for run in runs)
        lines.append(report.row(arm, f"{last:.2f}", f"{best:.2f}"))
    return report.page(lines, "python benchmarks/rbm_recipe.py")


if __name__ == "__main__":
    main()
