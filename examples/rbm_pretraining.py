"""Pretrain a network on unlabeled images, fine-tune it with few labels, and explain its outputs by SHAP.

    python examples/rbm_pretraining.py                  # scikit-learn's digits, 100 labels, 3 seeds
    python examples/rbm_pretraining.py --data mnist     # MNIST, from the folder KERAS_XAI_DATA or from keras.datasets

`RBMDense` layers replace `Dense` layers. The script compares the four trainings of Kroshchanka & Golovko, "Neural Networks
Interpretation Improvement", each from the same initial weights and with the same labels. It prints a table of test accuracies
and writes a page of pictures, rbm_pretraining.html.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides TensorFlow's notes on the hardware

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from scipy import stats

from keras_xai.attribution import DeepSHAP
from keras_xai.layers import RBMDense
from keras_xai.pretraining import ContrastiveDivergence, Hybrid, ReconstructionError, pretrain
from keras_xai.report import Page, filters_plot, reconstructions_plot

ARMS = {
    "PBP": "contrastive divergence",
    "PPBP": "reconstruction error",
    "BP": "none",
    "HPBP": "hybrid of the two",
}
# Learning rates of pretraining, the same for all rules. Rectified units are unbounded, so that they need smaller steps.
LEARNING_RATES = {"relu": 0.01, "sigmoid": 0.05}
COLORS = {"PBP": "#4477aa", "PPBP": "#ee6677", "BP": "#555555", "HPBP": "#228833"}
BACKGROUND = 200  # training images to which SHAP compares an image
METHOD = (
    "The four trainings of a seed start from the same weights and use the same labels in the same order. PBP is pretrained by "
    "contrastive divergence, PPBP by the reconstruction error, HPBP by both in this order; BP is not pretrained. "
    "The trainings are those of Kroshchanka and Golovko, Neural Networks Interpretation Improvement."
)
CAPTION = (
    "Mean squared error of the first layer's reconstruction of the test images, before and after pretraining; accuracy in percent "
    "and gain in percentage points. For several seeds: mean and standard deviation."
)


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Runs the example.

    Args:
        arguments: Command-line arguments; those of the process by default.

    Returns:
        Means over the seeds, by name.
    """
    options = parse(arguments)
    runs = []
    for seed in range(options.seeds):
        data = load(options, seed)
        if seed == 0:
            first, intention = data, describe(options, data)
            print(f"{intention}\n")
        runs.append(compare(options, data, seed))

    header, rows = table(runs)
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    print()
    for name, *cells in (header, *rows):
        print(f"{name:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True)), sep="  ")
    verdict = judge(runs)
    print(f"\n{verdict}")

    best = max(ARMS, key=lambda arm: np.mean([run[arm]["accuracy"] for run in runs]))
    print(f"\nExplaining the outputs of {best}, the arm with the best mean accuracy, by SHAP.")
    explanation = explain(runs[0][best]["model"], first)
    print(explanation["completeness"])
    page = Page("Pretraining without labels").text(f"{intention} {METHOD}").heading("Results")
    page.table(rows, header=header, caption=CAPTION).text(verdict)
    path = draw(page, runs, first["shape"], first["test"][0], best, explanation).save(options.report)
    print(f"\nPictures: {path}")
    means = {
        f"{name}, {arm}": float(np.mean([run[arm][key] for run in runs]))
        for name, key in (("accuracy", "accuracy"), ("error before", "before"), ("error after", "after"))
        for arm in ARMS
    }
    return means | {name: explanation[name] for name in ("largest delta", "largest difference")}


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=("digits", "mnist"), default="digits", help="which images (default: %(default)s)")
    parser.add_argument("--labels", type=positive, help="training images whose labels are used (default: 100; mnist: 1000)")
    parser.add_argument(
        "--activation",
        choices=("relu", "sigmoid"),
        default="sigmoid",
        help="activation of hidden units (default: %(default)s)",
    )
    parser.add_argument(
        "--units", type=positive, nargs="+", help="hidden units of each layer (default: 200 200; mnist: 500 500)"
    )
    parser.add_argument(
        "--pretraining-epochs",
        type=positive,
        default=10,
        help="pretraining epochs for each layer, at least 2 (default: %(default)s)",
    )
    parser.add_argument("--epochs", type=positive, default=100, help="fine-tuning epochs (default: %(default)s)")
    parser.add_argument("--seeds", type=positive, help="number of seeds, starting at 0 (default: 3; mnist: 1)")
    parser.add_argument("--report", default="rbm_pretraining.html", help="file to write the page to (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not pathlib.Path(options.report).parent.is_dir():
        parser.error(f"--report: the folder of {options.report!r} does not exist; create it first")
    if options.pretraining_epochs < 2:
        parser.error("--pretraining-epochs: expected at least 2, since HPBP divides them between two rules")
    small = options.data == "digits"
    options.labels = options.labels or (100 if small else 1000)
    options.units = options.units or ([200, 200] if small else [500, 500])
    options.seeds = options.seeds or (3 if small else 1)
    options.pretraining_batch_size = 32 if small else 128
    options.batch_size = 25 if small else 50
    return options


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive whole number, received {text!r}")
    return number


def load(options, seed):
    """Flat images from 0 to 1 and their labels: `all` for pretraining, `labeled` for fine-tuning, `test`; and the `shape`."""
    if options.data == "digits":
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        x, y = load_digits(return_X_y=True)
        x, x_test, y, y_test = train_test_split(x, y, test_size=0.25, stratify=y, random_state=seed)
        shape, brightest = (8, 8), 16
    else:
        x, y, x_test, y_test = load_mnist()
        shape, brightest = (28, 28), 255
    if not options.labels <= len(x):
        raise ValueError(
            f"Expected --labels to be at most {len(x)}, the number of training images. Received: {options.labels}"
        )
    x, x_test = ((images.reshape(len(images), -1) / brightest).astype("float32") for images in (x, x_test))
    chosen = choose_labeled(y, options.labels, seed)
    return {"all": (x, None), "labeled": (x[chosen], y[chosen]), "test": (x_test, y_test), "shape": shape}


def load_mnist():
    folder = os.environ.get("KERAS_XAI_DATA")
    if folder is None:
        return [array for pair in keras.datasets.mnist.load_data() for array in pair]
    path = pathlib.Path(folder, "mnist.npz")
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected the file mnist.npz in the folder that KERAS_XAI_DATA names. Received: KERAS_XAI_DATA={folder!r}. "
            "Put it there, or unset the variable to have Keras download it."
        )
    with np.load(path) as file:
        return [file[name] for name in ("x_train", "y_train", "x_test", "y_test")]


