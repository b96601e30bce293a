"""Interpretable Keras models: attribution, exact linear regions, layer diagnosis, interpretable training."""

import importlib
import sys

# Raises for an unsupported backend, at once if Keras has chosen one, else with the first import from here. The command line
# answers `--help` without loading TensorFlow.
if "keras" in sys.modules:
    from keras_xai import backend as backend

__version__ = "0.1.0"

_SUBPACKAGES = (
    "attribution",
    "callbacks",
    "config",
    "diagnosis",
    "explaining",
    "features",
    "graph",
    "kinds",
    "layers",
    "losses",
    "metrics",
    "models",
    "openbox",
    "pretraining",
    "report",
    "results",
    "targets",
)

__all__ = list(_SUBPACKAGES)


def __dir__():
    return sorted([*globals(), *_SUBPACKAGES, "explain"])


def __getattr__(name):
    # Other subpackages load when they are first used: `import keras_xai` costs next to nothing beyond `import keras`.
    if name in _SUBPACKAGES:
        return importlib.import_module(f"keras_xai.{name}")
    if name == "explain":
        return importlib.import_module("keras_xai.explaining").explain
    raise AttributeError(f"module 'keras_xai' has no attribute {name!r}")
