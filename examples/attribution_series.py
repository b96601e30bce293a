"""Explain the predictions of a convolutional network for time series by four methods, and check them on a known event.

    python examples/attribution_series.py                    # synthetic series with a known event
    python examples/attribution_series.py --data GunPoint    # series of the UCR archive, from the folder KERAS_XAI_DATA

The synthetic series are those of Saito's cylinder-bell-funnel problem: noise with an event that is a plateau, a rise or a
fall. The share of each method's relevance inside the event is a check that real data do not allow. The script prints a table and writes a
page of pictures, attribution_series.html.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides TensorFlow's notes on the hardware

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure
from scipy.ndimage import maximum_filter1d

from keras_xai.attribution import LIME, GradCAM, IntegratedGradients, Occlusion
from keras_xai.metrics import Deletion, Insertion, RelevanceMass, compare_methods
from keras_xai.report import Page, explanations_plot

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44")
SHAPES = ("cylinder", "bell", "funnel")
MARGIN = 8


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Runs the example.

    Args:
        arguments: Command-line arguments; those of the process by default.

    Returns:
        The numbers of the printed table, by name.
    """
    options = parse(arguments)
    (x, y), (x_test, y_test), event, names = load(options)
    keras.utils.set_random_seed(options.seed)
    model = build(x.shape[1:], len(names))
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    print(f"Training on {len(x)} series of {x.shape[1]} steps.")
    model.fit(x, y, epochs=options.epochs, batch_size=16, verbose=0)
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]

    x_test, y_test = x_test[: options.samples], y_test[: options.samples]
    # The default baseline of the last three, zero, is the mean of the noise and of each series of the archive.
    methods = {
        "Grad-CAM": GradCAM(model, layer="conv3"),
        "integrated gradients": IntegratedGradients(model),
        "occlusion": Occlusion(model, window=x.shape[1] // 12),
        "LIME": LIME(model, seed=options.seed),
    }
    metrics = {"deletion": Deletion(model), "insertion": Insertion(model)}
    if event is not None:
        event = event[: options.samples]
        # The steps next to an event belong to its edges, which are visible from both sides.
        near = maximum_filter1d(event, 2 * MARGIN + 1, axis=1)
        metrics = {"mass in event": RelevanceMass(near), **metrics}
    print(f"Test accuracy: {accuracy:.1%}. Explaining the predicted class of {len(x_test)} test series.")
    comparison = compare_methods(model, x_test, methods, metrics)

    numbers = {"accuracy": accuracy}
    if event is not None:
        numbers["event part of the time"] = float(near.mean())
    numbers |= {f"{metric}, {name}": comparison.table[metric]["mean"][name] for metric in metrics for name in methods}
    print(f"\n{comparison.table.round(3).to_string()}")
    path = draw(comparison, y_test, event, names, numbers, options).save(options.report)
    print(f"\nPictures: {path}")
    return numbers


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        default="made",
        help='"made" for synthetic series, or a data set of the UCR archive such as GunPoint (default: %(default)s)',
    )
    parser.add_argument("--epochs", type=positive, help="training epochs (default: 10; with the archive: 120)")
    parser.add_argument("--samples", type=positive, default=60, help="test series to explain (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--report", default="attribution_series.html", help="file to write the page to (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not pathlib.Path(options.report).parent.is_dir():
        parser.error(f"--report: the folder of {options.report!r} does not exist; create it first")
    options.epochs = options.epochs or (10 if options.data == "made" else 120)
    return options


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive whole number, received {text!r}")
    return number


def load(options):
    """Series `(n, time, 1)` and classes for training and test, the test series' event `(n, time)` or `None`, and class names."""
    if options.data == "made":
        rng = np.random.default_rng(options.seed)
        x, y, _ = make(600, rng)
        x_test, y_test, event = make(200, rng)
        return (x, y), (x_test, y_test), event, SHAPES
    path = pathlib.Path(os.environ.get("KERAS_XAI_DATA", "."), "ucr", f"{options.data}.npz")
    if not path.is_file():
        there = sorted(file.stem for file in path.parent.glob("*.npz"))
        raise FileNotFoundError(
            f"Expected `--data made`, or a set of the UCR archive as ucr/{options.data}.npz in the folder that KERAS_XAI_DATA names, with "
            "arrays x_train and x_test (n, time, 1), y_train and y_test. Received: "
            f"--data {options.data}, KERAS_XAI_DATA={os.environ.get('KERAS_XAI_DATA')!r}; there are: {there}."
        )
    with np.load(path) as file:
        x, y, x_test, y_test = (file[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    order = np.random.default_rng(options.seed).permutation(len(x_test))
    return (x, y), (x_test[order], y_test[order]), None, [f"class {i}" for i in range(int(y.max()) + 1)]


def make(count, rng, length=128):
    """Series of Saito's problem `(count, length, 1)`, their classes, and the mask of the event, `(count, length)`."""
    time, y = np.arange(length), rng.integers(3, size=count)
    start = rng.integers(16, 33, size=(count, 1))
    stop = np.minimum(start + rng.integers(32, 97, size=(count, 1)), length)
    event = (start <= time) & (time < stop)
    progress = (time - start) / (stop - start)
    height = np.choose(y[:, np.newaxis], [np.ones_like(progress), progress, 1 - progress])
    series = (6 + rng.normal(size=(count, 1))) * height * event + rng.normal(size=(count, length))
    return series[..., np.newaxis].astype("float32"), y, event


def build(shape, num_classes):
    """A network of three convolutions over time."""
    return keras.Sequential(
        [
            keras.Input(shape, name="series"),
            layers.Conv1D(16, 9, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling1D(2),
            layers.Conv1D(32, 7, padding="same", activation="relu", name="conv2"),
            layers.Conv1D(32, 5, padding="same", activation="relu", name="conv3"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(num_classes, activation="softmax", name="scores"),
        ]
    )


def draw(comparison, y, event, names, numbers, options):
    """The page."""
    made = event is not None
    page = Page("Attribution for time series")
    page.text(
        f"A network of three convolutions classifies {numbers['accuracy']:.1%} of the test series "
        + (
            "of the cylinder-bell-funnel problem correctly: noise of standard deviation 1 with a plateau, a rise or a fall, about 6 high. "
            f"The event and the {MARGIN} steps next to it fill {numbers['event part of the time']:.0%} of the time, which is the expected "
            "share of random relevance. "
            if made
            else f"of {options.data} correctly. The deciding part is unknown; deletion and insertion measure it by the network. "
        )
        + f"The methods explain the score of the predicted class, for {len(y)} series."
    )
    page.heading("Metrics")
    rows = [
        (name, *(f"{row[metric]['mean']:.3f}" for metric in comparison.values), f"{row['cost']['num_forward_passes']:.0f}")
        for name, row in comparison.table.iterrows()
    ]
    mass = f"Mass in event: the share of positive relevance in the event and {MARGIN} steps next to it; higher is better. "
    page.table(
        rows,
        header=("", *comparison.values, "forward passes"),
        caption=(mass if made else "")
        + "Deletion: mean probability while the most relevant steps are set to zero one after the other; lower is better. "
        "Insertion: mean probability while they are inserted into a series of zeros; higher is better.",
    )
    page.heading("Series")
    chosen = [int(i) for c in range(len(names)) for i in np.flatnonzero(y == c)[:2]]
    page.figure(
        explanations_plot(comparison.explanations, samples=chosen, class_names=names),
        f"{min(2, len(chosen))} series of each class. Red is a positive contribution to the predicted class, blue a negative one.",
    )
    page.heading("Mean over all series")
    return page.figure(
        profiles(comparison.explanations, y, event, names),
        "Mean relevance of all explained series of a class"
        + (", aligned to the event, which begins at 0 and ends at 1. " if made else ". ")
        + "The absolute relevance of each series adds up to 1. Gray: the mean of the series themselves.",
    )


def profiles(explanations, y, event, names):
    """The mean relevance over time for each class and method, aligned to the event if it is known."""
    x = next(iter(explanations.values())).inputs[..., 0]
    places, edges = np.broadcast_to(np.arange(x.shape[1]), x.shape), np.linspace(0, x.shape[1], 41)
    if event is not None:
        start = event.argmax(axis=1)[:, np.newaxis]
        places, edges = (places - start + 0.5) / event.sum(axis=1, keepdims=True), np.linspace(-0.5, 1.5, 41)

    def binned(values, rows):
        totals, counts = (np.histogram(places[rows], edges, weights=each)[0] for each in (values[rows], np.ones_like(x)[rows]))
        return totals / np.maximum(counts, 1)

    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    for i, (name, axes) in enumerate(zip(names, figure.subplots(1, len(names), sharey=True, squeeze=False)[0], strict=True)):
        centers = (edges[1:] + edges[:-1]) / 2
        behind = axes.twinx()
        behind.plot(centers, binned(x, y == i), color="#bbbbbb", linewidth=3)
        behind.set_axis_off()
        axes.set(zorder=1, frame_on=False)
        for (method, explanation), color in zip(explanations.items(), COLORS, strict=True):
            values = explanation.values[..., 0]
            share = values / np.maximum(np.abs(values).sum(axis=1, keepdims=True), 1e-12)
            axes.plot(centers, binned(share, y == i), color=color, label=method, linewidth=1.2)
        axes.axhline(0, color="#1c2024", linewidth=0.6)
        axes.set(title=name, xlabel="time" if event is None else "time, in lengths of the event")
        axes.label_outer(remove_inner_ticks=True)
    figure.axes[0].set_ylabel("relevance of a step")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(COLORS), frameon=False, fontsize=9)
    return figure


if __name__ == "__main__":
    main()
