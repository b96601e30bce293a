"""How completely DeepLIFT and DeepSHAP distribute the change of the score, on the networks of today's table.

    python benchmarks/completeness.py --output docs/benchmarks/completeness.md    # five minutes on one core

The networks are those of `tests/today/networks.py`, small and with random weights; a `NAME` chooses some of them.
"""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import keras
import report

from tests.today import networks

METHODS = ("DeepLIFT", "DeepSHAP")
_LIMIT = 1e-5  # above it, the network is measured in float64 as well


def main(arguments: list[str] | None = None) -> None:
    """Measures, and shows the table."""
    parser = report.parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks to measure (default: all)")
    options = parser.parse_args(arguments)
    rows, largest, rounded = [], 0.0, []
    for name in options.names or networks.NETWORKS:
        network = networks.NETWORKS[name]
        cells = networks.documented(network)
        if any(cells[method] != "yes" for method in METHODS):
            rows.append((network.title, *(cells[method] for method in METHODS), "", ""))
            continue
        ratios, change = measured(network)
        exact = max(ratios) > _LIMIT
        if exact:
            rounded.append(network.title)
        else:
            largest = max(largest, *ratios)
        rows.append((network.title, *map(number, ratios), number(change), number(max(in_float64(network))) if exact else ""))
        print(*rows[-1], flush=True)
    lines = [
        "# Completeness of DeepLIFT and DeepSHAP",
        "",
        "The share of the score difference from the baseline that is not distributed: the convergence delta divided by the difference, the "
        'maximum over the samples, in float32. The networks are those of the table "Networks and methods", small and with random weights. '
        "The baseline is zero; for DeepSHAP it is a background of one sample. For refused networks the table has the reason.",
        "",
        report.table(["network", *METHODS, "smallest change", "in float64"], rows),
        "",
        f"The largest share is {number(largest)}, except for {' and '.join(rounded) or 'none'}, whose score differences are small compared "
        "with the terms that are subtracted. These are complete in float64, see the last column.",
    ]
    report.publish(report.page(lines, "python benchmarks/completeness.py"), options.output)


def measured(network):
    """The largest part by each method, and the smallest change."""
    model = networks.model_of(network)
    found = [networks.lost(networks.explain(method, network, model)) for method in METHODS]
    return [(delta / change).max() for delta, change in found], found[0][1].min()


def in_float64(network):
    """The largest part by each method in a network of float64, whose random weights are others."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        return measured(network)[0]
    finally:
        keras.config.set_dtype_policy(before)


def number(value):
    """A number in the table."""
    return f"{value:.1e}"


if __name__ == "__main__":
    main()
