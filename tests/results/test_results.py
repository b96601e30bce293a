"""What all results have in common, over a table of all of them."""

import ast
import copy
import dataclasses
import importlib
import inspect
import pathlib
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from keras import tree

from keras_xai import results
from keras_xai.data.preprocessing import Preprocessing
from keras_xai.report.figure import ShownFigure
from keras_xai.results import Explanation, Result, Rows
from keras_xai.results.base import chosen_rows
from tests.results import examples
from tests.results.examples import NAME, RESULTS, ROWS

WITH_ROWS = [name for name, make in RESULTS.items() if isinstance(make(), Rows)]
PLOTTED = {name: make for name, make in RESULTS.items() if hasattr(make(), "plot")}


@pytest.fixture(params=RESULTS)
def result(request):
    return RESULTS[request.param]()


@pytest.fixture(params=WITH_ROWS)
def rows(request):
    return RESULTS[request.param]()


def test_the_table_is_complete():
    public = [getattr(results, name) for name in results.__all__]
    classes = {each for each in public if inspect.isclass(each) and issubclass(each, Result)} - {Result, Rows}
    assert {type(make()) for make in RESULTS.values()} == classes
    assert all(each.__dataclass_params__.frozen and each.__final__ for each in classes)


def test_one_short_line(result):
    line = repr(result)
    assert line.startswith(f"<{type(result).__name__} ") and line.endswith(">")
    assert len(line) < 200 and "\n" not in line and "object at" not in line


def test_html_is_escaped(result):
    page = result._repr_html_()
    assert f"{type(result).__name__} " in page
    assert "<script" not in page and "</script" not in page
    if NAME in repr(result):
        assert "&lt;script&gt;alert(" in page


@pytest.mark.parametrize("name", sorted(set(PLOTTED) - {"Diagnosis", "NetworkComparison", "Facets"}))
def test_pictures_in_html(name):
    assert 'src="data:image/png;base64,iVBOR' in RESULTS[name]()._repr_html_()


def test_html_never_fails():
    broken = examples.explanation(values=np.full((ROWS, 8, 8, 1), np.nan))
    assert "none of them finite" in broken._repr_html_() and "<img" not in broken._repr_html_()
    wrong = Explanation(None, None, None, None, None, 1.0, NAME)
    assert "Explanation" in wrong._repr_html_()
    for name in WITH_ROWS:
        empty = RESULTS[name]()[:0]
        assert len(empty) == 0 and "<strong>" in empty._repr_html_()


def test_equal_by_content(result):
    assert result == copy.deepcopy(result)
    assert copy.deepcopy(result) == result
    assert result != "another thing" and result != object()
    with pytest.raises(TypeError, match="unhashable"):
        hash(result)


@pytest.mark.parametrize("name", RESULTS)
def test_every_field_counts(name):
    result = RESULTS[name]()
    for field in dataclasses.fields(result):
        # The table of a comparison follows from its other fields, but for the seconds.
        value = getattr(result, field.name) if field.name != "table" else None
        if field.name == "table":
            other = dataclasses.replace(result, table=result.table.replace(0.125, 0.5))
        elif field.name in ("a", "b", "highest", "lowest", "protocol", "explanations", "layers", "pairs") and not isinstance(
            value, list
        ):
            continue  # results, whose own fields count
        elif isinstance(value, np.ndarray):
            other = dataclasses.replace(result, **{field.name: value + 1})
        elif field.name == "preprocessing":
            other = dataclasses.replace(result, preprocessing=Preprocessing("bgr"))
        else:
            other = dataclasses.replace(result, **{field.name: "something else"})
        assert result != other, field.name


def test_saved_and_loaded(result, tmp_path):
    result.save(tmp_path / "file")
    loaded = type(result).load(tmp_path / "file")
    assert type(loaded) is type(result) and loaded == result and result == loaded
    assert repr(loaded) == repr(result)
    for field in dataclasses.fields(result):
        first, second = getattr(result, field.name), getattr(loaded, field.name)
        assert type(first) is type(second), field.name
        if isinstance(first, np.ndarray):
            assert first.dtype == second.dtype


def test_files_of_other_classes_are_refused(tmp_path):
    for name, make in RESULTS.items():
        make().save(tmp_path / "file.npz")
        other = results.Fidelity if name != "Fidelity" else results.Walls
        with pytest.raises(ValueError, match=rf"written by `{other.__name__}\.save`"):
            other.load(tmp_path / "file.npz")


