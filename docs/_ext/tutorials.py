"""Removes from the outputs of the tutorials what depends on how fast the machine was: progress bars of slow calls."""

import re

from docutils import nodes

_BAR = re.compile(r"━|\d%\||\[\d+:\d\d<")  # of Keras and of this package


def _without_bars(app, doctree):
    for block in list(doctree.findall(nodes.literal_block)):
        if "output" in block["classes"] and _BAR.search(block.astext()):
            kept = [line for line in block.astext().splitlines() if line.strip() and not _BAR.search(line)]
            if kept:
                block.replace_self(nodes.literal_block("\n".join(kept), "\n".join(kept), **block.non_default_attributes()))
            else:
                block.parent.remove(block)


def setup(app):
    app.connect("doctree-read", _without_bars)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
