"""Table II of Kroshchanka and Golovko, "Neural Networks Interpretation Improvement", measured again on MNIST.

    python benchmarks/rbm_table2.py --architectures small    # all arms of 784-800-800-10: an hour on two cores
    python benchmarks/rbm_table2.py --quick                  # two epochs each, three minutes: whether it runs
    python benchmarks/rbm_table2.py --architectures small --output docs/benchmarks

The arms: PBP, contrastive divergence, then backpropagation; PPBP, the paper's rule, then backpropagation; BP, backpropagation
alone; HPBP, 7 epochs of contrastive divergence and 3 of the paper's rule, then backpropagation. Settings as in the paper where
it says them (10 + 90 epochs, batches of 128, learning rates 0.01, 0.04 and 0.1, momentum 0.5 to 0.9 and 0.9); where it does not:
mean-field contrastive divergence, He initialization that is the same in all arms of a seed, softmax outputs and cross-entropy.

Finished runs are kept in `--runs`, one JSON object a line: what was interrupted goes on with the next run. Processes that share the file
can each do some of the arms; with TF_NUM_INTRAOP_THREADS=1, two of them are faster on two cores than one.
"""

import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import report
from mnist import NUM_VALIDATION
from rbm_runs import Checks, mnist, network
from runs import Runs

from keras_xai.pretraining import ContrastiveDivergence, Hybrid, ReconstructionError, pretrain

ARCHITECTURES = {"small": (800, 800), "large": (1600, 1600, 800)}
ACTIVATIONS = ("relu", "sigmoid")
RULES = {"PBP": ContrastiveDivergence, "PPBP": ReconstructionError, "BP": None, "HPBP": Hybrid}
PAPER = {
    ("small", "relu"): {"PBP": 98.62, "PPBP": 98.81, "BP": 98.64, "HPBP": 98.51},
    ("large", "relu"): {"PBP": 98.58, "PPBP": 98.70, "BP": 98.56, "HPBP": 98.68},
    ("small", "sigmoid"): {"PBP": 98.47, "PPBP": 98.36, "BP": 98.18, "HPBP": 98.43},
    ("large", "sigmoid"): {"PBP": 98.54, "PPBP": 98.47, "BP": 98.00, "HPBP": 98.46},
}
PRETRAINING_EPOCHS = 10
CHECK_EVERY = 5
COLORS = {"PBP": "#4477aa", "PPBP": "#ee6677", "BP": "#555555", "HPBP": "#228833"}


def main(arguments: list[str] | None = None) -> None:
    """Makes the runs that are not there yet, and shows all."""
    options = parse(arguments)
    data = mnist()
    data = {name: (x, keras.utils.to_categorical(y, 10)) for name, (x, y) in data.items()}
    if options.quick:
        data["train"] = tuple(array[:6000] for array in data["train"])
    runs = Runs(options.runs, lambda **settings: train(data, **settings))
    found = {
        (architecture, activation, arm, seed): runs.get(
            architecture=architecture, activation=activation, arm=arm, seed=seed, epochs=options.epochs
        )
        for seed in range(options.seeds)
        for architecture in options.architectures
        for activation in options.activations
        for arm in options.arms
    }
    text = fragment(found, options)
    print(f"\n{text}")
    if options.output:
        (options.output / "rbm_table2.md").write_text(text, encoding="utf-8")
        for architecture in options.architectures:
            draw(found, architecture, options).savefig(options.output / f"rbm_{architecture}.svg")