def choose_labeled(y, count, seed):
    """Random images, balanced over the digits if possible."""
    order = np.random.default_rng(seed).permutation(len(y))
    turn = np.empty(len(y), "int64")  # the rank of each image among those of its digit
    for digit in np.unique(y):
        where = y[order] == digit
        turn[where] = np.arange(where.sum())
    return order[np.argsort(turn, kind="stable")[:count]]


def describe(options, data):
    source = "scikit-learn's 8 x 8 digits" if options.data == "digits" else "MNIST"
    layout = "-".join(map(str, (data["test"][0].shape[1], *options.units, 10)))
    return (
        f"A network {layout} with {options.activation} units for {source}: each hidden layer is pretrained for "
        f"{options.pretraining_epochs} epochs on {len(data['all'][0])} images without labels; then the network is trained for "
        f"{options.epochs} epochs with the labels of {options.labels} of them, and tested on {len(data['test'][0])} others."
    )


def build(options, features):
    """The network; its outputs are logits, since SHAP values of saturated probabilities are less informative."""
    return keras.Sequential(
        [
            keras.Input((features,)),
            *(
                RBMDense(units, options.activation, kernel_initializer="he_normal", name=f"hidden_{i}")
                for i, units in enumerate(options.units, start=1)
            ),
            keras.layers.Dense(10, kernel_initializer="he_normal", name="scores"),
        ]
    )


