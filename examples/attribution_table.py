"""Explain the predictions of a network for tabular data by five methods, and check whether they agree and add up.

    python examples/attribution_table.py                 # scikit-learn's breast cancer data
    python examples/attribution_table.py --data heloc    # FICO's home equity loans, from the folder KERAS_XAI_DATA

A small ReLU network is trained; it contains the normalization of the features, so that explanations refer to the original
units. For such a network OpenBox's decision features are exact: they are the weights of the linear function that the network is around
a sample. The other methods compare a sample with a typical one. The script prints two tables and writes a page of pictures,
attribution_table.html.
"""

import argparse
import itertools
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides TensorFlow's notes on the hardware

import keras
import numpy as np
import pandas as pd
from keras import layers
from matplotlib.figure import Figure
from scipy.stats import rankdata
from sklearn.model_selection import train_test_split

from keras_xai.attribution import LIME, SHAP, DecisionFeatures, DeepSHAP, IntegratedGradients
from keras_xai.metrics import Deletion, Insertion, compare_methods
from keras_xai.report import Page, explanations_plot

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#aa3377")
MARKERS = "os^Dv"
# FICO's order. The codes -7, -8 and -9 are missing values.
HELOC = (
    *("risk estimate", "months since oldest trade", "months since latest trade", "mean months in file"),
    *("satisfactory trades", "trades 60 days late", "trades 90 days late", "% trades never late"),
    *("months since late", "worst delay in 12 months", "worst delay ever", "trades", "trades opened in 12 months"),
    *("% installment trades", "months since inquiry", "inquiries in 6 months", "inquiries but latest week"),
    *("revolving burden", "installment burden", "revolving trades with balance", "installment trades with balance"),
    *("trades with high use", "% trades with balance"),
)


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Runs the example.

    Args:
        arguments: Command-line arguments; those of the process by default.

    Returns:
        The numbers of the printed tables, by name.
    """
    options = parse(arguments)
    x, y, features, classes = load(options)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.25, stratify=y, random_state=options.seed)
    keras.utils.set_random_seed(options.seed)
    model = build(x)
    model.compile(keras.optimizers.Adam(2e-3), "binary_crossentropy", metrics=["accuracy"])
    print(f"Training on {len(x)} rows of {x.shape[1]} features.")
    model.fit(x, y, epochs=options.epochs, batch_size=32, verbose=0)
    numbers = {"accuracy": model.evaluate(x_test, y_test, verbose=0)[1]}

    x_test = pd.DataFrame(x_test[: options.samples], columns=features)  # explanations keep the names
    usual = np.mean(x, axis=0)
    methods = {
        "decision features": DecisionFeatures(model),
        "IG": IntegratedGradients(model),
        "DeepSHAP": DeepSHAP(model),
        "SHAP (kernel)": SHAP(model, explainer="kernel", seed=options.seed),
        "LIME": LIME(model, seed=options.seed),
    }
    metrics = {"deletion": Deletion(model, baseline=usual), "insertion": Insertion(model, baseline=usual)}
    print(f"Explaining {len(x_test)} test rows, each against the mean of the training rows.")
    comparison = compare_methods(model, x_test, methods, metrics, baseline=usual)
    table = comparison.table.copy()
    table["delta", "median"] = relative_deltas(comparison.explanations)
    print(f"\n{table.round(4).to_string()}")
    agreement = agreements(comparison.explanations)
    print(f"\nMean rank correlation of the features' values:\n{agreement.round(2).to_string()}")
    numbers |= {f"{metric}, {name}": table[metric]["mean"][name] for metric in metrics for name in methods}
    numbers |= {f"delta, {name}": float(table["delta"]["median"][name]) for name in methods}
    numbers |= {f"agreement, {a} and {b}": agreement[a][b] for a, b in itertools.combinations(methods, 2)}
    path = draw(comparison.explanations, table, agreement, classes, numbers, options).save(options.report)
    print(f"\nPictures: {path}")
    return numbers


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", choices=("breast-cancer", "heloc"), default="breast-cancer", help="which table (default: %(default)s)"
    )
    parser.add_argument("--epochs", type=positive, help="training epochs (default: 20; heloc: 5)")
    parser.add_argument("--samples", type=positive, default=40, help="test rows to explain (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--report", default="attribution_table.html", help="file to write the page to (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not pathlib.Path(options.report).parent.is_dir():
        parser.error(f"--report: the folder of {options.report!r} does not exist; create it first")
    options.epochs = options.epochs or (20 if options.data == "breast-cancer" else 5)
    return options


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive whole number, received {text!r}")
    return number


def load(options):
    """Features `(n, features)`, labels 0 and 1, the names of the features, and those of the two classes."""
    if options.data == "breast-cancer":
        from sklearn.datasets import load_breast_cancer

        data = load_breast_cancer()
        # The score is that of label 1, which should be malignant.
        return data.data.astype("float32"), 1 - data.target, list(data.feature_names), ("benign", "malignant")
    folder = os.environ.get("KERAS_XAI_DATA")
    path = pathlib.Path(folder or ".", "heloc.npz")
    if not path.is_file():
        raise FileNotFoundError(
            "Expected the file heloc.npz in the folder that KERAS_XAI_DATA names: FICO's home equity line of credit data as arrays "
            f"x (10459, 23) and y, 1 for bad. Received: KERAS_XAI_DATA={folder!r}. Put it there, or leave out --data."
        )
    with np.load(path) as file:
        x, y = file["x"], file["y"]
    there = (x != -9).any(axis=1)  # rows of -9 alone are empty
    x, y = np.where(x < 0, np.nan, x)[there], y[there]
    return np.where(np.isnan(x), np.nanmedian(x, axis=0), x).astype("float32"), y, HELOC, ("good", "bad")


def build(x):
    """A network of two hidden layers for one score; the first layer standardizes the features."""
    normalization = layers.Normalization(name="normalization")
    normalization.adapt(x)
    return keras.Sequential(
        [
            keras.Input(x.shape[1:], name="features"),
            normalization,
            layers.Dense(32, activation="relu", name="hidden1"),
            layers.Dropout(0.3),
            layers.Dense(16, activation="relu", name="hidden2"),
            layers.Dense(1, activation="sigmoid", name="score"),
        ]
    )


def relative_deltas(explanations):
    """For each method the median convergence delta, relative to the score difference from the mean row."""
    exact = explanations["IG"]
    # Independent of the values: the convergence delta is computed from the scores themselves.
    difference = exact.values.sum(axis=1) + exact.convergence_delta
    deltas = (difference - each.values.sum(axis=1) for each in explanations.values())
    return [float(np.median(np.abs(delta) / np.abs(difference))) for delta in deltas]


def agreements(explanations):
    """Spearman's rank correlation of the features' values for each pair of methods, averaged over the rows."""
    rank = {name: rankdata(each.values, axis=1) for name, each in explanations.items()}
    rank = {name: (each - each.mean(axis=1, keepdims=True)) / each.std(axis=1, keepdims=True) for name, each in rank.items()}
    return pd.DataFrame({a: {b: float(np.mean(rank[a] * rank[b])) for b in rank} for a in rank})


def draw(explanations, table, agreement, classes, numbers, options):
    """The page."""
    names, metrics = list(explanations), ("deletion", "insertion")
    page = Page("Attribution for tabular data")
    page.text(
        f"A network of two hidden ReLU layers classifies {numbers['accuracy']:.1%} of the test rows of "
        f"{'the breast cancer data' if options.data == 'breast-cancer' else 'the HELOC data'} correctly. The methods explain the score "
        f"before the sigmoid, that of {classes[1]}, for {len(explanations[names[0]])} of them, each against the mean of the training rows. "
        "The relevance of highly correlated features is divided among them in ways that depend on the method and on chance in training: "
        "read such features together."
    )
    page.heading("Metrics")
    page.table(
        [
            (
                name,
                f"{table['delta']['median'][name]:.2%}",
                *(f"{table[metric]['mean'][name]:.3f}" for metric in metrics),
                f"{table['cost']['num_forward_passes'][name]:.0f}",
            )
            for name in names
        ],
        header=("", "delta", *metrics, "forward passes"),
        caption="IG: integrated gradients. Delta: median convergence delta, relative to the score difference from the mean row. "
        "Decision features are exact within the linear piece of a row, which does not reach the mean row. LIME values need not "
        "add up. Deletion: mean probability while features are replaced by the mean, the most relevant first; lower is better. "
        "Insertion: mean probability while they are inserted into the mean row; higher is better.",
    )
    page.table(
        [(a, *(f"{agreement[a][b]:.2f}" for b in names)) for a in names],
        header=("", *names),
        caption="Spearman's rank correlation of the features' values by two methods, averaged over the rows.",
    )
    page.heading("Rows")
    totals = explanations[names[0]].values.sum(axis=1)
    chosen = [int(i) for i in np.argsort(totals)[[0, len(totals) // 2, -1]]]
    page.figure(
        explanations_plot(explanations, samples=chosen, class_names=classes),
        f"The rows with the lowest, the median and the highest sum of decision features for {classes[1]}.",
    )
    page.heading("From the mean row to a row")
    exact = explanations["IG"]
    page.figure(
        exact.plot([chosen[1]], kind="waterfall", class_names=classes),
        "Integrated gradients of the median row: each feature moves the score on the way from that of the mean row to that of the row. "
        "What the values leave unexplained, the convergence delta, is written below.",
    )
    page.heading("All rows")
    page.figure(
        exact.plot(kind="beeswarm", class_names=classes),
        f"Integrated gradients of all rows, a dot each: on the right, the value of the feature speaks for {classes[1]}.",
    )
    return page.figure(
        strengths(explanations),
        "Mean absolute value of a feature as a share of the sum over all features, for the twelve strongest features.",
    )


def strengths(explanations):
    """The mean absolute values of the strongest features by each method."""
    features = next(iter(explanations.values())).feature_names
    sizes = {name: np.abs(each.values).mean(axis=0) for name, each in explanations.items()}
    shares = {name: each / each.sum() for name, each in sizes.items()}
    first = np.argsort(-sum(shares.values()))[:12]
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots()
    for i, (name, share) in enumerate(shares.items()):
        axes.plot(100 * share[first], np.arange(len(first)), MARKERS[i], color=COLORS[i], label=name)
    axes.set(
        yticks=np.arange(len(first)), yticklabels=[features[i] for i in first], xlabel="% of the relevance", xlim=(0, None)
    )
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure


if __name__ == "__main__":
    main()
