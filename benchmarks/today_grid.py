"""Writes the table of today's networks: what works on each, and what is refused for which reason.

`python benchmarks/today_grid.py [NAME ...]` runs the cells of these networks, or of all, that are empty in `docs/benchmarks/today_grid.md`.
Without that page it runs all.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from tests.today import networks

COLUMNS = [*networks.METHODS, *networks.TASKS]


def page(rows):
    """The page with the cells of each network."""
    used = {cell for cells in rows.values() for cell in cells.values()}
    reasons = [f"- *{key}*: {text}." for key, text in networks.REASONS.items() if key in used]
    table = [
        "| network | " + " | ".join(f"`{name}`" for name in COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
        *(
            f"| {network.title} | " + " | ".join(rows[network.title].get(name, "") for name in COLUMNS) + " |"
            for network in networks.ALL.values()
            if rows[network.title]
        ),
    ]
    return "\n".join(
        [
            "# Networks and methods",
            "",
            "The methods that work on networks of keras-hub, `keras.applications` and other current architectures, in small",
            "configurations with random weights, by `python benchmarks/today_grid.py`. The tests run one column for each way to read a",
            "model again, and all columns of some networks; gradients, integrated gradients and occlusion are compared with a plain",
            "`GradientTape` and with differences of scores. Empty cells were not run. All other cells are a `ValueError` that names the",
            "layer or the model, and suggests another method or an argument:",
            "",
            *reasons,
            "",
            *table,
            "",
        ]
    )


def main(names):
    for name in names:
        network, model = networks.ALL[name], None
        for column in networks.OF_EACH_WAY if name in networks.APPLICATIONS else COLUMNS:
            if column in networks.documented(network):
                continue
            model = model or networks.model_of(network)
            cell = networks.outcome(column, network, model)
            print(name, column, cell, flush=True)
            rows = {each.title: networks.documented(each) for each in networks.ALL.values()}
            rows[network.title][column] = cell
            networks.PAGE.write_text(page(rows))


if __name__ == "__main__":
    main(sys.argv[1:] or networks.ALL)
