"""Example scripts and modules of benchmarks as modules."""

import importlib.util
import pathlib
import sys


def load_example(name):
    """The module of `examples/<name>.py`."""
    return _load("examples", name)


def load_benchmark(name):
    """The module of `benchmarks/<name>.py`."""
    return _load("benchmarks", name)


def _load(folder, name):
    path = pathlib.Path(__file__).parents[1] / folder
    spec = importlib.util.spec_from_file_location(name, path / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path))  # as for a script, which may import others beside it
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path))
    return module
