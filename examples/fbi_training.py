"""Train a network with the FBI loss and with a control, and compare activations and accuracy.

    python examples/fbi_training.py                  # scikit-learn's digits, seconds
    python examples/fbi_training.py --data mnist     # MNIST, from the folder KERAS_XAI_DATA or from keras.datasets

A small convolutional network is trained three times from the same weights: as usual; with the FBI loss of Yoo, Kim & Kang,
"Relevance Regularization of Convolutional Neural Network for Interpretable Classification", which starts at an accuracy of 70 %;
and with a penalty on the activations themselves, a control that makes them sparse without using relevance. The script prints a table
and writes a page of pictures, fbi_training.html.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides TensorFlow's notes on the hardware

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from keras_xai.callbacks import ActivationStatistics, FBIWarmUp
from keras_xai.features import activations
from keras_xai.losses import fbi_penalty
from keras_xai.models import FBIModel
from keras_xai.report import Page, activations_plot

ARMS = {"conventional": "as usual", "FBI": "with the FBI loss", "activations": "with a penalty on activations"}
COLORS = {"conventional": "#555555", "FBI": "#ee6677", "activations": "#4477aa"}
CONVOLUTIONS = {"conv1": 16, "conv2": 16, "conv3": 32}
STATISTICS = {  # title and format
    "maximum": ("maximum", ".2f"),
    "skewness": ("skewness", ".2f"),
    "hoyer": ("Hoyer sparsity", ".3f"),
    "dead_filters": ("dead filters", ".0f"),
}


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Runs the example.

    Args:
        arguments: Command-line arguments; those of the process by default.

    Returns:
        The numbers of the printed table, by name.
    """
    options = parse(arguments)
    (x, y), (x_test, y_test) = load(options)
    keras.utils.set_random_seed(options.seed)
    initial = build(x.shape[1:]).get_weights()
    runs = {}
    for arm, how in ARMS.items():
        print(f"Training {how}, on {len(x)} images.")
        runs[arm] = train(arm, initial, (x, y), (x_test, y_test), options)
    header, rows = table(runs)
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    print()
    for name, *cells in (header, *rows):
        print(f"{name:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True)), sep="  ")
    verdict = judge(runs)
    print(f"\n{verdict}")
    path = draw(runs, x_test, options, (header, rows), verdict).save(options.report)
    print(f"\nPictures: {path}")
    return {f"{name}, {arm}": run[name] for arm, run in runs.items() for name in ("accuracy", "penalty", "hoyer")}


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=("digits", "mnist"), default="digits", help="which images (default: %(default)s)")
    parser.add_argument(
        "--weight", type=share, default=1e-3, help="weight of the penalty, from 0 to 1 (default: %(default)s, as in the paper)"
    )
    parser.add_argument("--rule", choices=("z", "zplus"), default="z", help="rule of relevance (default: %(default)s)")
    parser.add_argument("--epochs", type=positive, help="training epochs (default: 30; mnist: 4)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--report", default="fbi_training.html", help="file to write the page to (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not pathlib.Path(options.report).parent.is_dir():
        parser.error(f"--report: the folder of {options.report!r} does not exist; create it first")
    small = options.data == "digits"
    options.epochs = options.epochs or (30 if small else 4)
    options.batch_size = 32 if small else 128
    return options


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive whole number, received {text!r}")
    return number


def share(text):
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, received {text!r}")
    return number


def load(options):
    """Images `(n, height, width, 1)` from 0 to 1 and labels, for training and test."""
    if options.data == "digits":
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        x, y = load_digits(return_X_y=True)
        x, x_test, y, y_test = train_test_split(x, y, test_size=0.25, stratify=y, random_state=options.seed)
        brightest, shape = 16, (-1, 8, 8, 1)
    else:
        x, y, x_test, y_test = load_mnist()
        brightest, shape = 255, (-1, 28, 28, 1)
    x, x_test = ((images.reshape(shape) / brightest).astype("float32") for images in (x, x_test))
    return (x, y), (x_test, y_test)


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


def build(shape):
    """A network of three convolutions for ten classes."""
    model = keras.Sequential([keras.Input(shape, name="image")])
    for name, filters in CONVOLUTIONS.items():
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu", name=name))
        if name != "conv3":
            model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(64, activation="relu", name="dense"))
    model.add(layers.Dense(10, activation="softmax", name="scores"))
    return model


