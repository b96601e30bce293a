"""Base class of kinds of layers."""

import abc
import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from keras_xai.graph.nodes import names_unused
from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds.axes import Named, Sources, by_format, unmoved
from keras_xai.kinds.ranges import Range, entrywise, whole
from keras_xai.kinds.secants import Secant, affine


class UnsupportedLayerError(ValueError):
    """Raised for a model with a layer that is not piecewise linear, or unknown.

    Args:
        problems: One `Problem` for each such layer.
        refused: The operation that the model does not support, without a full stop.
        advice: Advice on alternatives.

    Attributes:
        problems: As given.
    """

    def __init__(self, problems: "list[Problem]", refused: str, advice: str):
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{refused}, because of {len(problems)} of its layers:\n{lines}\n{advice}")


@dataclasses.dataclass(frozen=True)
class Problem:
    """The reason why one layer is not supported.

    Attributes:
        path: Path of the layer in the model.
        layer: Class of the layer.
        reason: The reason.
    """

    path: str
    layer: type
    reason: str

    def __str__(self):
        return f"'{self.path}' ({self.layer.__name__}): {self.reason}"


@names_unused()  # a kind may divide a layer to find out
def problems_of(steps: Iterable[tuple[Step, str | None]]) -> list[Problem]:
    """One `Problem` for each step with a reason.

    A layer that is called several times, such as a cell for each time step, is listed once for each reason.

    Args:
        steps: Steps with their reasons: a clause without a full stop, or `None` for a supported step.
    """
    found: dict[tuple, Problem] = {}
    for step, reason in steps:
        if reason:
            key = (_REPEATED.sub("", step.path), type(step.operation), reason)
            found.setdefault(key, Problem(step.path, type(step.operation), reason))
    return list(found.values())


_REPEATED = re.compile(r":\d+")


