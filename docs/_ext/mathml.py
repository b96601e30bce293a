"""Renders formulas as MathML, so that pages need no script, font or network.

The conversion is that of docutils.
"""

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

_LOGGER = logging.getLogger(__name__)


def _mathml(node, **options):
    try:
        return tex2mathml(node.astext(), **options)
    except MathError as error:
        _LOGGER.warning("%s In the formula: %s", error, node.astext(), location=node)
        return ""


def _inline(self, node):
    self.body.append(_mathml(node))
    raise nodes.SkipNode


def _display(self, node):
    identifier = f' id="{node["ids"][0]}"' if node["ids"] else ""
    self.body.append(f'<div class="math-display"{identifier}>')
    self.body.append(_mathml(node, as_block=True))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})</span>')
    self.body.append("</div>")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
