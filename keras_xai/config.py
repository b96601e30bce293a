"""Settings for the whole process."""

from keras_xai.data.checks import check_count

__all__ = ["memory_budget", "set_memory_budget"]

_memory_budget = 2**31


def memory_budget() -> int:
    """The memory in bytes for which batch sizes are chosen, by default two gibibytes.

    Example:

    >>> import keras_xai
    >>> keras_xai.config.memory_budget()
    2147483648
    """
    return _memory_budget


def set_memory_budget(num_bytes: int) -> None:
    """Sets the memory for which batch sizes are chosen where `batch_size` is not given.

    A batch has as many samples, up to 256, as have all tensors of the model and their gradients within this memory. It is an estimate: a
    backend needs memory of its own, and keeps freed memory. Methods, metrics and boxes that exist keep their batch sizes.

    Args:
        num_bytes: An integer of at least 1. A single sample may need more.

    Raises:
        ValueError: If it is none.

    Example:

    >>> import keras_xai
    >>> keras_xai.config.set_memory_budget(8 * 2**30)
    >>> keras_xai.config.memory_budget() // 2**30
    8
    >>> keras_xai.config.set_memory_budget(2 * 2**30)
    """
    global _memory_budget
    _memory_budget = check_count("num_bytes", num_bytes)
