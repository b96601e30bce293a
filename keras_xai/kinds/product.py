"""Products, quotients and contractions with constants: numbers, arrays, and variables of a layer."""

import keras
import numpy as np
from keras import ops

from keras_xai.graph.steps import Step
from keras_xai.kinds.axes import by_letters
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.kind import OnePiece
from keras_xai.kinds.secants import division, elementwise, multilinear


def constants_are_nonnegative(step: Step) -> bool:
    """Whether all constant operands of a call are nonnegative; unknown for operands computed from weights, which training changes."""
    return step.num_varying == len(step.inputs) and all(
        not isinstance(each, keras.Variable) and bool(np.all(np.asarray(each) >= 0)) for each in step.constants()
    )


class TimesConstant(OnePiece):
    """A product, quotient or contraction, affine if only one operand depends on the input.

    Args:
        positions: Positions of the operands that may depend on the input.
    """

    role = "affine"

    def __init__(self, positions):
        self._positions = positions

    def parts(self, step):
        return None

    def refusal(self, step):
        if step.num_varying == 1 and any(step.takes_tensor(position) for position in self._positions):
            return None
        return "it multiplies or divides by a tensor that depends on the input, which is not piecewise linear"

    def secant(self, step):
        if self.refusal(step) is None:
            return super().secant(step)
        return multilinear(step) if all(map(step.takes_tensor, (0, 1))) else None

    def relevance(self, step):
        return "product" if step.num_varying > 1 and all(map(step.takes_tensor, (0, 1))) else None

    def kernels(self, step):
        variables = [constant for constant in step.constants() if isinstance(constant, keras.Variable)]
        return variables if len(variables) == 1 else []

    def keeps_sign(self, step):
        return step.num_varying == 1 and constants_are_nonnegative(step)


class ScaledByConstant(TimesConstant):
    """An elementwise product."""

    def elementwise(self, step):
        return step.num_varying == 1 and step.input_specs[0].shape == step.output_specs[0].shape

    def kernels(self, step):
        return []


class Quotient(ScaledByConstant):
    """An elementwise quotient."""

    def secant(self, step):
        if self.refusal(step) is None:
            return super().secant(step)
        return division(step) if step.takes_tensor(0) else elementwise(step)

    def relevance(self, step):
        if step.takes_tensor(0):
            return "normalization" if step.takes_tensor(1) else None
        return "activation" if self.elementwise(step) else None

    def held(self, step, inputs):
        _, divisor = step.operands(inputs)
        return lambda tensors: [step.operands(tensors)[0] / divisor]

    def divides(self, step):
        return not step.takes_tensor(0)


class TimesMatrix(TimesConstant):
    """A product with a matrix."""

    def kernel_channels(self, step):
        return (-1,) if self.kernels(step) and step.takes_tensor(0) else None


class MatrixProduct(TimesMatrix):
    """A product of matrices, or of stacks of them."""

    def letters(self, step):
        ranks = [len(spec.shape) for spec in step.input_specs]
        if len(ranks) != 2 or min(ranks) < 2:
            return None
        stack = _STACK[: max(ranks) - 2]
        one, other = (stack[len(stack) - rank + 2 :] for rank in ranks)
        return f"{one}ij", f"{other}jk", f"{stack}ik"


class EinsteinSum(TimesConstant):
    """A sum of products along named axes."""

    def letters(self, step):
        subscripts, arrow, output = step.operation.subscripts.replace(" ", "").partition("->")
        operands = subscripts.split(",")
        if not arrow or len(operands) != 2 or len(step.inputs) != 2:
            return None
        counts = [len(spec.shape) - len(each) + 3 for each, spec in zip(operands, step.input_specs, strict=True)]
        stack = _STACK[: max((count for each, count in zip(operands, counts, strict=True) if "..." in each), default=0)]
        one, other = (
            each.replace("...", stack[len(stack) - count :]) if "..." in each else each
            for each, count in zip(operands, counts, strict=True)
        )
        return one, other, output.replace("...", stack)

    def axis_sources(self, step, position):
        operands = [operand for operand in range(len(step.operands(step.inputs))) if step.takes_tensor(operand)]
        return by_letters(step.operation.subscripts, operands[position])


class ConvolutionByConstant(TimesConstant):
    """A convolution with a constant."""

    def kernel_channels(self, step):
        return (-1,)

    def convolves(self, step):
        return True


_EITHER, _FIRST = (0, 1), (0,)
_STACK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # letters of axes that have none
for _function, _kind, _example in (
    (ops.multiply, ScaledByConstant(_EITHER), Example((4,), lambda x: x * np.array([1.0, -2.0, 3.0, 0.5]))),
    (ops.divide, Quotient(_FIRST), Example((4,), lambda x: ops.divide(x, 3.0))),
    (ops.true_divide, Quotient(_FIRST), Example((4,), lambda x: x / 3.0)),
):
    register(_function, _kind, _example)
register(ops.matmul, MatrixProduct(_EITHER), Example((4,), lambda x: ops.matmul(x, np.arange(8.0).reshape(4, 2))))
register(ops.dot, TimesMatrix(_EITHER), Example((4,), lambda x: ops.dot(x, np.arange(8.0).reshape(4, 2))))
register(
    ops.tensordot,
    TimesConstant(_EITHER),
    Example((4,), lambda x: ops.tensordot(x, np.arange(8.0).reshape(4, 2), axes=1)),
)
register(
    ops.einsum,
    EinsteinSum(_EITHER),
    Example((4,), lambda x: ops.einsum("bi,ij->bj", x, np.arange(8.0).reshape(4, 2))),
)
register(
    ops.conv,
    ConvolutionByConstant(_FIRST),
    Example((6, 6, 2), lambda x: ops.conv(x, np.ones((3, 3, 2, 2), "float32"))),
)
