"""The tutorials are short to read, and show nothing that depends on the machine."""

import pathlib
import re
import sys

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs"
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_cells_are_short():
    """Those that are shown at once; loading of data that a reader replaces is folded."""
    lengths = {
        f"{path.name}: {code[:50]!r}": sum(bool(line.strip()) for line in code.splitlines())
        for path in DOCS.glob("tutorials/*.md")
        for options, code in CELL.findall(path.read_text(encoding="utf-8"))
        if "hide-input" not in options
    }
    assert len(lengths) > 50
    assert {name: length for name, length in lengths.items() if length > 12} == {}


def test_progress_bars_are_removed_from_outputs(monkeypatch):
    nodes = pytest.importorskip("docutils.nodes")
    utils = pytest.importorskip("docutils.utils")
    monkeypatch.setattr(sys, "path", [str(DOCS / "_ext"), *sys.path])
    tutorials = pytest.importorskip("tutorials")
    bars = ["  0%|          | 0/1 [00:02<?]", "100%|██████| 1/1 [00:02<00:00]", "1/1 ━━━━━━ 0s 25ms/step"]
    document = utils.new_document("page")
    for text, classes in (
        ("\n".join(bars), ["output", "stream"]),
        ("\n".join([*bars, "accuracy 91%", "", "2 right"]), ["output", "stream"]),
        (bars[1], []),  # of an example that shows one
    ):
        document += nodes.literal_block(text, text, classes=classes)
    tutorials._without_bars(None, document)
    assert [block.astext() for block in document.findall(nodes.literal_block)] == ["accuracy 91%\n2 right", bars[1]]
