"""The registry of kinds of operations."""

import dataclasses
from collections.abc import Callable

import keras

from keras_xai.graph.nodes import operation_class
from keras_xai.kinds.kind import Kind


@dataclasses.dataclass(frozen=True)
class Example:
    """A tiny model for testing a kind.

    Attributes:
        shape: Shape of the input, without the batch dimension.
        build: Maps the symbolic input to the symbolic output.
    """

    shape: tuple[int, ...]
    build: Callable[[keras.KerasTensor], keras.KerasTensor]

    def model(self) -> keras.Model:
        x = keras.Input(self.shape)
        return keras.Model(x, self.build(x))


@dataclasses.dataclass(frozen=True)
class Entry:
    """An entry of the registry."""

    operation: type[keras.Operation]
    kind: Kind
    examples: tuple[Example, ...]


_REGISTRY: dict[type[keras.Operation], Entry] = {}


def register(operation: type[keras.Operation] | Callable, kind: Kind, *examples: Example) -> None:
    """Registers the kind of an operation, also for its subclasses that do not override `call()`.

    Args:
        operation: A layer class, or a function of `keras.ops` or `keras.activations`; for a function, the first example must be a single
            call.
        kind: Its kind.
        *examples: Tiny models with the operation, on which the tests check that the kind is exact.

    Example:

    >>> import keras
    >>> from keras_xai.kinds import Affine, Example, register
    >>> class Double(keras.layers.Layer):
    ...     def call(self, x):
    ...         return 2 * x
    >>> register(Double, Affine(), Example((3,), lambda x: Double()(x)))
    """
    if not isinstance(kind, Kind):
        raise TypeError(
            f"Expected `kind` to be an instance of a `Kind`, such as `Affine()`. Received: kind={kind!r}. Create it: "
            f"{getattr(kind, '__name__', 'Kind')}()."
        )
    if not examples or not (isinstance(operation, type) or callable(operation)) or isinstance(operation, keras.Layer):
        raise ValueError(
            "Expected a layer class or a function of `keras.ops`, a kind, and at least one `Example`. "
            f"Received: operation={operation!r}, kind={kind!r}, {len(examples)} examples."
        )
    if not isinstance(operation, type):
        operation = operation_class(examples[0].build, examples[0].shape)
    _REGISTRY[operation] = Entry(operation, kind, examples)


def registry() -> tuple[Entry, ...]:
    """All registered operations, in the order of registration."""
    return tuple(_REGISTRY.values())


def find(operation: keras.Operation) -> Entry | None:
    """The registry's entry for an operation: that of its class, or of the first base class that has one."""
    for base in type(operation).__mro__:
        if base in _REGISTRY:
            return _REGISTRY[base]
    return None
