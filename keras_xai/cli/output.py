"""The file that a command writes."""

import os
import pathlib
import tempfile

import click


def check_output(path: pathlib.Path, suffixes: tuple[str, ...]) -> None:
    """Checks, before any work, that a file can be written.

    Args:
        path: The file.
        suffixes: The supported ends of its name.

    Raises:
        click.BadParameter: If its folder does not exist or cannot be written to, it is a folder, or its name ends otherwise.
    """
    folder = pathlib.Path(os.path.realpath(path)).parent
    if path.is_dir():
        raise _refused(f"'{path}' is a folder. Add the name of a file, for example '{path / ('report' + suffixes[0])}'.")
    if path.suffix.lower() not in suffixes:
        raise _refused(f"Expected the name of a file that ends in {' or '.join(suffixes)}. Received: '{path}'.")
    if not folder.is_dir():
        raise _refused(f"The folder of '{path}' does not exist. Create it first: mkdir -p '{path.parent}'")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _refused(f"The folder '{path.parent}' cannot be written to: {error.strerror}. Choose another one.") from error
    if path.exists() and not os.access(path, os.W_OK):
        raise _refused(f"'{path}' is write-protected. Choose another name.")


def _refused(text):
    return click.BadParameter(text, param_hint="'--output'")
