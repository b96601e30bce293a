"""The house rules that a program can check."""

import ast
import dataclasses
import inspect
import pathlib
import subprocess
import sys

import keras
import pytest

import keras_xai

ROOT = pathlib.Path(keras_xai.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
ORDER = [
    "report",  # draws arrays and asks nothing of the rest, whose results can so be drawn by a method of their own
    "graph",
    "layers",
    "kinds",
    "relevance",
    "losses",
    "openbox",
    "attribution",
    "features",
    "metrics",
    "diagnosis",
    "pretraining",
    "callbacks",
    "models",
]


def _names(path):
    return [str(part) for part in path.relative_to(ROOT).parts]


def _imports(path):
    """What a module imports when it runs: what only type checkers read does not count."""
    tree = ast.parse(path.read_text())
    for block in [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]:
        block.body = [ast.Pass()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(_names(path)))
def test_imports_go_one_way(path):
    package = _names(path)[0]
    if package not in ORDER:
        return
    later = ORDER[ORDER.index(package) + 1 :]
    for module in _imports(path):
        parts = module.split(".")
        assert not (parts[0] == "keras_xai" and len(parts) > 1 and parts[1] in later), f"{module} comes after {package}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(_names(path)))
def test_graph_internals_and_the_backend_stay_in_graph(path):
    if _names(path)[0] == "graph":
        return
    for module in _imports(path):
        assert not module.startswith(("keras.src", "tensorflow")), module


# What builds or extends layers has to name them; what asks what a layer does has to ask its kind.
BUILDERS = {
    "layers/rbm_dense.py": "extends Dense, and converts models to plain Dense",
    "openbox/grouping/flatten.py": "makes a Keras model of a flattened partition",
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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(_names(path)))
def test_only_kinds_name_layers_of_keras(path):
    names = set(_named_layers(path)) - {"Layer"}
    if "/".join(_names(path)) in BUILDERS:
        assert names  # else it needs no exception
    elif _names(path)[0] != "kinds":
        assert not names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(_names(path)))
def test_modules_are_short(path):
    assert len(path.read_text().splitlines()) <= 400


def _public():
    for name in keras_xai.__all__:
        package = getattr(keras_xai, name)
        yield from ((f"{name}.{each}", getattr(package, each)) for each in package.__all__)


@pytest.mark.parametrize("name, thing", list(_public()), ids=lambda value: value if isinstance(value, str) else "")
def test_public_things_are_described_and_take_few_arguments(name, thing):
    assert inspect.getdoc(thing), f"{name} has no docstring"
    functions = [thing] if inspect.isfunction(thing) else [each for _, each in inspect.getmembers(thing, inspect.isfunction)]
    for function in functions:
        if dataclasses.is_dataclass(thing) and function.__name__ == "__init__":
            continue  # of a result, which users read and do not make
        if not function.__module__.startswith("keras_xai"):
            continue  # inherited from Keras
        parameters = [parameter for parameter in inspect.signature(function).parameters if parameter != "self"]
        assert len(parameters) <= 7, f"{name}, {function.__name__}"


def test_import_loads_nothing_that_keras_does_not_and_is_not_used():
    code = (
        "import sys, keras; before = set(sys.modules); import keras_xai.openbox, keras_xai.callbacks; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    new = set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())
    assert not new & {"matplotlib", "sklearn", "shap", "lime", "tf_keras_vis", "pandas"}
    assert "keras_xai" in new
