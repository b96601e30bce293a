"""Accuracy gain of pretraining with few labels: MNIST, all images without labels, 100 to 60,000 of them with.

    python benchmarks/rbm_small_labels.py --output docs/benchmarks/rbm_small_labels.md    # two hours on two cores
    python benchmarks/rbm_small_labels.py --quick                                         # two minutes: whether it runs

Networks of sigmoid units, 784-800-800-10. Per seed and rule, the hidden layers are pretrained once on all training images; then
the network is trained on each number of labels, with the same images, order of batches, optimizer and epochs as the network that
starts from random weights. No choice is made by test or validation images: the accuracy is that after the last epoch.

Finished runs are kept in `--runs`, one JSON object a line: what was interrupted goes on with the next run.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import numpy as np
import report
from rbm_runs import mnist, network
from runs import Runs, interval

from keras_xai.pretraining import ContrastiveDivergence, pretrain

UNITS = (800, 800)
PRETRAINING_EPOCHS = 15
# By the number of labels, epochs and batch size of the training on them. The loss on few of them is near 0 by then.
TRAINING = {100: (100, 20), 600: (60, 20), 1_000: (40, 20), 6_000: (30, 50), 60_000: (10, 128)}
RULES = {  # and learning rates
    "sparse contrastive divergence": (ContrastiveDivergence(sampling=True, sparsity_target=0.05, sparsity_cost=0.3), 0.1),
}
PUBLISHED = {100: "+5.6", 1_000: "+4.9"}  # for sigmoid units


def main(arguments: list[str] | None = None) -> None:
    """Makes the runs that are not there yet, and shows all."""
    options = parse(arguments)
    data = mnist()
    # No image is held out: no choice is made by validation.
    unlabeled, labels = (np.concatenate(pair) for pair in zip(data["train"], data["validation"], strict=True))
    task = Task(unlabeled[:6000] if options.quick else unlabeled, labels, data["test"], options)
    runs = Runs(options.runs, task)
    counts = [count for count in options.labels if not (options.quick and count > 1_000)]
    found = {
        (arm, count, seed): runs.get(arm=arm, labels=count, seed=seed)["accuracy"]
        for seed in range(options.seeds)
        for arm in ("random", *RULES)
        for count in counts
    }
    text = fragment(found, counts, options)
    report.publish(text, options.output)


def parse(arguments):
    """The options of the command line."""
    parser = report.parser(__doc__, quick="one seed, few images and epochs", runs="rbm_small_labels.jsonl")
    parser.add_argument("--labels", nargs="+", type=int, choices=TRAINING, default=list(TRAINING), help="numbers of labels")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, 0 and up (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.runs = 1, report.quick_runs(options.runs, "rbm_small_labels")
    return options


class Task:
    """Makes single runs; keeps pretrained weights beside the file of runs."""

    def __init__(self, unlabeled, labels, test, options):
        self._unlabeled, self._labels, self._test = unlabeled, labels, test
        self._epochs = 2 if options.quick else PRETRAINING_EPOCHS
        self._folder = options.runs.with_suffix("")
        self._folder.mkdir(exist_ok=True)

    def _initialize(self, model, arm, seed):
        if arm == "random":
            return
        path = self._folder / f"{arm.replace(' ', '_')}_{seed}.weights.h5"
        if not path.exists():
            rule, rate = RULES[arm]
            for layer in model.layers[:-1]:  # the small weights that Hinton recommends
                layer.kernel.assign(keras.random.normal(layer.kernel.shape, stddev=0.01))
            optimizer = keras.optimizers.SGD(rate)
            pretrain(model, self._unlabeled, rule, epochs=self._epochs, optimizer=optimizer, verbose=2)
            model.save_weights(path)
        model.load_weights(path)

    def __call__(self, arm, labels, seed) -> dict:
        keras.utils.set_random_seed(seed)
        model = network(UNITS, "sigmoid")
        self._initialize(model, arm, seed)
        rows = chosen(self._labels[: len(self._unlabeled)], labels, seed)
        epochs, batch_size = TRAINING[labels]
        keras.utils.set_random_seed(seed)
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], steps_per_execution=5)
        model.fit(self._unlabeled[rows], self._labels[rows], batch_size=batch_size, epochs=epochs, verbose=0)
        result = {"accuracy": 100 * model.evaluate(*self._test, batch_size=1000, verbose=0)[1]}
        print(result, flush=True)
        return result


def chosen(labels, count, seed):
    """Rows of `count` images, as many of each class, or all."""
    if count >= len(labels):
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(np.flatnonzero(labels == digit))[: count // 10] for digit in range(10)])


def fragment(found, counts, options) -> str:
    """The table, in Markdown."""
    lines = [
        "# Pretraining with few labels",
        "",
        f"MNIST, 784-800-800-10, sigmoid units, pretrained for {PRETRAINING_EPOCHS} epochs on all 60,000 images without labels, then "
        f"trained on some images with labels. Test accuracy in percent after the last epoch, mean of {options.seeds} seeds; in "
        "parentheses, the gain over random weights with the same seed and images, and the 95 % confidence interval of its mean "
        "(Student's t).",
        "",
        *report.head("labels", "epochs", "random weights", *RULES, "greatest gain found in print"),
    ]
    for count in counts:
        base = np.array([found["random", count, seed] for seed in range(options.seeds)])
        cells = [f"{count:,}", f"{TRAINING[count][0]}", f"{base.mean():.2f}"]
        for arm in RULES:
            accuracy = np.array([found[arm, count, seed] for seed in range(options.seeds)])
            gain, half = interval(accuracy - base)
            shown = f"{gain:+.2f}" + (f" ± {half:.2f}" if np.isfinite(half) else "")
            cells.append(f"{accuracy.mean():.2f} ({shown})")
        lines.append(report.row(*cells, PUBLISHED.get(count, "")))
    return report.page(lines, "python benchmarks/rbm_small_labels.py")


if __name__ == "__main__":
    main()
