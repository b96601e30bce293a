"""`benchmarks/speed.py` reads the pages of the benchmarks, and sees what has become slower."""

import pytest

from tests.examples import load_benchmark

speed = load_benchmark("speed")
PAGE = """# Title

| network | method | ms | ratio |
|---|---|---:|---:|
| CNN | first | 7.0 | 1.00 |
| CNN | second | 7.0 | - |
| CNN | third | 9.0 | {ratio} |

| network | method | ms | ratio |
|---|---|---:|---:|
| CNN | memory | 7.0 | 9.00 |
"""


def test_what_is_slower_is_seen():
    benchmark = speed.Benchmark(2, ("ratio",), ())
    before, same, slower = (PAGE.format(ratio=ratio) for ratio in ("2.00", "2.50", "2.51"))
    assert speed.ratios(before, benchmark) == {("CNN", "first", "ratio"): 1.0, ("CNN", "third", "ratio"): 2.0}
    assert [row[-1] for row in speed.compared(before, same, benchmark, 1.25)] == ["", ""]
    assert [row[-1] for row in speed.compared(before, slower, benchmark, 1.25)] == ["", "slower"]


@pytest.mark.parametrize("name", speed.SUITE)
def test_every_page_has_the_ratios(name):
    benchmark = speed.SUITE[name]
    found = speed.ratios((speed.ROOT / f"docs/benchmarks/{name}.md").read_text(encoding="utf-8"), benchmark)
    assert {key[-1] for key in found} == set(benchmark.ratios) and min(found.values()) > 0
