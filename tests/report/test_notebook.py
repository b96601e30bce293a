"""A real kernel shows each figure exactly once, and pyplot those of a script."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

# Cells, and the types of what each of them shows in place of text.
SETUP = """
import numpy as np
from keras_xai.report import Page, heatmap
from keras_xai.results import EmbeddingMap

found = EmbeddingMap(np.eye(9, 2), "layer", 5.0, 1.0, 0.5)
"""
CELLS = {
    SETUP: [],
    "found.plot()": ["png"],  # the first one: nothing has loaded pyplot before
    "figure = found.plot()": ["png"],
    "figure": ["png"],
    "None": [],
    "for _ in range(2):\n    found.plot()": ["png", "png"],
    "found.plot();": ["png"],
    "display(found.plot())": ["png"],
    "figure = found.plot()\nfigure.axes[0].set_title('later')\nfigure": ["png"],
    "def draw():\n    found.plot()\ndraw()\nprint('done')": ["png"],
    "found": ["html"],
    "display(found)\nfound._repr_html_();": ["html"],
    "_ = Page('page').figure(found.plot(), 'map')": [],
    "heatmap(np.eye(3))\nNone": ["png"],
    "try:\n    found.plot(cells=0, images=np.ones((9, 4, 4)))\nexcept ValueError:\n    pass": [],
    "from matplotlib import pyplot\npyplot.plot([1, 2])\nfound.plot()": ["png", "png"],
    "with pyplot.ioff():\n    figure = found.plot()\npyplot.show()": ["png"],
    "%config InlineBackend.figure_formats = ['svg']\nfound.plot()": ["svg+xml"],
    "len(pyplot.get_fignums())": ["0"],
}


def shown(cell):
    """What a cell shows, the richest form of each output."""
    found = []
    for output in cell.outputs:
        if output.output_type in ("display_data", "execute_result"):
            types = [each.partition("/")[2] for each in output.data if each != "text/plain"]
            found.append(types[0] if types else output.data["text/plain"])
        assert output.output_type != "error", output
    return found


@pytest.mark.slow
def test_a_notebook_shows_each_figure_once():
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    NotebookClient(notebook, kernel_name="python3", timeout=300).execute(env=environment)
    assert {cell.source: shown(cell) for cell in notebook.cells} == CELLS


BACKEND = """
    from matplotlib.backend_bases import FigureCanvasBase, FigureManagerBase
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    shown = []

    class Manager(FigureManagerBase):
        @classmethod
        def pyplot_show(cls, *, block=None):
            from matplotlib._pylab_helpers import Gcf

            shown.extend(manager.canvas.figure for manager in Gcf.get_all_fig_managers())

    class FigureCanvas(FigureCanvasAgg):
        required_interactive_framework = None
        manager_class = Manager
"""
SCRIPT = """
    import json, numpy as np
    from matplotlib import pyplot
    from keras_xai.report import Page
    from keras_xai.results import EmbeddingMap

    found = EmbeddingMap(np.eye(9, 2), "layer", 5.0, 1.0, 0.5)
    figures = [found.plot() for _ in range(2)]
    Page("page").figure(found.plot(), "map")
    found._repr_html_()
    pyplot.show()
    import windows
    print(json.dumps([windows.shown == figures, len(windows.shown), len(pyplot.get_fignums())]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend, shows", [("module://windows", True), ("agg", False)])
def test_pyplot_shows_the_figures_of_a_script(tmp_path, backend, shows):
    (tmp_path / "windows.py").write_text(textwrap.dedent(BACKEND))
    environment = os.environ | {"MPLBACKEND": backend, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
    assert json.loads(printed.stdout.splitlines()[-1]) == ([True, 2, 2] if shows else [False, 0, 0])
