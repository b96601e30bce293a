"""Warns about public names that the API reference does not document."""

import importlib

from sphinx.util import logging

import keras_xai

_LOGGER = logging.getLogger(__name__)


def _check(app, env):
    described = env.domains["py"].objects
    for package in (f"{keras_xai.__name__}.{name}" for name in keras_xai.__all__):
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            # A class that two packages export is documented once, and may be listed under its own module.
            if f"{package}.{name}" not in described and f"{value.__module__}.{value.__qualname__}" not in described:
                _LOGGER.warning("%s.%s is public, but the API reference does not document it.", package, name)


def setup(app):
    app.connect("env-check-consistency", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
