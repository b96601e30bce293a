"""Example scripts as modules."""

import importlib.util
import pathlib


def load_example(name):
    """The module of `examples/<name>.py`."""
    spec = importlib.util.spec_from_file_location(name, pathlib.Path(__file__).parents[1] / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
