"""Example scripts and modules of benchmarks as modules."""

import importlib.util
import pathlib


def load_example(name):
    """The module of `examples/<name>.py`."""
    return _load("examples", name)


def load_benchmark(name):
    """The module of `benchmarks/<name>.py`."""
    return _load("benchmarks", name)


def _load(folder, name):
    spec = importlib.util.spec_from_file_location(name, pathlib.Path(__file__).parents[1] / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
