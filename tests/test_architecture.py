"""House rules that a program can check; those on imports are contracts of import-linter in `setup.cfg`."""

import ast
import dataclasses
import inspect
import pathlib
import re
import subprocess
import sys

import keras
import pytest

import keras_xai
from tests.public import DOCS

ROOT = pathlib.Path(keras_xai.__file__).parent


def test_modules_are_short():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sorted(ROOT.rglob("*.py"))}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > 400} == {}


# What builds or extends layers has to name them; what asks what a layer does has to ask its kind.
BUILDERS = {
    "layers/rbm_dense.py": "extends Dense, and converts models to plain Dense",
    "openbox/grouping/flatten.py": "makes a Keras model of a flattened partition",
    "graph/steps.py": "names the layers that read masks of their inputs without an argument for them, or remove them",
}


def _named_layers(path):
    """The layer classes of Keras that a module names in code, and the operations whose classes it looks up."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and inspect.isclass(getattr(keras.layers, node.attr, None)):
            if ast.unparse(node.value).rpartition(".")[2].endswith("layers"):
                yield node.attr
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keras.layers"):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Name) and node.id == "operation_class":
            yield node.id


def test_only_kinds_name_layers_of_keras():
    names = {str(path.relative_to(ROOT)): set(_named_layers(path)) - {"Layer"} for path in sorted(ROOT.rglob("*.py"))}
    assert all(names[builder] for builder in BUILDERS)  # else it needs no exception
    assert {name: found for name, found in names.items() if found and not name.startswith("kinds/")}.keys() == BUILDERS.keys()


# Where a private attribute of something else is read, and why.
PRIVATE = {
    ("openbox/regions/tabular.py", "_check_feature_names"): "how estimators of scikit-learn before 1.6 check theirs",
    ("openbox/regions/tabular.py", "_check_n_features"): "the same",
}


def _private_attributes(path):
    """Attributes with a leading underscore of anything but `self`, `cls` and `super()`."""
    for node in ast.walk(ast.parse(path.read_text())):
        private = isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        private = private and node.attr != "_asdict"  # of named tuples, whose public methods begin so
        if private and ast.unparse(node.value) not in ("self", "cls", "super()"):
            yield node.attr


def test_no_private_attribute_of_another_class_is_read():
    checked = [*(ROOT / "openbox").rglob("*.py"), *(ROOT / "report").rglob("*.py"), *(ROOT / "results").rglob("*.py")]
    checked.append(ROOT / "attribution/gradient/decision_features.py")
    found = {(str(path.relative_to(ROOT)), name) for path in checked for name in _private_attributes(path)}
    assert found == PRIVATE.keys()


def _functions(thing):
    """The functions in which a public thing takes arguments; those of a result's constructor are not the users' to write."""
    functions = [thing] if inspect.isfunction(thing) else [each for _, each in inspect.getmembers(thing, inspect.isfunction)]
    for function in functions:
        of_result = dataclasses.is_dataclass(thing) and function.__name__ == "__init__"
        if not of_result and function.__module__.startswith("keras_xai"):  # others are inherited from Keras
            yield function


# Options of `FBIModel`, or of what is returned; integrated gradients have options of the
# quadrature besides the layer and the unit of other methods; pictures have options of what is drawn, named and saved. One call for people
# who do not want to choose takes all that may be known of a model and its data.
MORE = {
    "explain.explain": 12,
    "fbi_penalty.fbi_penalty": 9,
    "FBIModel.__init__": 8,
    "IntegratedGradients.__init__": 8,
    "explanations_plot.explanations_plot": 15,
    "Explanation.plot": 15,
    "Comparison.plot": 14,
    "AttentionMaps.plot": 8,
    "Plane.plot": 8,
    "maps_plot.maps_plot": 8,
    "parallel_coordinates.parallel_coordinates": 8,
}


@pytest.mark.parametrize("package", keras_xai.__all__)
def test_public_things_are_described_and_take_few_arguments(package):
    public = {name: getattr(getattr(keras_xai, package), name) for name in getattr(keras_xai, package).__all__}
    assert [name for name, thing in public.items() if not inspect.getdoc(thing)] == []
    counts = {
        f"{name}.{function.__name__}": len(inspect.signature(function).parameters.keys() - {"self"})
        for name, thing in public.items()
        for function in _functions(thing)
    }
    assert {name: count for name, count in counts.items() if count > 7} == {
        name: count for name, count in MORE.items() if name in counts
    }


def test_import_loads_nothing_that_keras_does_not_and_is_not_used():
    code = (
        "import sys, keras; before = set(sys.modules); import keras_xai.openbox, keras_xai.callbacks; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    new = set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())
    assert not new & {"matplotlib", "sklearn", "shap", "lime", "tf_keras_vis", "pandas", "keras_hub"}
    assert "keras_xai" in new


def test_each_page_of_a_method_has_a_picture_with_a_caption():
    pages = {path: path.read_text() for path in (DOCS / "methods").glob("*.md") if path.name != "index.md"}
    # Alternative text, a file, and a line in italics.
    found = {path: re.findall(r"^!\[[^\]]+\]\((\S+)\)\n\n\*[^*\s]", text, re.MULTILINE) for path, text in pages.items()}
    assert [path.name for path, shown in found.items() if not shown] == []
    shown = {(DOCS / "methods" / name).resolve() for names in found.values() for name in names}
    assert [path.name for path in sorted(shown) if not path.is_file()] == []
    assert {path.resolve() for path in (DOCS / "methods" / "pictures").iterdir()} <= shown  # no picture is left over