class Kind(abc.ABC):
    """A kind of layer: its role, its linear pieces, and the facts that methods need.

    Kinds are stateless; every method takes the `Step`, whose `operation` is the layer.

    Attributes:
        role: `"affine"`, `"merge"`, `"shape"` (all three one affine map), `"gate"` (elementwise pieces), `"select"` (a choice among
            candidates), `"composite"` (made of others), `"curved"` (elementwise, not piecewise linear), or `"smooth"` (neither piecewise
            linear nor elementwise).
        pools: `"windows"` or `"global"` for a layer that reduces each window, or all positions, of a channel to one entry.
        attends: Whether places are weighted by a softmax that is computed from the input, as in attention.
        opens: Whether the layers inside it are layers of the model, with paths of their own.
    """

    role: ClassVar[str]
    pools: ClassVar[str | None] = None
    attends: ClassVar[bool] = False
    opens: ClassVar[bool] = False

    @abc.abstractmethod
    def parts(self, step: Step) -> Graph | None:
        """The graph of simpler operations that make up the step, or `None` if it is simple.

        `Conv2D(activation="relu")` is a `Conv2D` without activation and a `relu`. Step paths in the graph are relative;
        an empty one stands for the layer itself.
        """

    def unrolled(self, step: Step) -> Graph | None:
        """As `parts`, for a recurrent layer: the steps of its cell for each time step. `None` for others."""
        return None

    def apart(self, step: Step) -> Graph | None:
        """As `parts`, for a layer that computes with several rows per sample: separate steps for each row.

        Then every tensor has one row per sample, as linear pieces require. `None` for other layers.
        """
        return None

    def defused(self, step: Step) -> Graph | None:
        """As `parts`, for a fused operation without linear pieces, such as attention. `None` for others."""
        return None

    @abc.abstractmethod
    def refusal(self, step: Step) -> str | None:
        """The reason why this step is not piecewise linear, or `None` if it is. Evaluated before any computation."""

    @abc.abstractmethod
    def pattern(self, step: Step, inputs: list) -> Any:
        """The active piece: an integer tensor of shape `(n, ...)`, or `None` if there is only one piece.

        Args:
            step: The call.
            inputs: Its input tensors.
        """

    @abc.abstractmethod
    def constraints(self, step: Step, pattern: Any, inputs: list) -> list:
        """Tensors of shape `(n, ...)`, affine in `inputs`, all `>= 0` exactly where the piece `pattern` is active.

        An entry without a constraint is `inf`.
        """

    @abc.abstractmethod
    def reason(self, step: Step, pattern: Any, number: int, unit: tuple[int, ...]) -> str:
        """A description of an entry of a constraint tensor, a clause without a full stop.

        Args:
            step: The call.
            pattern: Array, the pattern of one sample, without the batch dimension.
            number: Index of the tensor in `constraints`.
            unit: Index of the entry in that tensor, without the batch dimension.
        """

    @abc.abstractmethod
    def freeze(self, step: Step, pattern: Any) -> Callable[[list], list]:
        """The affine map from input tensors to output tensors on the piece `pattern`.

        It can be applied to points other than the sample of the pattern.
        """

    # Facts. The defaults are right for most layers, and safe for all.

    def elementwise(self, step: Step) -> bool:
        """Whether the step is elementwise: each output entry depends only on the input entry at its position."""
        return False

    def kernels(self, step: Step) -> list:
        """The variables that the layer multiplies its input by."""
        return []

    def bias(self, step: Step) -> Any:
        """The variable that is added to the product with the last of `kernels`, or `None`."""
        return None

    def kernel_channels(self, step: Step) -> tuple[int, ...] | None:
        """The axes of the last of `kernels` that index the output's channels, counted from the end; `None` if unknown.

        For a `Conv2D` that is `(-1,)`, for a `DepthwiseConv2D` `(-2, -1)`.
        """
        return None

    def factors(self, step: Step) -> list[Callable]:
        """For a layer of several kernels, the map of each from a tensor and the kernel to a tensor, whose composition is the layer."""
        return []

    def letters(self, step: Step) -> tuple[str, str, str] | None:
        """For a product of two tensors that sums over axes, the axes of both and of the output as letters, as in `"bij,bjk->bik"`."""
        return None

    def channel_axis(self, step: Step) -> int:
        """The channel axis of the output, counted from the end: the last unless `data_format` specifies another."""
        return 1 - len(step.output_specs[0].shape) if self.data_format(step) == "channels_first" else -1

    def data_format(self, step: Step) -> str | None:
        """`"channels_last"` or `"channels_first"`, or `None` for a layer without a data format."""
        return getattr(step.operation, "data_format", None)

    def axis_names(self, step: Step) -> Named | None:
        """The axis names that the step declares for its first input and output, by default from its data format."""
        data_format = self.data_format(step)
        rank = len(step.input_specs[0].shape) - 1
        if data_format is None or rank < 2:
            return None
        return Named(by_format(data_format, rank), by_format(data_format, len(step.output_specs[0].shape) - 1))

    def axis_sources(self, step: Step, position: int) -> Sources | None:
        """For each axis of an output sample, the axes of an input that form it; `None` if unknown.

        By default axes keep their positions.

        Args:
            step: The call.
            position: Position of the input.
        """
        shape, output_shape = step.input_specs[position].shape[1:], step.output_specs[0].shape[1:]
        if self.pools == "global" and len(output_shape) == 1 < len(shape):
            return [(0 if self.data_format(step) == "channels_first" else len(shape) - 1,)]
        return unmoved(shape, output_shape)

    def convolves(self, step: Step) -> bool:
        """Whether weights are shared across the positions of a map, determined by the layer's `strides`."""
        return bool(self.kernels(step)) and hasattr(step.operation, "strides")

    def averages(self, step: Step) -> bool:
        """Whether each output is a sum of inputs with constant nonnegative weights."""
        return False

    def nonnegative(self, step: Step) -> bool:
        """Whether outputs are nonnegative for all inputs, including in training."""
        return False

    def keeps_sign(self, step: Step) -> bool:
        """Whether outputs are nonnegative for nonnegative inputs, including in training."""
        return self.averages(step) or self.nonnegative(step)

    def normalized_axis(self, step: Step) -> int | None:
        """The axis scaled and shifted by constants at inference, as in batch normalization; `None` if there is none."""
        return None

    def scale(self, step: Step) -> Any:
        """The scale of the entries along `normalized_axis`, a tensor `(channels,)`."""
        raise TypeError(f"'{step.path}' has no scale. Check `normalized_axis` first.")

    def looks_up(self, step: Step) -> bool:
        """Whether the layer looks its input up in a table of vectors, as an embedding does with tokens."""
        return False

    def shifts(self, step: Step) -> bool:
        """Whether the output is the input plus a constant."""
        return False

    def link(self, step: Step) -> str | None:
        """`"softmax"` or `"sigmoid"` for a layer that converts scores to probabilities, otherwise `None`."""
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

    def relevance(self, step: Step) -> str | None:
        """The role in relevance propagation of a step that is not piecewise linear; `None` if relevance cannot pass it.

        `"activation"`, elementwise; `"product"` of tensors; `"softmax"`; or `"normalization"`, which `held` makes affine.
        """
        return None

    def held(self, step: Step, inputs: list) -> Callable[[list], list] | None:
        """A normalization of `inputs` as an affine map of the first tensor, with its divisor as a constant."""
        return None

    def gates(self, step: Step) -> bool:
        """Whether other tensors are multiplied by the output, as by the probabilities of a sigmoid or a softmax."""
        return self.link(step) is not None

    def divides(self, step: Step) -> bool:
        """Whether the output is the reciprocal of a divisor: a product with it is a normalization."""
        return False

    def tangent(self, step: Step, inputs: list) -> Callable[[list], list] | None:
        """The linear map whose transpose propagates relevance; `None` for the step's own derivative."""
        return None

    def secant(self, step: Step) -> Secant | None:
        """The linear map of differences between a sample and a reference, see `keras_xai.kinds.secants`; `None` if unknown."""
        return None

    def push(self, step: Step) -> Callable | None:
        """A Jacobian-vector product that is cheaper than the backend's, see `keras_xai.backend.record`; `None` if there is none."""
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

    def secant(self, step):
        return affine(step, self.tangent) if self.refusal(step) is None else None


class Constant(OnePiece):
    """A call without inputs, such as a computation from weights alone."""

    role = "affine"

    def parts(self, step):
        return None