class SumOfActivations(layers.Layer):
    """Adds the sum of a sample's absolute activations to the loss; off until `on` is 1."""

    def __init__(self, share):
        super().__init__()
        self._share = share
        self.on = self.add_weight(name="on", shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.add_loss(self.on * self._share * ops.sum(ops.absolute(x)) / ops.cast(ops.shape(x)[0], x.dtype))
        return x


class TurnOn(keras.callbacks.Callback):
    """Turns on the penalty of the control, like `FBIWarmUp`."""

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_accuracy"] > 0.7:
            for layer in self.model.layers:
                if isinstance(layer, SumOfActivations):
                    layer.on.assign(1.0)


def train(arm, initial, training_data, test_data, options):
    """Trains one arm and returns its results."""
    keras.utils.set_random_seed(options.seed)  # the same order of images in all arms
    model = build(training_data[0].shape[1:])
    model.set_weights(initial)
    callbacks: list[keras.callbacks.Callback] = []
    trained = model
    if arm == "FBI":
        # The sum over the units of a layer: with a mean, a weight of 0.001 has almost no effect.
        trained = FBIModel(model, weight=options.weight, rule=options.rule)
        callbacks.append(FBIWarmUp(monitor="val_accuracy", threshold=0.7))
    elif arm == "activations":
        trained = with_penalty_on_activations(model, options.weight)
        callbacks.append(TurnOn())
    statistics = ActivationStatistics(test_data[0][:200], list(CONVOLUTIONS))
    trained.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = trained.fit(
        *training_data,
        batch_size=options.batch_size,
        epochs=options.epochs,
        validation_split=0.1,
        callbacks=[*callbacks, statistics],
        verbose=0,
    ).history
    x_test, y_test = test_data
    accuracy = np.mean(model.predict(x_test, batch_size=1000, verbose=0).argmax(axis=-1) == y_test)
    penalty = fbi_penalty(model, x_test[:200], y_test[:200], rule=options.rule)
    last = {path: {name: values[-1] for name, values in each.items()} for path, each in statistics.statistics.items()}
    return {
        "model": model,
        "accuracy": float(accuracy),
        "penalty": float(ops.mean(penalty)),
        "hoyer": float(np.mean([each["hoyer"] for each in last.values()])),
        "statistics": last,
        "curves": {"accuracy": history["val_accuracy"], "hoyer": statistics.statistics["conv3"]["hoyer"]},
    }


def with_penalty_on_activations(model, weight):
    """The model with penalties on the activations that the FBI loss compares with relevance, in the same proportions."""
    x = model.inputs[0]
    for layer in model.layers:
        x = layer(x)
        if layer.name in (*CONVOLUTIONS, "dense"):
            x = SumOfActivations(weight / (len(CONVOLUTIONS) + 2))(x)  # the input is a fifth term of the FBI loss
    return keras.Model(model.inputs, x)


def table(runs):
    """A header and rows of cells."""
    header = ("", *runs)
    rows = [
        ("Test accuracy", *(f"{run['accuracy']:.1%}" for run in runs.values())),
        ("FBI penalty (sum)", *(f"{run['penalty']:.1f}" for run in runs.values())),
    ]
    for path in CONVOLUTIONS:
        for name, (title, form) in STATISTICS.items():
            rows.append((f"{path}: {title}", *(f"{run['statistics'][path][name]:{form}}" for run in runs.values())))
    return header, rows


def judge(runs):
    """Summarizes the effects of the penalty and of the control."""
    plain, fbi, control = (runs[arm] for arm in ARMS)
    fell, fell_too = (1 - run["penalty"] / plain["penalty"] for run in (fbi, control))
    return (
        f"The FBI loss changed the penalty by {-fell:+.0%}, the penalty on activations by {-fell_too:+.0%}; sparsity went from "
        f"{plain['hoyer']:.3f} to {fbi['hoyer']:.3f} and {control['hoyer']:.3f}. Where the two agree, the effect of the FBI loss is that "
        "of smaller activations: nearly all of the penalty is activation, since relevance adds up to one score, and "
        "activations to far more."
    )


def draw(runs, x_test, options, rows, verdict):
    """The page."""
    header, cells = rows
    page = Page("Training with the FBI loss")
    page.text(
        f"A network of three convolutions, trained on {'scikit-learn digits' if options.data == 'digits' else 'MNIST'} three times from "
        f"the same weights for {options.epochs} epochs: {', '.join(ARMS.values())}. Both penalties have the weight "
        f"{options.weight:g} and start at a validation accuracy of 70%. {verdict}"
    )
    page.heading("Results")
    page.table(cells, header=header, caption="Statistics of the activations for 200 test images after the last epoch.")
    page.figure(curves(runs), "Accuracy on the validation images, and Hoyer sparsity of the activations of conv3, by epoch.")
    page.heading("Activations of the filters")
    maps = {arm: activations(run["model"], x_test[:1], list(CONVOLUTIONS)) for arm, run in runs.items()}
    figure = activations_plot(maps)
    return page.figure(
        figure,
        "One test image in the filters of each layer, on one color scale per layer: as figure 2 of the paper, with the control.",
    )


def curves(runs):
    """Accuracy and sparsity by epoch."""
    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for arm, run in runs.items():
        epochs = np.arange(1, len(run["curves"]["accuracy"]) + 1)
        left.plot(epochs, 100 * np.array(run["curves"]["accuracy"]), color=COLORS[arm], label=arm)
        right.plot(epochs, run["curves"]["hoyer"], color=COLORS[arm], label=arm)
    left.set(xlabel="epoch", ylabel="validation accuracy, %")
    right.set(xlabel="epoch", ylabel="Hoyer sparsity, conv3")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    return figure


if __name__ == "__main__":
    main()
