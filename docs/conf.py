"""Configuration of the documentation: `python -m sphinx -W --keep-going -b html docs docs/_build/html`.

The tutorials are run at each build. With real data in the folder that KERAS_XAI_DATA names, they explain pretrained networks and film
reviews; without, they fall back to what the dependencies bring along.
"""

import os
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "_ext"))

from docutils import nodes

import keras_xai

project = "keras_xai"
author = "The keras_xai authors"
project_copyright = "The keras_xai authors, Apache License 2.0"
version = release = keras_xai.__version__

extensions = [
    "myst_nb",  # reads the other pages as well
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
    "complete_api",
    "conformance",
    "figures",
    "layer_tables",
    "mathml",
    "metric_table",
    "tutorials",
]
exclude_patterns = ["_build", "_ext", "benchmarks"]
default_role = "code"  # docstrings mark code with single backticks
suppress_warnings = ["myst.header"]  # the included benchmarks start at their own heading level

html_theme = "furo"
html_title = f"keras_xai {release}"
html_static_path = ["_static"]
html_css_files = ["keras_xai.css"]
html_copy_source = False
html_show_sphinx = False
html_math_renderer = "mathml"
pygments_style = "friendly"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

nb_execution_mode = "auto"
nb_execution_timeout = 240  # seconds a cell
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True
nb_output_stderr = "remove"  # TensorFlow's notes on the hardware
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Copies code without the prompts and the results.
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
copybutton_exclude = ".linenos, .gp, .go"
copybutton_selector = "div:not(.output) > div.highlight > pre"

autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = ["Reference"]

bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"
bibtex_default_style = "plain"


def _markdown_links(app, what, name, obj, options, lines):
    """Docstrings cite as [Author, year](url); reStructuredText writes `Author, year <url>`__."""
    lines[:] = [re.sub(r"\[([^\]]+)\]\((https?://[^)\s]+)\)", r"`\1 <\2>`__", line) for line in lines]


def _without_constructor(app, what, name, obj, options, signature, return_annotation):
    """Hides the constructors of results, which only the package calls."""
    return ("", None) if name in ("keras_xai.openbox.LinearPieces", "keras_xai.openbox.Walls") else None


def _trimmed_code(app, doctree):
    """Removes the blank line that ends the expected output of a doctest."""
    for block in doctree.findall(nodes.literal_block):
        block.rawsource = block.rawsource.rstrip()
        block.children = [nodes.Text(block.astext().rstrip())]


def setup(app):
    app.connect("autodoc-process-docstring", _markdown_links)
    app.connect("autodoc-process-signature", _without_constructor)
    app.connect("doctree-read", _trimmed_code)
