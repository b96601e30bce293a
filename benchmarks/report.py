"""The command line of a benchmark, what it measures in turn, and the page that it writes."""

import argparse
import pathlib
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

MIB = 2**20


def parser(
    description: str,
    *,
    output: str = "Markdown file to write the table to",
    quick: str = "",
    turns: int | None = None,
    runs: str = "",
) -> argparse.ArgumentParser:
    """A parser of the command line, with the options that several benchmarks have.

    Args:
        description: The benchmark's docstring, of which the first line is shown.
        output: What `--output` is.
        quick: What `--quick` does; by default there is no such option.
        turns: Default of `--turns`; by default there is no such option.
        runs: Default of `--runs`, a file of `runs.Runs`; by default there is no such option.
    """
    made = argparse.ArgumentParser(description=description.splitlines()[0])
    made.add_argument("--output", type=pathlib.Path, help=output)
    if quick:
        made.add_argument("--quick", action="store_true", help=quick)
    if turns is not None:
        made.add_argument("--turns", type=int, default=turns, help="how often each is timed (default: %(default)s)")
    if runs:
        made.add_argument("--runs", type=pathlib.Path, default=pathlib.Path(runs), help="file of finished runs")
    return made


def quick_runs(path: pathlib.Path, name: str) -> pathlib.Path:
    """The file of finished quick runs of a benchmark, beside that of the others."""
    return path.with_name(f"{name}_quick.jsonl")


def command_line(name: str, options: argparse.Namespace) -> str:
    """The command that repeats a run of a benchmark which has the options `--quick` and `--output`."""
    quick = " --quick" if options.quick else ""
    output = f" --output {options.output.as_posix()}" if options.output and not options.output.is_absolute() else ""
    return f"python benchmarks/{name}.py{quick}{output}"


def row(*cells: object) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def head(*names: str) -> list[str]:
    """The first two lines of a Markdown table."""
    return [row(*names), "|---" * len(names) + "|"]


def table(header: Sequence[str], rows: Iterable[Sequence[str]], num_texts: int = 1) -> str:
    """A Markdown table of numbers, which are aligned to the right.

    Args:
        header: The names of the columns.
        rows: The cells.
        num_texts: How many columns on the left are texts.
    """
    rule = ("---",) * num_texts + ("---:",) * (len(header) - num_texts)
    return "\n".join(row(*line) for line in [header, rule, *rows])


def page(lines: Sequence[str], command: str) -> str:
    """A page that ends with the command that made it."""
    return "\n".join([*lines, "", f"Made by `{command}`.", ""])


def publish(text: str, path: pathlib.Path | None) -> None:
    """Prints a page, and writes it where a path is given."""
    print(f"\n{text}")
    if path:
        path.write_text(text, encoding="utf-8")


def clocked(task: Callable, *arguments: object) -> tuple[float, float]:
    """The seconds that a call takes, by the clock and of all CPU cores together."""
    start, start_cpu = time.perf_counter(), time.process_time()
    task(*arguments)
    return time.perf_counter() - start, time.process_time() - start_cpu


def compile_by(task: Callable, *arguments: object) -> None:
    """Calls a task until its programs are compiled: their first calls may be eager ones."""
    from keras_xai.backend.tensorflow.eager import CALLS  # here, since some benchmarks run without TensorFlow

    for _ in range(CALLS + 1):
        task(*arguments)


def in_turn(tasks: Mapping[str, Callable], turns: int, *, cpu: bool = False) -> dict[str, np.ndarray]:
    """The seconds `(turns,)` that each task takes, one after the other in each turn, once all are compiled.

    Args:
        tasks: The tasks by name.
        turns: How many turns.
        cpu: Whether to take the seconds of all CPU cores together, not those of the clock.
    """
    for task in tasks.values():
        compile_by(task)
    turn_seconds = [[clocked(task)[int(cpu)] for task in tasks.values()] for _ in range(turns)]
    return dict(zip(tasks, np.array(turn_seconds).T, strict=True))


def peak_memory() -> float:
    """The largest resident size of this process so far, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB
