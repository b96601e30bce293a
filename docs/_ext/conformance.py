"""Table of attribution methods by model type, from the grid that the tests check.

Directive: `conformance-table`.
"""

import pathlib
import sys

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from tests.attribution.grid import CASES, METHODS, REFUSED


class ConformanceTable(SphinxDirective):
    """A row for each method, a column for each model type; below it, the reasons of refused cells."""

    def run(self):
        self.env.note_reread()
        reasons = list(dict.fromkeys(REFUSED.values()))
        header = ["Method", *(case.title for case in CASES.values())]
        body = []
        for method in METHODS:
            cells = [nodes.entry("", nodes.paragraph("", "", nodes.literal(method, method)))]
            for name in CASES:
                reason = REFUSED.get((method, name))
                text = "yes" if reason is None else f"error {reasons.index(reason) + 1}"
                cells.append(nodes.entry("", nodes.paragraph(text, text)))
            body.append(nodes.row("", *cells))
        group = nodes.tgroup(cols=len(header))
        group += [nodes.colspec(colwidth=width) for width in (22, *[8] * len(CASES))]
        group += nodes.thead("", nodes.row("", *(nodes.entry("", nodes.paragraph(text, text)) for text in header)))
        group += nodes.tbody("", *body)
        table = nodes.table("", group, classes=["conformance-table"])
        listed = nodes.enumerated_list("", *(nodes.list_item("", nodes.paragraph(text, text)) for text in reasons))
        return [table, listed] if reasons else [table]


def setup(app):
    app.add_directive("conformance-table", ConformanceTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
