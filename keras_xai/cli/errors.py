"""Errors of the command line: messages without tracebacks, and exit codes."""

import _thread
import contextlib
import sys
import threading
import traceback
from collections.abc import Iterator

import click

# What the package and its libraries raise with a message that is written for people.
_EXPLAINED = (ValueError, TypeError, OSError, ImportError, MemoryError, NotImplementedError)


_INTERRUPTED = 130  # what shells report of a process that Ctrl-C has ended
_LATER = 0.02  # seconds


class Failure(click.ClickException):
    """Something failed: a message on stderr, and exit code 1."""

    exit_code = 1


@contextlib.contextmanager
def reported(with_traceback: bool) -> Iterator[None]:
    """Context manager that turns exceptions into a message and exit code 1, and Ctrl-C into 130; those of click pass unchanged.

    Args:
        with_traceback: Whether to print the traceback before the message.
    """
    try:
        with _interrupts_kept():
            yield
    except click.exceptions.Exit:
        raise
    except (Exception, KeyboardInterrupt) as error:
        if _is_interrupt(error):
            click.echo("Interrupted.", err=True)
            raise click.exceptions.Exit(_INTERRUPTED) from error
        if with_traceback:
            traceback.print_exc(file=sys.stderr)
        if isinstance(error, click.ClickException):
            raise
        raise Failure(message(error)) from error


@contextlib.contextmanager
def _interrupts_kept():
    """Context manager in which a Ctrl-C that comes within a finalizer or the callback of a weak reference takes effect after it.

    Python drops exceptions there, and drawing a picture calls thousands of them.
    """
    before = sys.unraisablehook

    def again(unraisable):
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            # From another thread and a little later: at once, it would come within this function, and be dropped as well.
            threading.Timer(_LATER, _thread.interrupt_main).start()
        else:
            before(unraisable)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


def _is_interrupt(error):
    """Whether an exception comes of Ctrl-C, of which native code and libraries make other ones."""
    seen = []
    while error is not None and error not in seen:
        if isinstance(error, (KeyboardInterrupt, click.Abort)):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False


def message(error: BaseException) -> str:
    """The message of an exception for people who do not read Python."""
    text = str(error).strip()
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"Not enough memory. Give fewer samples, or smaller ones. ({first_line(text) or type(error).__name__})"
    if isinstance(error, _EXPLAINED) and text:
        return text
    return f"Unexpected {type(error).__name__}: {text}\nAdd --traceback to see where it was raised."


def first_line(text: str) -> str:
    """The first line of a message, of which Keras and TensorFlow write many."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
