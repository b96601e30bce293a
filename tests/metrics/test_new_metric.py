"""A metric that the package has never seen is used everywhere after one class, written by the public API alone."""

import importlib.util
import pathlib

import keras
import numpy as np
import pytest

from keras_xai import metrics
from keras_xai.attribution import GradientTimesInput, Saliency
from keras_xai.metrics import Metric, compare_methods
from tests import public
from tests.metrics import contract, oracles
from tests.slow import quickly


class LargestShare(Metric):
    """The share of the largest value in the sum of all absolute values."""

    higher_is_better = True

    def _rate(self, explanation):
        rows = [np.abs(values).reshape(len(values), -1) for values in keras.tree.flatten(explanation.values)]
        row = np.concatenate(rows, axis=1)
        total = row.sum(axis=1)
        return np.where(total > 0, row.max(axis=1) / np.where(total > 0, total, 1), 0)


def largest_share(model, method, explanation, masks):
    return [max(map(abs, values.ravel())) / sum(map(abs, values.ravel())) for values in explanation.values]


SECTION = """# Metrics

## LargestShare

**Question.** ... **Source.** ... **Cost.** ... **When it misleads.** ...

## Another
"""


@pytest.mark.parametrize("name", quickly(contract.CASES, "several inputs"))
def test_it_keeps_the_contract_on_all_data(name):
    contract.check_cell(LargestShare, name)


def test_it_keeps_the_rest_of_the_contract(monkeypatch, tmp_path):
    monkeypatch.setitem(oracles.ORACLES, LargestShare, largest_share)
    contract.check_oracle(LargestShare)
    monkeypatch.setattr(public, "DOCS", tmp_path)
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "metrics.md").write_text(SECTION)
    contract.check_documentation(LargestShare)
    (tmp_path / "methods" / "metrics.md").write_text(SECTION.replace("**Cost.**", ""))
    with pytest.raises(AssertionError, match=r"lacks \*\*Cost.\*\*"):
        contract.check_documentation(LargestShare)


def test_exports_and_tables_take_it(monkeypatch):
    pytest.importorskip("sphinx")
    path = pathlib.Path(__file__).parents[2] / "docs" / "_ext" / "metric_table.py"
    spec = importlib.util.spec_from_file_location("metric_table", path)
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    monkeypatch.setattr(metrics, "LargestShare", LargestShare, raising=False)
    monkeypatch.setattr(metrics, "__all__", [*metrics.__all__, "LargestShare"])
    rows = [row.astext().split() for row in tables.MetricTable.from_code(None).findall(tables.nodes.row)]
    assert ["LargestShare", "nothing", "else", "higher"] in rows
    assert ["MaxSensitivity", "method", "lower"] in rows


def test_methods_are_compared_by_it():
    case = contract.CASES["image"]
    methods = [Saliency(case.model), GradientTimesInput(case.model)]
    found = compare_methods(case.model, case.x, methods, [LargestShare()])
    assert found.higher_is_better == {"LargestShare": True}
    for method in methods:
        expected = largest_share(None, None, method(case.x), None)
        np.testing.assert_allclose(found.values["LargestShare"][method.label], expected, rtol=1e-5)
        assert found.table.loc[method.label, "LargestShare"]["mean"] == pytest.approx(np.mean(expected), rel=1e-5)
    assert "LargestShare ↑" in {text.get_text() for axes in found.plot(1).axes for text in axes.texts}
