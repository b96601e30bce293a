"""All benchmarks of speed, compared with the pages that are checked in.

    python benchmarks/speed.py            # an hour on two cores
    python benchmarks/speed.py --quick    # a quarter of an hour, with few turns

Each benchmark times what is compared side by side in one process, so its ratios carry over to other machines, roughly, and seconds do not.
A ratio is slower if it exceeds that of the page by half in a quick run, or by a quarter. The exit status is 1 if one is.
"""

import argparse
import dataclasses
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import report

ROOT = pathlib.Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A script of this folder.

    Attributes:
        keys: How many columns on the left tell what a row is about.
        ratios: The columns that are compared, by their first occurrence.
        quick: Arguments of a quick run.
    """

    keys: int
    ratios: tuple[str, ...]
    quick: tuple[str, ...]


SUITE = {
    "attribution_speed": Benchmark(2, ("ratio",), ("--turns", "3")),
    "rules_cost": Benchmark(2, ("ratio",), ("--turns", "5")),
    "first_call": Benchmark(2, ("first / eager", "last / compiled"), ("--quick",)),
    "openbox_speed": Benchmark(2, ("in CPU time",), ("--quick",)),
    "fbi_speed": Benchmark(1, ("before the latch", "z", "zplus"), ("--turns", "5")),
    "rbm_step": Benchmark(
        2,
        ("contrastive divergence", "contrastive divergence, sampled", "persistent", "reconstruction error"),
        ("--turns", "3"),
    ),
}


def ratios(page: str, benchmark: Benchmark) -> dict[tuple[str, ...], float]:
    """The ratios of the first table of a page, by the left cells of their rows and the names of their columns."""
    _, *after = re.split(r"^(?=\|)", page, maxsplit=1, flags=re.MULTILINE)
    table = "".join(after).partition("\n\n")[0]
    names, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {
        (*row[: benchmark.keys], name): float(row[names.index(name)])
        for row in rows
        for name in benchmark.ratios
        if name in names and _is_number(row[names.index(name)])
    }


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def compared(before: str, now: str, benchmark: Benchmark, most: float) -> list[tuple[str, ...]]:
    """A row of the table for each ratio of a new page that the old one has too."""
    known = ratios(before, benchmark)
    return [
        (", ".join(key), f"{known[key]:.2f}", f"{value:.2f}", "slower" if value > most * known[key] else "")
        for key, value in ratios(now, benchmark).items()
        if key in known
    ]


def main() -> int:
    """Runs the benchmarks one after the other, and shows what has changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"benchmarks to run (default: all of {', '.join(SUITE)})")
    parser.add_argument("--quick", action="store_true", help="few turns")
    options = parser.parse_args()
    unknown = set(options.names) - SUITE.keys()
    if unknown:
        parser.error(f"no benchmarks: {', '.join(sorted(unknown))}; there are {', '.join(SUITE)}")
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names or SUITE:
            start, path = time.monotonic(), pathlib.Path(folder) / f"{name}.md"
            command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", "--output", path]
            subprocess.run([*command, *(SUITE[name].quick if options.quick else ())], check=True, stdout=subprocess.DEVNULL)
            before = (ROOT / "docs/benchmarks" / path.name).read_text(encoding="utf-8")
            found = compared(before, path.read_text(encoding="utf-8"), SUITE[name], 1.5 if options.quick else 1.25)
            print(f"{name}: {len(found)} ratios in {time.monotonic() - start:.0f} s", flush=True)
            rows += [(name, *row) for row in found]
    print(f"\n{report.table(['benchmark', 'row', 'page', 'now', ''], rows, num_texts=2)}")
    return int(any(row[-1] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