def rule_of(arm, epochs):
    """The pretraining rule of an arm, or `None`."""
    if arm == "HPBP":  # 7 epochs of 10 by contrastive divergence, as in the paper; in this ratio for other numbers
        first = min(max(round(0.7 * epochs), 1), epochs - 1)
        return Hybrid([(ContrastiveDivergence(), first), (ReconstructionError(), epochs - first)])
    return {"PBP": ContrastiveDivergence(), "PPBP": ReconstructionError(), "BP": None}[arm]


def compare(options, data, seed):
    """Trains all arms from the same weights and returns their results by arm."""
    keras.utils.set_random_seed(seed)
    x, x_test = data["all"][0], data["test"][0]
    initial = build(options, x.shape[1]).get_weights()
    results = {}
    for arm in ARMS:
        model = build(options, x.shape[1])
        model.set_weights(initial)
        before = reconstruction_error(model, x_test)
        rule, histories = rule_of(arm, options.pretraining_epochs), {}
        if rule is not None:
            histories = pretrain(
                model,
                x,
                rule,
                epochs=options.pretraining_epochs,
                batch_size=options.pretraining_batch_size,
                optimizer=keras.optimizers.SGD(LEARNING_RATES[options.activation], momentum=0.9),
                verbose=0,
            )
        machine = model.layers[0]
        pretrained = {
            "before": before,
            "after": reconstruction_error(model, x_test),
            "curves": [history.history["reconstruction_error"] for history in histories.values()],
            "kernel": keras.ops.convert_to_numpy(machine.kernel),
            "reconstructions": keras.ops.convert_to_numpy(machine.reconstruct(x_test[:10])),
        }
        keras.utils.set_random_seed(seed)  # the same order of labeled images in all arms
        epochs, accuracies = finetune(model, data, options)
        results[arm] = pretrained | {"model": model, "epochs": epochs, "accuracies": accuracies, "accuracy": accuracies[-1]}
        print(f"seed {seed}, {arm + ':':<5} {accuracies[-1]:.1%}", flush=True)
    return results


def reconstruction_error(model, x):
    """Mean squared error of the first layer's reconstruction of images."""
    reconstructions = keras.ops.convert_to_numpy(model.layers[0].reconstruct(x))
    return float(np.mean(np.square(reconstructions - x)))


def finetune(model, data, options):
    """Trains a model on the labeled images; returns the epochs at which it was tested, and its test accuracies."""
    # For few images the overhead between epochs dominates, so several passes are one epoch of `fit()`.
    passes = next(count for count in range(10, 0, -1) if options.epochs % count == 0)
    x, y = data["labeled"]
    batches = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x)).batch(options.batch_size).repeat(passes)
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),  # as in the paper
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(
        batches,
        epochs=options.epochs // passes,
        validation_data=data["test"],
        validation_batch_size=1000,
        shuffle=False,  # the dataset is shuffled already
        verbose=0,
    )
    return passes * (1 + np.array(history.epoch)), history.history["val_accuracy"]


def table(runs):
    """A header and rows of cells, one for each arm."""
    baseline = np.array([run["BP"]["accuracy"] for run in runs])
    rows = []
    for arm, rule in ARMS.items():
        before, after, accuracy = (np.array([run[arm][key] for run in runs]) for key in ("before", "after", "accuracy"))
        gains = (spread(accuracy - baseline, "+"), f"{np.sum(accuracy > baseline)} of {len(runs)}")
        errors = f"{before.mean():.4f}" + ("" if arm == "BP" else f" \u2192 {after.mean():.4f}")
        rows.append((f"{arm}: {rule}", errors, spread(accuracy), *(("", "") if arm == "BP" else gains)))
    return ("Arm: pretraining", "Reconstruction error", "Test accuracy", "Gain over BP", "Seeds with a gain"), rows


