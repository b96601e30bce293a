"""The scopes of Keras and TensorFlow that a thread is in."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from tensorflow.python.eager import context
from tensorflow.python.framework import ops

from keras_xai.backend.scopes import keras_scopes_kept


@contextmanager
def scopes_kept() -> Iterator[None]:
    """Context manager after which the thread is in the same scopes and graphs as before, also after a Ctrl-C at any moment.

    Without it, a Ctrl-C within an `__enter__` or `__exit__` would leave TensorFlow in a graph instead of its eager mode, or Keras in its
    symbolic mode, and every later call in the process would fail.
    """
    with keras_scopes_kept():
        mode = context.context()._thread_local_data
        graphs, switches = ops._default_graph_stack.stack, context.context().context_switches.stack
        before = mode.is_eager, list(graphs), list(switches)
        try:
            yield
        except BaseException as error:
            if _is_interrupt(error):
                # A context manager that could not be left is left when the traceback that holds it goes, and would put back what was the
                # mode within it. It has to be left now.
                traceback.clear_frames(error.__traceback__)
            raise
        finally:
            mode.is_eager, graphs[:], switches[:] = before


def _is_interrupt(error):
    """Whether an error comes of a Ctrl-C, for which TensorFlow's C++ code raises a `SystemError` at times."""
    if error is None:
        return False
    return isinstance(error, (KeyboardInterrupt, SystemError)) or _is_interrupt(error.__cause__ or error.__context__)