def test_files_with_other_fields_are_refused(tmp_path):
    from keras_xai.data.fields import write_fields

    for result in (make() for make in RESULTS.values()):
        name = type(result).__name__
        write_fields(tmp_path / "file.npz", {"other": 1}, name)
        with pytest.raises(ValueError, match=rf"written by `{name}\.save`.*'other'"):
            type(result).load(tmp_path / "file.npz")


def test_explanations_written_before_there_was_a_shared_baseline(tmp_path):
    from keras_xai.data.fields import write_fields

    fields = examples.explanation().to_fields()
    del fields["shared_baseline"]
    write_fields(tmp_path / "file.npz", fields, "Explanation")
    assert Explanation.load(tmp_path / "file.npz") == examples.explanation()


def test_callable_targets_count_by_name(tmp_path):
    one = examples.named("margin")
    one.save(tmp_path / "file")
    assert Explanation.load(tmp_path / "file") == one == examples.named("margin") != examples.named("other")
    assert len(one[1:3]) == 2 and one[1:3].target is one.target


def test_pickled(result):
    assert pickle.loads(pickle.dumps(result)) == result


def _cut(value, rows, count):
    """The rows of a field by indexing alone, along the axis whose length is the number of rows."""
    if isinstance(value, np.ndarray):
        axis = list(value.shape).index(count)
        return value[(slice(None),) * axis + (rows,)]
    return type(value)(value[row] for row in rows)


@pytest.mark.parametrize(
    "index", [slice(2, 5), slice(None, None, -2), [4, 0, 0], np.array([True, False] * 3), 1, -1, np.int64(3)]
)
def test_rows(rows, index):
    part, numbers = rows[index], np.atleast_1d(np.arange(ROWS)[index])
    assert type(part) is type(rows) and len(rows) == ROWS and len(part) == len(numbers)
    # What the class says of its fields, held against the fields themselves.
    for name in (*rows._row_axes, *rows._row_lists):
        value = getattr(rows, name)
        if isinstance(value, (dict, list)) and name in rows._row_axes:
            flat = tree.flatten(value), tree.flatten(getattr(part, name))
            for whole, cut in zip(*flat, strict=True):
                np.testing.assert_array_equal(cut, whole[numbers])
        elif value is not None:
            np.testing.assert_equal(getattr(part, name), _cut(value, numbers.tolist(), ROWS))
    # And no array of as many rows is left as it was.
    for field in dataclasses.fields(rows):
        value = getattr(part, field.name)
        if isinstance(value, np.ndarray) and len(numbers) not in (1, ROWS):
            assert ROWS not in value.shape, field.name
    assert len(part[0]) == 1 and part[0] == rows[int(numbers[0])]
    assert rows[:] == rows and (len(part) == ROWS or part != rows)


def test_loops_end(rows):
    assert [len(each) for each in rows] == [1] * ROWS


@pytest.mark.parametrize(
    "index", [ROWS, -ROWS - 1, [0, ROWS], 1.0, "a", None, True, (1, 2), [[0, 1]], np.array([True, False])]
)
def test_there_is_no_such_row(rows, index):
    with pytest.raises(IndexError):
        rows[index]


def test_a_shared_baseline_is_left_whole():
    whole = examples.several_inputs()
    assert whole[:2].baseline[0].shape == (ROWS, 4)
    assert examples.explanation()[:2].baseline.shape == (2, 8, 8, 3)


def test_the_table_of_some_samples_is_theirs():
    whole = examples.comparison()
    part = whole[2:5]
    by_hand = whole.values["Deletion"][NAME][2:5].mean()
    np.testing.assert_allclose(part.table["Deletion"]["mean"][NAME], by_hand)
    assert part.table["cost"].equals(whole.table["cost"])
    assert [len(each) for each in part.explanations.values()] == [3, 3]
    assert np.isnan(whole[1].table["Deletion"]["mean"]["Saliency"])


