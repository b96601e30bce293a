"""Base class of kinds of layers."""

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds.ranges import Range, entrywise, whole


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
    """A kind of layer: its role, its linear pieces, and the facts that methods need.

    Kinds hold no state; every method is handed the `Step`, whose `operation` is the layer.

    Attributes:
        role: `"affine"`, `"merge"`, `"shape"` (all three one affine map), `"gate"` (elementwise pieces), `"select"` (a
            choice among candidates), `"composite"` (made of others), `"curved"` (elementwise, not piecewise linear), or
            `"smooth"` (not piecewise linear, nor elementwise).
        pools: `"windows"` or `"global"` for a layer that makes one entry of each window, or of all places, of a channel.
        embeds: Whether it turns tokens into vectors.
    """

    role: ClassVar[str]
    pools: ClassVar[str | None] = None
    embeds: ClassVar[bool] = False

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

    # Facts. The defaults are right for most layers, and safe for all.

    def elementwise(self, step: Step) -> bool:
        """Whether each entry of the one output depends on the entry of the one input in its place, and on no other."""
        return False

    def kernels(self, step: Step) -> list:
        """The variables by which the layer multiplies its input, entries of the one with those of the other."""
        return []

    def bias(self, step: Step) -> Any:
        """The variable that is added to the product with the last of `kernels`, or `None`."""
        return None

    def kernel_channels(self, step: Step) -> tuple[int, ...] | None:
        """The axes of the last of `kernels` that tell the output's channels apart, counted from the end; `None` if not known.

        Of a `Conv2D` that is `(-1,)`, of a `DepthwiseConv2D` `(-2, -1)`.
        """
        return None

    def factors(self, step: Step) -> list[Callable]:
        """Of a layer of several kernels, for each the map from a tensor and the kernel to a tensor; the layer is one after the other."""
        return []

    def channel_axis(self, step: Step) -> int:
        """The axis of the output that holds its channels, counted from the end: the last unless `data_format` says otherwise."""
        return 1 - len(step.output_specs[0].shape) if self.data_format(step) == "channels_first" else -1

    def data_format(self, step: Step) -> str | None:
        """`"channels_last"` or `"channels_first"`, or `None` for a layer that does not ask where channels are."""
        return getattr(step.operation, "data_format", None)

    def convolves(self, step: Step) -> bool:
        """Whether weights are shared by the places of a map, as the layer's `strides` tell."""
        return bool(self.kernels(step)) and hasattr(step.operation, "strides")

    def averages(self, step: Step) -> bool:
        """Whether each output is a sum of inputs with constant weights of at least zero."""
        return False

    def nonnegative(self, step: Step) -> bool:
        """Whether no output is negative, whatever the input, in training too."""
        return False

    def keeps_sign(self, step: Step) -> bool:
        """Whether no output is negative where no input is, in training too."""
        return self.averages(step) or self.nonnegative(step)

    def normalized_axis(self, step: Step) -> int | None:
        """The axis whose entries are scaled and shifted by constants at inference, as in batch normalization; `None` if none."""
        return None

    def scale(self, step: Step) -> Any:
        """What the entries along `normalized_axis` are multiplied by, a tensor `(channels,)`."""
        raise TypeError(f"'{step.path}' has no scale. Check `normalized_axis` first.")

    def shifts(self, step: Step) -> bool:
        """Whether the output is the input plus a constant."""
        return False

    def link(self, step: Step) -> str | None:
        """How scores become probabilities, where that is what the layer does: `"softmax"` or `"sigmoid"`."""
        return None

    def receptive_range(self, step: Step, wanted: Sequence[Range], shape: Sequence[int], output_shape: Sequence[int]) -> list:
        """The part of an input on which a part of the output depends; by default all of it, or the same entries.

        Args:
            step: The call.
            wanted: The part of the output: a half-open range `(start, stop)` for each axis of a sample.
            shape: Of a sample of the input.
            output_shape: Of a sample of the output.

        Returns:
            A range for each axis of the input, which may reach beyond its border.
        """
        return entrywise(wanted, shape) if self.elementwise(step) else whole(shape)

    # What passing relevance back takes.

    def tangent(self, step: Step, inputs: list) -> Callable[[list], list] | None:
        """The linear map by whose transpose relevance passes the step, `None` where it is the step's own derivative."""
        return None

    def push(self, step: Step) -> Callable | None:
        """A cheap Jacobian-vector product, see `keras_xai.backend.record`; `None` where the backend's is."""
        return None


class OnePiece(Kind):
    """Base class of kinds that are one affine map everywhere."""

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
