"""What people look for in the built pages, by the scripts and the index that a browser runs."""

import json
import pathlib
import runpy
import shutil
import subprocess
import sys

import pytest

from tests.public import DOCS

# For each query, the pages of which one has to be among the first three.
QUERIES = {
    "which method": {"guide/which_method"},
    "image classifier": {"tutorials/image_classifier"},
    "text": {"tutorials/text_classifier"},
    "LSTM": {"tutorials/time_series"},
    "ResNet50": {"tutorials/image_classifier", "index"},
    "tabular": {"tutorials/table"},
    "transformer": {"tutorials/text_classifier"},
    "grad-cam": {"methods/grad_cam", "tutorials/image_classifier"},
    "compare": {"tutorials/compare_networks"},
    "trust": {"tutorials/trust"},
    "language model": {"tutorials/language_model"},
    "segmentation": {"tutorials/segmentation"},
    "time series": {"tutorials/time_series"},
    "DataFrame": {"tutorials/table"},
    "OpenBox": {"tutorials/network_pieces", "guide/openbox"},
    "pretraining": {"tutorials/interpretable_training", "guide/pretraining"},
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages, built without running the tutorials and without drawing figures: neither is searched."""
    pytest.importorskip("myst_nb")
    folder = tmp_path_factory.mktemp("html")
    extensions = [name for name in runpy.run_path(DOCS / "conf.py")["extensions"] if name != "figures"]
    options = ["-D", "nb_execution_mode=off", "-D", f"extensions={','.join(extensions)}"]
    command = [sys.executable, "-m", "sphinx", "-Q", "-b", "html", *options, DOCS, folder]
    subprocess.run(command, check=True, timeout=600)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="needs node, which runs the search that a browser runs")
def test_searches_find_the_right_page_among_the_first_three(pages):
    script = pathlib.Path(__file__).with_name("search.js")
    printed = subprocess.run(["node", script, pages, *QUERIES], check=True, capture_output=True, text=True, timeout=60).stdout
    found = {query: list(dict.fromkeys(results))[:3] for query, results in json.loads(printed).items()}
    assert found.keys() == QUERIES.keys()
    assert {query: first for query, first in found.items() if not QUERIES[query] & set(first)} == {}
