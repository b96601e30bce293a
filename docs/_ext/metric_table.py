"""The table of metrics, from the classes themselves.

Directive: `metric-table`.
"""

import inspect
import pathlib
import sys

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from keras_xai import metrics
from tests.public import concrete


class MetricTable(SphinxDirective):
    """A row for each metric: what it needs besides the explanation, and which values are better."""

    def run(self):
        return [self.from_code()]

    def from_code(self):
        """The table."""
        header = ["Metric", "Needs", "Better"]
        rows = [[name, _needs(metric), _better(metric)] for name, metric in concrete(metrics, metrics.Metric).items()]
        group = nodes.tgroup(cols=len(header))
        group += [nodes.colspec(colwidth=width) for width in (30, 20, 10)]
        group += nodes.thead("", nodes.row("", *(_cell(text) for text in header)))
        group += nodes.tbody("", *(nodes.row("", _cell(name, nodes.literal), *map(_cell, rest)) for name, *rest in rows))
        return nodes.table("", group, classes=["metric-table"])


def _needs(metric):
    found = [name for name in ("model", "method", "masks") if name in inspect.signature(metric).parameters]
    return ", ".join(found) or "nothing else"


def _better(metric):
    return "higher" if metric.higher_is_better else "lower"


def _cell(text, of=nodes.Text):
    return nodes.entry("", nodes.paragraph("", "", of(text, text) if of is nodes.literal else of(text)))


def setup(app):
    app.add_directive("metric-table", MetricTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
