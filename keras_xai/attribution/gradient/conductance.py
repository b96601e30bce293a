"""Layer conductance: integrated gradients of the output of a layer."""

from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from keras_xai.backend import folded
from keras_xai.graph.target import Target
from keras_xai.network.entries import Entries
from keras_xai.network.layer_entries import LayerEntries
from keras_xai.network.scores import Scores


def conductance(
    scores: Scores, entries: Entries, layer: LayerEntries, target: Target
) -> Callable[[Callable[[Any], list], Any, Any, Sequence, Sequence], list]:
    r"""The integral of the score's derivative with respect to a layer's output y over the movement of y along a path of inputs.

    $$\int \frac{\partial f}{\partial y_j} \, dy_j \approx \sum_k \frac{\partial f}{\partial y_j}(t_k) (y_j(s_k) - y_j(s_{k-1}))$$

    The points s divide the path into parts as long as the weights of the nodes t; each part holds its node. For a y that is linear
    along the path, such as the input itself, this is the quadrature by these nodes.

    Args:
        scores: The scores of the model.
        entries: The tensors that move along the path.
        layer: The layer.
        target: The target to explain.

    Returns:
        A function of the points on the path, a map from positions `(per,)` from 0 to 1 to a tensor `(per, n, ...)` for each entry; of
        nodes and weights `(steps, per)`; and of inputs and classes. Its result is a list of one tensor of the shape of the layer's output.
    """

    def integral(points, nodes, weights, inputs, indices):
        steps, per = ops.shape(weights)[0], ops.shape(weights)[1]
        ends = ops.reshape(ops.cumsum(ops.reshape(weights, (-1,))), ops.shape(weights))
        repeated = [ops.tile(x, (per, *[1] * (len(x.shape) - 1))) for x in inputs]
        classes = [ops.tile(index, (per, *[1] * (len(index.shape) - 1))) for index in indices]

        def known(positions):
            found = points(positions)
            return {
                identifier: ops.reshape(each, (-1, *ops.shape(each)[2:]))
                for identifier, each in zip(entries.identifiers, found, strict=True)
            }

        def output(tensors, samples):
            return scores.run(samples, until=[layer.identifier], known=tensors)[layer.identifier]

        def add(step, state):
            total, last = state
            y = output(known(ends[step]), repeated)
            y = ops.reshape(y, (per, *ops.shape(last)))
            moved = y - ops.concatenate([last[None], y[:-1]])
            middle = known(nodes[step])
            at = {layer.identifier: output(middle, repeated)}
            (gradient,) = scores.derivative(at, repeated, classes, target, known=middle).gradients
            return [total + ops.sum(ops.reshape(gradient, ops.shape(moved)) * moved, axis=0), y[-1]]

        start = output(known(ops.zeros((1,), nodes.dtype)), inputs)
        return [folded(add, steps, [ops.zeros_like(start), start])[0]]

    return integral
