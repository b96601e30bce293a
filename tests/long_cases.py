"""Cases that take long, and run in the second stage of `.ci/run` only: those of `long_cases.txt`.

`python -m pytest -m "not slow" --durations=0 --durations-min=0.1 | python -m tests.long_cases` writes that file anew. A case is long
if it took more than half a second, unless it is the shortest of its file.
"""

import collections
import pathlib
import re
import sys

LIST = pathlib.Path(__file__).with_suffix(".txt")
SECONDS = 0.5
# What newcomers read first is run first, and some random models are run each time.
NEVER = ("README.md", "tests/network/test_random_models.py")
_LINE = re.compile(r"([\d.]+)s (?:call|setup|teardown)\s+(\S.*\S)\s*$")


def listed() -> set[str]:
    """The identifiers of the cases."""
    return set(LIST.read_text(encoding="utf-8").splitlines())


def chosen(lines) -> list[str]:
    """The long cases of a report on durations, sorted."""
    seconds: dict[str, float] = collections.defaultdict(float)
    for match in filter(None, map(_LINE.match, lines)):
        seconds[match[2]] += float(match[1])
    shortest = {}
    for case, taken in seconds.items():
        file = case.partition("::")[0]
        shortest[file] = min(shortest.get(file, (taken, case)), (taken, case))
    # A file whose cases all took so long that they are in the report keeps one, unless that takes very long itself.
    kept = {case for taken, case in shortest.values() if SECONDS < taken < 4 * SECONDS}
    return sorted(
        case
        for case, taken in seconds.items()
        if taken > SECONDS and case not in kept and case.partition("::")[0] not in NEVER
    )


if __name__ == "__main__":
    LIST.write_text("".join(f"{case}\n" for case in chosen(sys.stdin)), encoding="utf-8")
