"""Merge the regions of a network on two circles, flatten it to one hidden layer, and measure the loss of fidelity.

    python examples/region_groups.py               # one split, table and pictures
    python examples/region_groups.py --splits 10   # the same for ten splits of the data, with the table of the first

Data, split and network are those of the example in the README of Aletheia, https://github.com/SelfExplainML/Aletheia:
`make_circles` with 2000 samples, noise 0.1 and random state 0, a fifth for testing, and scikit-learn's `MLPClassifier` with four
hidden layers of 40 units, whose weights are copied to a Keras model.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from sklearn.datasets import make_circles
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from keras_xai.openbox import OpenBox, fidelity_curve, flatten_regions, merge_regions, prune_regions
from keras_xai.report import fidelity_plot


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Runs the example.

    Args:
        arguments: Command-line arguments; those of the process by default.

    Returns:
        The test AUC of each model on the first split, by name.
    """
    options = parse(arguments)
    folder = pathlib.Path(options.folder)
    areas = []
    for split in range(options.splits):
        box, x, x_test, y, y_test = prepare(split)
        groups = merge_regions(box, x, options.groups, verbose=0)
        models = {
            "merge": groups,
            "merge, without reassignment": merge_regions(box, x, options.groups, max_rounds=0, verbose=0),
            "merge, fitted to the labels": merge_regions(box, x, options.groups, y=y, verbose=0),
            "flatten": flatten_regions(groups, x, verbose=0),
            "flatten, without fine-tuning": flatten_regions(groups, x, max_steps=0, verbose=0),
            "prune": prune_regions(box, x, options.groups, verbose=0),
        }
        measured = {name: model.fidelity(x_test, y_test) for name, model in models.items()}
        network = fidelity_curve(box, x, y, sizes=[1], test=(x_test, y_test), methods=["prune"], verbose=0).iloc[0]
        areas.append({"network": network["auc"], **{name: each.auc for name, each in measured.items()}})
        if split == 0:
            report(groups, measured, network)
            curve = fidelity_curve(box, x, y, sizes=sizes_of(groups), test=(x_test, y_test))
            print(curve.round(4).to_string(index=False))
            fidelity_plot(curve, "auc").savefig(folder / "region_groups_auc.png", dpi=options.dpi)
            fidelity_plot(curve, "agreement").savefig(folder / "region_groups_agreement.png", dpi=options.dpi)
            groups.plot(x_test, y_test).savefig(folder / "region_groups.png", dpi=options.dpi)
            print(f"\nPictures: {folder / 'region_groups'}*.png")
    if options.splits > 1:
        summarize(areas)
    return areas[0]


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", type=int, default=8, help="number of groups and hidden units (default: %(default)s)")
    parser.add_argument("--splits", type=int, default=1, help="number of splits of the data (default: %(default)s)")
    parser.add_argument("--folder", default=".", help="folder for the pictures (default: the current one)")
    parser.add_argument("--dpi", type=int, default=120, help="resolution of the pictures (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not pathlib.Path(options.folder).is_dir():
        parser.error(f"--folder: {options.folder!r} does not exist; create it first")
    return options


def prepare(split):
    """A box of a trained network, its training and test samples, and their labels."""
    x, y = make_circles(n_samples=2000, noise=0.1, random_state=0)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, random_state=split)
    network = MLPClassifier(
        hidden_layer_sizes=[40] * 4,
        max_iter=2000,
        early_stopping=True,
        n_iter_no_change=100,
        validation_fraction=0.2,
        random_state=0,
    ).fit(x, y)
    model = keras.Sequential(
        [
            keras.Input((2,)),
            *(keras.layers.Dense(40, activation="relu") for _ in range(4)),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.set_weights([array for pair in zip(network.coefs_, network.intercepts_, strict=True) for array in pair])
    return OpenBox(model, dtype="float64", batch_size=500), x, x_test, y, y_test


def report(groups, measured, network):
    """Prints the results on the first split."""
    print(f"{groups.num_regions.sum()} regions, merged to {len(groups)} groups:")
    print(groups.table().to_string(), "\n")
    print(f"{'on the test samples':<30} {'AUC':>7} {'accuracy':>9} {'agreement':>10} {'difference':>11} {'known':>7}")
    print(f"{'network':<30} {network['auc']:7.4f} {network['accuracy']:9.4f}")
    for name, each in measured.items():
        known = "" if each.known is None else f"{each.known:7.1%}"
        print(f"{name:<30} {each.auc:7.4f} {each.accuracy:9.4f} {each.agreement:10.4f} {each.difference:11.4f} {known:>7}")
    print("\nAgreement and difference are with the network's classes and probabilities.\n")


def sizes_of(groups):
    number = int(groups.num_regions.sum())
    return [k for k in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64, 128, 256) if k < number] + [number]


def summarize(areas):
    print(f"\nTest AUC over {len(areas)} splits: mean, minimum, and mean loss against the network")
    for name in areas[0]:
        values = np.array([each[name] for each in areas])
        lost = np.array([each["network"] for each in areas]) - values
        print(f"{name:<30} {values.mean():7.4f} {values.min():7.4f} {lost.mean():8.4f}")


if __name__ == "__main__":
    main()
