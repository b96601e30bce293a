"""The types of the public functions, read as a user's type checker reads them; and that what it accepts runs."""

import ast
import importlib
import inspect
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest

import keras_xai
from keras_xai.attribution import Method
from keras_xai.metrics import Metric
from tests.public import concrete
from tests.typed import user

FOLDER = pathlib.Path(__file__).parent
pytestmark = pytest.mark.slow


def checked(path):
    command = [sys.executable, "-m", "mypy", "--config-file", FOLDER / "mypy.ini", "--no-incremental", path]
    return subprocess.run(command, capture_output=True, text=True, cwd=FOLDER.parents[1], check=False)


def test_a_script_passes_the_strict_checks():
    pytest.importorskip("mypy")
    found = checked(FOLDER / "user.py")
    assert found.returncode == 0, found.stdout


WRONG = {
    'SHAP(model, explainer="kernels")': "explainer",
    'ROAD(model, order="first")': "order",
    'FBIModel(model, reduction="average")': "reduction",
    'Saliency(model, verbose="silent")': "verbose",
    'local.decision_features(against="second")': "against",
    'OpenBox(model, dtype="float16")': "dtype",
    "GradCAM(model).target": "target",
    "Saliency(model, steps=3)": "steps",
    "ContrastiveDivergence(sparsity=0.05)": "sparsity",
}


def test_the_checks_find_what_is_wrong(tmp_path):
    pytest.importorskip("mypy")
    imports = {
        "attribution": "SHAP, GradCAM, Saliency",
        "metrics": "ROAD",
        "models": "FBIModel",
        "openbox": "LinearPieces, OpenBox",
        "pretraining": "ContrastiveDivergence",
    }
    head = "import keras\n" + "".join(f"from keras_xai.{module} import {names}\n" for module, names in imports.items())
    head += "def use(model: keras.Model, local: LinearPieces) -> None:\n"
    path = tmp_path / "wrong.py"
    path.write_text(head + "".join(f"    {line}\n" for line in WRONG))
    lines = [line for line in checked(path).stdout.splitlines() if "error:" in line]
    first = head.count("\n") + 1
    for number, name in enumerate(WRONG.values(), first):
        assert any(f":{number}: " in line and f'"{name}"' in line for line in lines), (number, name, lines)


def test_each_public_function_is_there():
    used = {node.id for node in ast.walk(ast.parse((FOLDER / "user.py").read_text())) if isinstance(node, ast.Name)}
    for package in keras_xai.__all__:
        module = importlib.import_module(f"keras_xai.{package}")
        functions = {name for name in module.__all__ if inspect.isfunction(getattr(module, name))}
        wanted = functions | concrete(module, Method).keys() | concrete(module, Metric).keys()
        assert wanted - used <= {"register", "shared"}  # for those who add a layer or a rule


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((60, 8, 8, 1)).astype("float32"), np.arange(60) % 3


def test_it_runs(images, tmp_path):
    x, y = images
    model = user.classifier(x.shape[1:])
    assert user.attributions(model, x[:4], y[:4])
    comparison, ratings = user.rated(model, x[:3])
    assert len(comparison) == 3 and np.isfinite(ratings).all()
    assert len(user.pieces(user.flat_classifier(), x[:30, :2, :4].reshape(30, 8), y[:30]))
    assert user.interpretable(x[:, :2, :4].reshape(60, 8), y).built
    compared = user.diagnosed(model, x, y)
    assert compared.summary
    assert "<h1>" in user.seen(model, x[:30]).html()
    assert user.logged(model, x, str(tmp_path))
    table = pd.DataFrame(x[:, 0, :, 0], columns=list("abcdefgh"))
    assert user.page(user.flat_classifier(), table, y).reasons
    graph, step = user.read(model)
    assert step in graph.steps
    transformer = user.transformer()
    assert user.attention(transformer, np.array([[1, 2, 3, 0]])).maps
    generated = user.generation(user.language_model(), [1, 2, 3])
    assert len(generated.tokens) == 5
    user.saved(compared.a, generated, tmp_path)
    assert {"depth.pdf", "matrix.svg", "picture.png"} <= {each.name for each in tmp_path.iterdir()}
    assert keras.config.floatx() == "float32"