def test_parts_of_a_diagnosis():
    whole = examples.diagnosis()
    assert len(whole) == 2 and whole[:] == whole
    assert whole[NAME] is whole[1] is whole[-1] is whole.layers[NAME] and list(whole) == list(whole.layers.values())
    part = whole[1:]
    assert list(part.layers) == [NAME] and part.table.equals(whole.table.iloc[1:]) and len(part.plot().axes) == 1
    with pytest.raises(KeyError, match="another"):
        whole["another"]
    with pytest.raises(IndexError):
        whole[2]
    _is_empty(whole[2:])
    with pytest.raises(ValueError, match="at least one layer.*Received"):
        whole[2:].plot_depth()


def test_parts_of_a_comparison_of_networks():
    whole = examples.networks()
    assert len(whole) == 2 and whole[:] == whole and list(whole) == list(whole.pairs)
    part = whole[:1]
    assert part.pairs == whole.pairs[:1] and part.table.equals(whole.table.iloc[:1]) and len(part.plot().axes) == 2
    assert "in all 1 pairs" in part.summary
    _is_empty(whole[2:])
    assert whole[2:].summary == "No layers are compared."


def _is_empty(part):
    """A part without rows has an empty table, and no picture."""
    assert len(part) == 0 and len(part.table) == 0 and part.table.empty
    with pytest.raises(ValueError, match="at least one layer.*Received"):
        part.plot()


def test_indices():
    assert chosen_rows([], 3).tolist() == [] and chosen_rows(range(0), 3).tolist() == []
    assert chosen_rows(np.array([2, -1]), 3).tolist() == [2, 2]


@pytest.mark.parametrize("name", PLOTTED)
def test_plot(name):
    result = RESULTS[name]()
    figure = result.plot(np.zeros((8, 8))) if name == "Facets" else result.plot()
    assert isinstance(figure, ShownFigure) and figure._repr_png_().startswith(b"\x89PNG")


def _methods_that_draw():
    """Each method of the package that calls `drawn`, with that call, as syntax trees."""
    for path in sorted(pathlib.Path(results.__file__).parent.parent.rglob("*.py")):
        text = path.read_text()
        for method in ast.walk(ast.parse(text)) if "from keras_xai.results.pictures import drawn" in text else ():
            if isinstance(method, ast.FunctionDef):
                for call in ast.walk(method):
                    if isinstance(call, ast.Call) and getattr(call.func, "id", None) == "drawn":
                        yield pytest.param(method, call, id=f"{path.stem}.{method.name}")


def test_all_methods_that_draw_are_found():
    assert len(list(_methods_that_draw())) == 20


@pytest.mark.parametrize("method, call", _methods_that_draw())
def test_pictures_are_there(method, call):
    """Results name functions of the report and their arguments, which no import and no type checks."""
    module, name = (argument.value for argument in call.args[:2])
    function = getattr(importlib.import_module(f"keras_xai.report.{module}"), name)
    passed = {keyword.arg for keyword in call.keywords}
    passed_on = passed | {argument.id for argument in call.args if isinstance(argument, ast.Name)}
    keywords = list(call.keywords)
    inspect.signature(function).bind(*call.args[2:], **dict.fromkeys(passed - {"path"}))  # which `drawn` takes
    # Each option has a name, a type, a description and is passed on as it is.
    assert method.args.kwarg is None and method.args.vararg is None
    options = {each.arg for each in method.args.kwonlyargs}
    for other in (each for each in ast.walk(method) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)):
        if other.func.id == "PlotOptions":  # which the function takes in one
            keywords += other.keywords
    assert options <= passed_on | {keyword.arg for keyword in keywords}
    assert all(isinstance(keyword.value, ast.Name) and keyword.value.id == keyword.arg for keyword in keywords)
    given = {each.arg for each in (*method.args.args[1:], *method.args.kwonlyargs)}
    assert set(re.findall(r"^    (\w+): ", ast.get_docstring(method), re.MULTILINE)) - {"ValueError"} == given
    assert all(each.annotation is not None for each in (*method.args.args[1:], *method.args.kwonlyargs))


def test_results_load_no_matplotlib():
    # Beyond what Keras loads, as it loads matplotlib where it is installed.
    code = (
        "import sys, keras; keras.utils.Progbar\n"
        "loaded = [name for name in sys.modules if name.split('.')[0] == 'matplotlib']\n"
        "sys.modules.update(dict.fromkeys(['matplotlib', *loaded]))  # to import them is an error now\n"
        "from tests.results.examples import RESULTS\n"
        "print(*(repr(make()) != '' for make in RESULTS.values()))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert found == ["True"] * len(RESULTS)
