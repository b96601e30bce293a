"""Train a small convolutional network on handwritten digits, and explain what it answers.

    python examples/quickstart.py

Takes a few seconds and no download. The script prints which methods explain the network best, and writes a page with the pictures,
`report.html`.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides TensorFlow's notes on the hardware

import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_xai

DIGITS = [str(digit) for digit in range(10)]


def main(arguments: list[str] | None = None) -> keras_xai.explaining.ExplanationReport:
    """Runs the example.

    Args:
        arguments: Command-line arguments; those of the process by default.

    Returns:
        The report.
    """
    options = parse(arguments)
    keras.utils.set_random_seed(options.seed)
    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x.reshape(-1, 8, 8, 1) / 16, y, stratify=y, random_state=options.seed)

    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=options.epochs, validation_data=(x_test, y_test), verbose=2)

    report = keras_xai.explain(model, x_test, y_test, class_names=DIGITS, seconds=options.seconds, seed=options.seed)
    print(report)
    print(f"Pictures: {report.save(options.report)}")
    return report


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=positive, default=8, help="training epochs (default: %(default)s)")
    parser.add_argument("--seconds", type=positive, default=15, help="time for the explanation (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--report", default="report.html", help="file to write the page to (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not pathlib.Path(options.report).parent.is_dir():
        parser.error(f"--report: the folder of {options.report!r} does not exist; create it first")
    return options


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive whole number, received {text!r}")
    return number


if __name__ == "__main__":
    main()