def spread(fractions, sign=""):
    """Mean in percent and, for several values, the standard deviation."""
    mean = f"{100 * np.mean(fractions):{sign}.1f}"
    return mean if len(fractions) == 1 else f"{mean} ± {100 * np.std(fractions, ddof=1):.1f}"


def judge(runs):
    """Summarizes whether pretraining helps; only significant differences count."""
    gains = {
        arm: np.array([100 * (run[arm]["accuracy"] - run["BP"]["accuracy"]) for run in runs]) for arm in ARMS if arm != "BP"
    }
    if len(runs) == 1:
        ahead = [arm for arm, gain in gains.items() if gain > 0]
        said = f"With this seed, {listed(ahead)} did better than BP" if ahead else "With this seed, pretraining did not help"
        return f"{said}. One seed cannot show a significant difference: use more with --seeds."
    outcomes = {"helps": [], "hurts": [], "makes no significant difference": []}
    for arm, gain in gains.items():
        half = stats.t.ppf(0.975, len(gain) - 1) * stats.sem(gain)
        low, high = gain.mean() - half, gain.mean() + half
        outcome = "helps" if low > 0 else "hurts" if high < 0 else list(outcomes)[-1]
        outcomes[outcome].append(f"{arm} ({low:+.1f} to {high:+.1f})")
    said = "; ".join(f"pretraining by {listed(arms)} {outcome}" for outcome, arms in outcomes.items() if arms)
    conclusion = "" if outcomes["helps"] else " Pretraining does not help significantly with these seeds."
    return f"By 95% confidence intervals of the mean gain over BP, in percentage points: {said}.{conclusion}"


def listed(words):
    return ", ".join(words[:-1]) + " and " * (len(words) > 1) + words[-1]


def explain(model, data):
    """SHAP values of the ten scores for one test image of each digit, and their convergence delta."""
    x_test, y_test = data["test"]
    background = data["all"][0][np.random.default_rng(0).permutation(len(data["all"][0]))[:BACKGROUND]]
    shown = choose_images(model.predict(x_test, batch_size=1000, verbose=0).argmax(axis=1), y_test)
    x = x_test[shown]
    explain_by = DeepSHAP(model, verbose=0)
    values = np.stack([explain_by(x, target=digit, baseline=background).values for digit in range(10)], axis=-1)
    scores = model.predict(x, verbose=0)
    differences = scores - model.predict(background, verbose=0).mean(axis=0)
    delta, largest = float(np.abs(values.sum(axis=1) - differences).max()), float(np.abs(differences).max())
    completeness = (
        "SHAP values of an image should add up to its score minus the mean score of the background. "
        f"They deviate by at most {delta:.2g}, for differences of up to {largest:.3g}."
    )
    return {
        "x": x,
        "scores": scores,
        "values": values,
        "largest delta": delta,
        "largest difference": largest,
        "completeness": completeness,
    }


def choose_images(predicted, labels):
    """The first correctly classified image of each digit, or else its first image."""
    candidates = [np.flatnonzero(labels == digit) for digit in range(10)]
    return [found[np.argmax(predicted[found] == labels[found])] for found in candidates if len(found)]


