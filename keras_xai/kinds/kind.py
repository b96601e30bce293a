"""What every layer kind declares, and the registry that finds the kind of an operation."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import keras

from keras_xai.graph.steps import Graph, Step
from keras_xai.graph.trace import operation_class


class UnsupportedLayerError(ValueError):
    """A model contains a layer that is not piecewise linear, or whose meaning is not known.

    Args:
        problems: One `Problem` for each such layer.
        refused: What cannot be done with the model, without a full stop.
        advice: What to do about it.

    Attributes:
        problems: As given.
    """

    def __init__(self, problems: "list[Problem]", refused: str, advice: str):
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{refused}, because of {len(problems)} of its layers:\n{lines}\n{advice}")


@dataclasses.dataclass(frozen=True)
class Problem:
    """Why one layer is refused.

    Attributes:
        path: Where the layer is in the model.
        layer: Its class.
        reason: Why it is refused.
    """

    path: str
    layer: type
    reason: str

    def __str__(self):
        return f"'{self.path}' ({self.layer.__name__}): {self.reason}"


class Kind(abc.ABC):
    """What a layer means: its role, which linear piece is active, and what it is on that piece.

    Kinds hold no state; every method is handed the `Step`, whose `operation` is the layer.

    Attributes:
        role: `"affine"`, `"merge"`, `"shape"` (all three one affine map), `"gate"` (elementwise pieces), `"select"` (a
            choice among candidates), `"composite"` (made of others), `"curved"` (elementwise, not piecewise linear), or
            `"smooth"` (not piecewise linear, nor elementwise).
    """

    role: ClassVar[str]

    @abc.abstractmethod
    def parts(self, step: Step) -> Graph | None:
        """The simpler operations that the step consists of, or `None` if it is simple.

        `Conv2D(activation="relu")` is a `Conv2D` without activation and a `relu`. Step paths in the graph are relative;
        an empty one stands for the layer itself.
        """

    @abc.abstractmethod
    def refusal(self, step: Step) -> str | None:
        """Why this step is not piecewise linear, or `None` if it is. Answered before anything is computed."""

    @abc.abstractmethod
    def pattern(self, step: Step, inputs: list) -> Any:
        """Which piece is active: an integer tensor of shape `(n, ...)`, or `None` if there is only one piece.

        Args:
            step: The call.
            inputs: Its input tensors.
        """

    @abc.abstractmethod
    def constraints(self, step: Step, pattern: Any, inputs: list) -> list:
        """Tensors of shape `(n, ...)`, affine in `inputs`, all `>= 0` exactly where the piece `pattern` is active.

        An entry that constrains nothing is `inf`.
        """

    @abc.abstractmethod
    def reason(self, step: Step, pattern: Any, number: int, unit: tuple[int, ...]) -> str:
        """What an entry of a constraint tensor demands, in words: a clause without a full stop.

        Args:
            step: The call.
            pattern: Array, the pattern of one sample, without the batch dimension.
            number: Which of the tensors of `constraints`.
            unit: Index of the entry in that tensor, without the batch dimension.
        """

    @abc.abstractmethod
    def freeze(self, step: Step, pattern: Any) -> Callable[[list], list]:
        """The affine map, from input tensors to output tensors, that the step is on the piece `pattern`.

        It can be applied away from the sample that has the pattern.
        """

    # What passing relevance back takes; the defaults are right for most.

    def elementwise(self, step: Step) -> bool:
        """Whether each entry of the one output depends on the entry of the one input in its place, and on no other."""
        return False

    def kernels(self, step: Step) -> list:
        """The variables by which the layer multiplies its input, entries of the one with those of the other."""
        return []

    def tangent(self, step: Step, inputs: list) -> Callable[[list], list] | None:
        """The linear map by whose transpose relevance passes the step, `None` where it is the step's own derivative."""
        return None

    def push(self, step: Step) -> Callable | None:
        """A cheap Jacobian-vector product, see `keras_xai.graph.gradient.record`; `None` where the backend's is."""
        return None


class OnePiece(Kind):
    """Base of the kinds that are one affine map everywhere: nothing to choose, nothing to freeze."""

    def refusal(self, step):
        return None

    def pattern(self, step, inputs):
        return None

    def constraints(self, step, pattern, inputs):
        return []

    def reason(self, step, pattern, number, unit):
        raise TypeError(f"'{step.path}' is one affine map everywhere: it has no constraint that could be put in words.")

    def freeze(self, step, pattern):
        return lambda inputs: step(*inputs)


@dataclasses.dataclass(frozen=True)
class Example:
    """A tiny model on which a kind is tested.

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
    """A line of the registry."""

    operation: type[keras.Operation]
    kind: Kind
    examples: tuple[Example, ...]


_REGISTRY: dict[type[keras.Operation], Entry] = {}


def register(operation: type[keras.Operation] | Callable, kind: Kind, *examples: Example) -> None:
    """Says what an operation means, here and for its subclasses that do not override `call()`.

    Args:
        operation: A layer class, or a function of `keras.ops` or `keras.activations`, of which the first example must
            be one call.
        kind: Its kind.
        *examples: Tiny models that use it, on which the tests check that the kind is exact.

    Example:

    >>> import keras
    >>> from keras_xai.kinds import Affine, Example, register
    >>> class Double(keras.layers.Layer):
    ...     def call(self, x):
    ...         return 2 * x
    >>> register(Double, Affine(), Example((3,), lambda x: Double()(x)))
    """
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
