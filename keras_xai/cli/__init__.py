"""Command line: `keras-xai explain`, `diagnose` and `openbox`.

Modules here import click and the standard library only; all else is imported when a command runs, so that `--help` answers at once.
"""

from keras_xai.cli.main import main

__all__ = ["main"]