def draw(page, runs, shape, x_test, best, explanation):
    """Adds the pictures to the page."""
    run = runs[0]
    page.figure(
        curves(runs),
        "Left: mean squared reconstruction error of each layer during pretraining; layers after the first are "
        "dashed. Right: test accuracy during fine-tuning. Thick lines are means over the seeds, thin ones the seeds.",
    )
    after = max((arm for arm in ARMS if arm != "BP"), key=lambda arm: np.mean([run[arm]["accuracy"] for run in runs]))
    pretrained = f"After pretraining by {after}, {ARMS[after]}"
    page.heading("Filters").text(
        "Weights of the first units of the first layer, before and after pretraining and without any labels; seed 0."
    )
    # Not the largest weight, beside which the others would be pale.
    limit = float(np.quantile(np.abs(run[after]["kernel"]), 0.998))
    for arm, title in (("BP", "Before pretraining, the same in all arms"), (after, pretrained)):
        page.figure(filters_plot(run[arm]["kernel"], shape, max_filters=40, limit=limit, title=title))
    page.heading("Reconstructions").text("Test images and their reconstructions by the first layer; seed 0.")
    for arm, title in (("BP", "Before pretraining"), (after, pretrained)):
        reconstructions = run[arm]["reconstructions"]
        page.heading(title, 3).figure(reconstructions_plot(x_test[: len(reconstructions)], reconstructions, shape))
    page.heading("SHAP values of the outputs")
    page.text(
        f"SHAP values of the ten scores of {best}, the arm with the best mean test accuracy, seed 0: how much each pixel raises (red) or "
        f"lowers (blue) a score, compared with {BACKGROUND} training images. {explanation['completeness']}"
    )
    return page.figure(
        shap_plot(explanation, shape),
        "A row for each image, a column for the score of each digit, with the score above; that of the predicted digit is framed.",
    )


def curves(runs):
    """Reconstruction errors by epoch of pretraining, and test accuracies by epoch of fine-tuning."""
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for arm, color in COLORS.items():
        for layer in range(len(runs[0][arm]["curves"])):
            errors = np.array([run[arm]["curves"][layer] for run in runs])
            epochs = np.arange(1, errors.shape[1] + 1)
            left.plot(epochs, errors.mean(axis=0), color=color, linestyle="--" if layer else "-", label=None if layer else arm)
        accuracies = 100 * np.array([run[arm]["accuracies"] for run in runs])
        epochs = runs[0][arm]["epochs"]
        right.plot(epochs, accuracies.T, color=color, linewidth=0.6, alpha=0.5)
        right.plot(epochs, accuracies.mean(axis=0), color=color, linewidth=2, label=arm)
    left.set(xlabel="epoch of pretraining", ylabel="reconstruction error", yscale="log")
    # The first epochs without pretraining are far below, and would hide the differences at the end.
    lowest = min(100 * run[arm]["accuracy"] for run in runs for arm in ARMS)
    right.set(xlabel="epoch of fine-tuning", ylabel="test accuracy, %", ylim=(max(lowest - 10, 0), None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    return figure


def shap_plot(explanation, shape):
    """SHAP values over the faint image, as in `shap.image_plot`, which would shift the image by half a pixel."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    x, values, scores = explanation["x"], explanation["values"], explanation["scores"]
    limit = float(np.quantile(np.abs(values), 0.999))
    scale = ScalarMappable(Normalize(-limit, limit), "RdBu_r")
    figure = Figure(figsize=(10.5, 1.05 * len(x) + 0.9), layout="constrained")
    grid = figure.subplots(len(x), 11, squeeze=False)
    for row, (axes, image) in enumerate(zip(grid, x.reshape(-1, *shape), strict=True)):
        axes[0].imshow(image, cmap="gray")
        for digit in range(10):
            colors = scale.to_rgba(values[row, :, digit].reshape(shape))
            colors[..., :3] *= 1 - 0.2 * image[..., np.newaxis]
            axes[digit + 1].imshow(colors)
            axes[digit + 1].set_title(f"{scores[row, digit]:z.1f}", fontsize=8, pad=2)
        for each in axes:
            each.set(xticks=[], yticks=[])
            each.spines[:].set_color("#c4cad0")
        predicted = axes[scores[row].argmax() + 1].spines[:]
        predicted.set_color("#1c2024")
        predicted.set_linewidth(1.6)
    for digit in range(10):
        grid[-1, digit + 1].set_xlabel(str(digit), fontsize=11)
    bar = figure.colorbar(scale, ax=grid, orientation="horizontal", fraction=0.02, aspect=60, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label("SHAP value of a pixel", fontsize=9)
    return figure


if __name__ == "__main__":
    main()