def parse(arguments):
    """The options of the command line."""
    parser = report.parser(
        __doc__, output="folder to write table and curves to", quick="two epochs on few images", runs="rbm_table2.jsonl"
    )
    parser.add_argument("--architectures", nargs="+", choices=ARCHITECTURES, default=list(ARCHITECTURES))
    parser.add_argument("--activations", nargs="+", choices=ACTIVATIONS, default=list(ACTIVATIONS))
    parser.add_argument("--arms", nargs="+", choices=RULES, default=list(RULES))
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, 0 and up (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=90, help="of backpropagation (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.quick:
        options.epochs, options.runs = 2, report.quick_runs(options.runs, "rbm_table2")
    return options


def train(data, architecture, activation, arm, seed, epochs) -> dict:
    """One run."""
    start = time.perf_counter()
    keras.utils.set_random_seed(seed)
    model = network(ARCHITECTURES[architecture], activation)
    errors = {}
    if RULES[arm] is not None:
        histories = pretrain(model, data["train"][0], RULES[arm](), epochs=PRETRAINING_EPOCHS, verbose=2)
        errors = {path: history.history["reconstruction_error"] for path, history in histories.items()}
    pretrained = time.perf_counter()
    keras.utils.set_random_seed(seed)  # the same order of batches in all arms
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy", "mse"], steps_per_execution=10)
    checks = Checks(data, CHECK_EVERY)
    history = model.fit(*data["train"], batch_size=128, epochs=epochs, verbose=0, callbacks=[checks]).history
    return {
        "reconstruction_error": errors,
        "loss": history["loss"],
        "mse": history["mse"],
        "checks": checks.results,
        "seconds": {"pretraining": pretrained - start, "backpropagation": time.perf_counter() - pretrained},
    }


def fragment(found, options) -> str:
    """The tables, in Markdown."""
    lines = [
        "# Pretraining: Table II of Kroshchanka and Golovko",
        "",
        f"MNIST, {60_000 - NUM_VALIDATION:,} training images, {NUM_VALIDATION:,} validation images to select an epoch, "
        f"10,000 test images; "
        f"{PRETRAINING_EPOCHS} + {options.epochs} epochs, {options.seeds} seed{'s' if options.seeds > 1 else ''}. Test accuracy in "
        f"percent. *Best* is the paper's metric: the highest test accuracy of all checks, made every {CHECK_EVERY} epochs, which is "
        "optimistic, since the test images select the epoch. *Chosen* is the test accuracy at the check with the best validation "
        "accuracy. *Last* is the test accuracy after the last epoch. With several seeds: mean and standard deviation.",
        "",
        *report.head("network", "activation", "arm", "paper, best", "best", "chosen", "last"),
    ]
    for architecture in options.architectures:
        layout = "-".join(map(str, (784, *ARCHITECTURES[architecture], 10)))
        for activation in options.activations:
            for arm in options.arms:
                checks = [found[architecture, activation, arm, seed]["checks"] for seed in range(options.seeds)]
                figures = (
                    [max(check["test"] for check in run) for run in checks],
                    [max(run, key=lambda check: check["validation"])["test"] for run in checks],
                    [run[-1]["test"] for run in checks],
                )
                paper = f"{PAPER[architecture, activation][arm]:.2f}"
                lines.append(report.row(layout, activation, arm, paper, *map(show, figures)))
    command = f"python benchmarks/rbm_table2.py --architectures {' '.join(options.architectures)}"
    return report.page(lines, command + (f" --seeds {options.seeds}" if options.seeds > 1 else ""))


def show(values):
    """Mean and, of several values, standard deviation."""
    mean = f"{statistics.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2f}"


def draw(found, architecture, options):
    """The error on the training images, as in Fig. 2 (ReLU, first 10 epochs) and Fig. 3 (sigmoid, first 30) of the paper."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(options.activations), figsize=(4.6 * len(options.activations), 3.4), squeeze=False, layout="constrained"
    )
    for axis, activation in zip(axes[0], options.activations, strict=True):
        count = 10 if activation == "relu" else 30
        for arm in options.arms:
            mse = found[architecture, activation, arm, 0]["mse"][:count]
            axis.plot(range(1, len(mse) + 1), mse, label=arm, color=COLORS[arm], marker=".", markersize=4)
        axis.set(
            title=activation, xlabel="epoch of backpropagation", ylabel="mean squared error, training images", yscale="log"
        )
        axis.grid(alpha=0.3)
        axis.legend()
    return figure


if __name__ == "__main__":
    main()
