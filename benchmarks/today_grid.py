"""Writes the table of today's networks: what works on each, and what is refused for which reason.

`python benchmarks/today_grid.py [NAME ...]` runs each cell and updates the rows of these networks, or of all, in `docs/benchmarks/today_grid.md`.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.today.networks import APPLICATIONS, METHODS, NETWORKS, OF_EACH_WAY, PAGE, REASONS, TASKS, model_of, outcome

COLUMNS = [*METHODS, *TASKS]
ALL = {**NETWORKS, **APPLICATIONS}
_START = "| network |"


def rows() -> dict[str, str]:
    """The rows of the page by the network's title."""
    lines = PAGE.read_text().splitlines() if PAGE.exists() else []
    return {line.split("|")[1].strip(): line for line in lines if line.startswith("| ") and not line.startswith(_START)}


def page(found: dict[str, str]) -> str:
    """The page with these rows."""
    reasons = "\n".join(
        f"- *{key}*: {text}." for key, text in REASONS.items() if any(f"| {key} " in row for row in found.values())
    )
    ordered = [found[network.title] for network in ALL.values() if network.title in found]
    header = [f"{_START} " + " | ".join(f"`{name}`" for name in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    return (
        f"""# Networks and methods

What works on the networks of keras-hub, of `keras.applications`, and on others of today, in small configurations with
random weights, by `python benchmarks/today_grid.py`. The tests run each cell again; gradients, integrated gradients and occlusion are compared with a
plain `GradientTape` and with differences of scores. Empty cells were not run. All others are a `ValueError` that names the layer and another method:

{reasons}

"""
        + "\n".join([*header, *ordered])
        + "\n"
    )


def main(names):
    for name in names:
        network = ALL[name]
        model = model_of(network)
        run = OF_EACH_WAY if name in APPLICATIONS else COLUMNS
        cells = [outcome(column, network, model) if column in run else "" for column in COLUMNS]
        print(name, dict(zip(COLUMNS, cells, strict=True)), flush=True)
        PAGE.write_text(page(rows() | {network.title: f"| {network.title} | " + " | ".join(cells) + " |"}))


if __name__ == "__main__":
    main(sys.argv[1:] or ALL)
