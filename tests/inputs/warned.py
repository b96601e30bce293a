"""What other libraries warn of while the package calls them: deprecated functions, programs that are traced again and again."""

import contextlib
import logging
import warnings

_OF_OTHERS = ("__array__ implementation doesn't accept a copy keyword",)  # of Keras, by its own code


def _is_told(message):
    # Keras' own `fit()` and `predict()` trace a program for each model.
    return "retracing" in message and "TensorFlowTrainer." not in message


@contextlib.contextmanager
def warned():
    """A list of the warnings of deprecation and of TensorFlow's messages about retracing, filled as they come."""
    found: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: _is_told(record.getMessage()) and found.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tensorflow")
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield found
        kinds = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
        texts = [f"{each.filename}:{each.lineno}: {each.message}" for each in caught if issubclass(each.category, kinds)]
        found.extend(text for text in texts if not any(each in text for each in _OF_OTHERS))
    finally:
        logger.removeHandler(handler)
