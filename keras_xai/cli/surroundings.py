"""Surroundings of a command: quiet libraries, warnings as lines, progress on stderr."""

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Literal

import click


@contextlib.contextmanager
def quiet_libraries(*, logged: bool = False) -> Iterator[None]:
    """Context manager in which libraries log nothing, warnings are lines, and everything that is printed goes to stderr.

    Only the name of the written file goes to stdout. Variables that the user has set are respected.

    Args:
        logged: Whether to show what libraries log.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if logged else "3")
    os.environ.setdefault("MPLBACKEND", "agg")
    if "keras" not in sys.modules:
        # Keras files are independent of the backend that wrote them.
        os.environ["KERAS_BACKEND"] = "tensorflow"
    with contextlib.ExitStack() as stack:
        if not logged:
            stack.enter_context(_errors_only("tensorflow", "absl"))
            stack.enter_context(_native_output_hidden())
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _show
        yield


@contextlib.contextmanager
def _errors_only(*names):
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _native_output_hidden():
    """Hides what native code writes on stderr: TensorFlow logs before its own settings of logging apply."""
    try:
        descriptor = sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):  # a replacement of it, as in tests
        yield
        return
    sys.stderr.flush()
    kept, hidden, stream = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY), sys.stderr
    # Python's own messages go to the copy.
    sys.stderr = io.TextIOWrapper(os.fdopen(os.dup(kept), "wb", 0), "utf-8", "backslashreplace", write_through=True)
    os.dup2(hidden, descriptor)
    os.close(hidden)
    try:
        yield
    finally:
        sys.stderr.close()
        os.dup2(kept, descriptor)
        os.close(kept)
        sys.stderr = stream


def _show(text, category, filename, lineno, file=None, line=None):
    click.echo(f"Warning: {' '.join(str(text).split())}", err=True)


def bars() -> Literal["auto", 0]:
    """`verbose` for the calls of the package: bars in a terminal, none in a log."""
    return "auto" if sys.stderr.isatty() else 0
