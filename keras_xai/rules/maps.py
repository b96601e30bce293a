"""Affine maps for relevance rules: inputs, modifiable weights, and a bias."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, final

import keras
from keras import ops, tree

from keras_xai.graph.steps import Slot, Step
from keras_xai.graph.view import unchanged
from keras_xai.kinds.expansion import kind_of
from keras_xai.kinds.product import TimesConstant
from keras_xai.rules.folding import effective_kernel, folded_bias, shifted
from keras_xai.rules.rule import Call


@final
@dataclasses.dataclass(frozen=True, eq=False)
class AffineMap:
    """An affine map of one or several tensors.

    Attributes:
        inputs: Its input tensors.
        output: Its output tensor.
        product: The map without its bias, from tensors, one for each input, and a function that modifies weights, or `None`, to the output.
            For a map without weights that only adds entries, the function modifies their signs.
        bias: A function that returns the bias, which broadcasts against the output.
        nonnegative: Whether the inputs have no negative entries for any sample.
    """

    inputs: list
    output: Any
    product: Callable[[Sequence, Callable | None], Any]
    bias: Callable[[], Any]
    nonnegative: bool


def role_of(step: Step) -> str:
    """The role of a step in relevance propagation.

    Returns:
        `"dense"` or `"convolution"`, which have weights; `"pooling"`, affine without known weights; `"merge"`, which adds tensors;
        `"scaling"`, affine and elementwise; `"activation"`, elementwise otherwise; `"product"`, `"softmax"` or `"normalization"`;
        `"shape"`, `"select"`, `"smooth"` or `"composite"`, as in its kind.
    """
    kind = kind_of(step)
    special = kind.relevance(step)
    if special is not None:
        return special
    if kind.role == "gate":
        return "activation"
    if kind.role not in ("affine", "merge"):
        return kind.role
    if kind.elementwise(step):
        return "scaling"
    if kind.role == "merge":
        return "merge"
    if kind.kernels(step) or isinstance(kind, TimesConstant):
        return "convolution" if kind.convolves(step) else "dense"
    return "pooling"


def has_weights(step: Step) -> bool:
    """Whether the weights of an affine step are known, so that a rule can split them."""
    role, kind = role_of(step), kind_of(step)
    if role == "pooling":
        return kind.averages(step)
    if role in ("dense", "convolution"):
        kernels = kind.kernels(step)
        if not kernels:
            return len(_constants(step)) + len(_computed(step)) == 1
        if len(kernels) > 1 and len(kind.factors(step)) != len(kernels):
            return False
        return all(isinstance(kernel, keras.Variable) and keras.backend.is_float_dtype(kernel.dtype) for kernel in kernels)
    return role in ("merge", "scaling")


def affine_maps(call: Call) -> list[AffineMap]:
    """The affine maps of a called step with its folded steps, in order.

    Args:
        call: The call of a step whose role is `"dense"`, `"convolution"`, `"pooling"`, `"merge"`, `"scaling"` or `"normalization"`.
    """
    step = call.step
    if role_of(step) in ("dense", "convolution") and has_weights(step):
        kernels = call.kind.kernels(step)
        return _composed(call, kernels) if len(kernels) > 1 else [_weighted(call, kernels)]
    return [_added(call)]


def _weighted(call, kernels):
    """The map of a layer with one kernel, or of a product with a constant."""
    step = call.step
    (kernel,) = kernels or _constants(step) or [call.inputs[place] for place in call.fixed]
    weights = effective_kernel(call.passage, kernel)
    bias = call.kind.bias(step)

    def product(inputs, modify):
        used = weights if modify is None else modify(weights)
        if not kernels:
            return (
                _with_constant(step, used)(*inputs)[0] if not call.fixed else call.again(*_beside_fixed(call, inputs, used))[0]
            )
        no_bias = [] if bias is None else [(bias, ops.zeros_like(bias))]
        with unchanged([(kernel, used), *no_bias]):
            return call.again(*inputs)[0]

    varying = [x for place, x in enumerate(call.inputs) if place not in call.fixed]
    return AffineMap(varying, call.folded_output, product, lambda: folded_bias(call), call.passage.nonnegative)


def _composed(call, kernels):
    """The successive maps of a layer with several kernels, such as a separable convolution."""
    tensors = [ops.convert_to_tensor(kernel) for kernel in kernels]
    tensors[-1] = effective_kernel(call.passage, tensors[-1])
    *first, last = [_with_kernel(*pair) for pair in zip(call.kind.factors(call.step), tensors, strict=True)]
    maps, inputs, output, nonnegative = [], call.inputs, call.folded_output, call.passage.nonnegative
    for product in first:
        between = product(inputs, None)
        maps.append(AffineMap(inputs, between, product, lambda: ops.zeros((), dtype=output.dtype), nonnegative))
        inputs, nonnegative = [between], False
    return [*maps, AffineMap(inputs, output, last, lambda: folded_bias(call), nonnegative)]


def _with_kernel(factor, weights):
    return lambda inputs, modify: factor(*inputs, weights if modify is None else modify(weights))


def _added(call):
    """A map without weights: the contribution of each input to the output, with its sign."""
    step, places = call.step, call.real
    known, averaging = has_weights(step), call.kind.averages(step)
    # Constants here are not the tensors that are differentiated by.
    held = call.kind.held(step, [ops.stop_gradient(x) for x in call.passage.operands(call.inputs)])
    if held is None:
        function = call.kind.tangent(step, call.inputs) or call.passage.again
    else:
        places = places[:1]

        def function(tensors):
            return held(call.passage.operands(tensors))

    def at(tensors, rows=slice(None)):
        full = [x if place in (*places, *call.fixed) else x[rows] for place, x in enumerate(call.inputs)]
        for place, x in zip(places, tensors, strict=True):
            full[place] = x
        return function(full)[0]

    def zero():
        return at([ops.zeros_like(call.inputs[place][:1]) for place in places], slice(0, 1))

    def bias():
        return shifted(call, zero())

    def product(inputs, modify):
        constant = zero()
        if modify is None:
            return at(inputs) - constant
        if not known:
            raise TypeError(f"A rule modifies the weights of '{step.path}', which are not known. Check `has_weights` first.")
        total = 0.0
        for place, x in enumerate(inputs):
            zeros = [ops.zeros_like(other) for other in inputs]
            alone = at([*zeros[:place], x, *zeros[place + 1 :]]) - constant
            if averaging:
                sign = ops.ones((), dtype=alone.dtype)
            else:
                # Signs are the same for all samples, so one sample suffices.
                one = [ops.ones_like(each[:1]) if i == place else ops.zeros_like(each[:1]) for i, each in enumerate(inputs)]
                sign = ops.sign(at(one, slice(0, 1)) - constant)
            total = total + modify(sign) * sign * alone
        return total

    inputs = [call.inputs[place] for place in places]
    return AffineMap(inputs, call.folded_output, product, bias, call.passage.nonnegative)


def _computed(step):
    """The arguments of an operation that are computed from weights, the same for all samples."""
    return [leaf for leaf in tree.flatten(step.arguments) if isinstance(leaf, Slot) and leaf.fixed and not leaf.repeated]


def _beside_fixed(call, inputs, used):
    """The inputs of a step with one computed from weights, which is replaced."""
    found = iter(inputs)
    return [used if place in call.fixed else next(found) for place in range(len(call.inputs))]


def _constants(step):
    """The constant tensors and arrays in an operation's arguments, which are not tensors of the graph."""
    return [leaf for leaf in tree.flatten(step.arguments) if _is_array(leaf)]


def _with_constant(step, constant):
    arguments = tree.map_structure(lambda leaf: constant if _is_array(leaf) else leaf, step.arguments)
    return dataclasses.replace(step, arguments=arguments)


def _is_array(leaf):
    return not isinstance(leaf, Slot) and len(getattr(leaf, "shape", ())) > 0
