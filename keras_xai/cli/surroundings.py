"""Surroundings of a command: quiet TensorFlow, warnings as lines, progress on stderr."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator

import click


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Context manager in which TensorFlow logs nothing, warnings are lines, and everything that is printed goes to stderr.

    Only the name of the written file goes to stdout. Variables that the user has set are respected.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MPLBACKEND", "agg")
    if "keras" not in sys.modules:
        # Keras files are independent of the backend that wrote them.
        os.environ["KERAS_BACKEND"] = "tensorflow"
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _show
        yield


def _show(text, category, filename, lineno, file=None, line=None):
    click.echo(f"Warning: {' '.join(str(text).split())}", err=True)


def bars() -> str | int:
    """`verbose` for the calls of the package: bars in a terminal, none in a log."""
    return "auto" if sys.stderr.isatty() else 0
